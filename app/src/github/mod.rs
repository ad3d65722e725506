//! All that difftest says to GitHub. No other room speaks to it.
//!
//! Requests are made by hand over reqwest, one file per topic, with types that hold only what is
//! read: a client library's own types refuse answers that lack a field nobody here looks at, and
//! its default of repeating a failed POST would make two comments out of one.

mod app;
pub mod checks;
mod client;
pub mod comments;
pub mod contents;
mod error;
mod key;
mod limits;
pub mod pulls;
pub mod reactions;
pub mod timestamp;
mod tokens;

pub use client::{GitHub, Repository};
pub use error::GitHubError;
pub use key::{AppKey, KeyError};
