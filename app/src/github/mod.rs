//! All that difftest says to GitHub. No other room speaks to it.
//!
//! octocrab carries every request: it signs as the App (jsonwebtoken), makes and keeps the tokens of
//! installations and follows a renamed repository. Answers are read into types of our own, one
//! file per topic, that hold only what is read: octocrab's refuse an answer that lacks a field
//! nobody here looks at. It repeats nothing: a repeated POST would make two comments out of one.

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
pub use error::{ClientError, GitHubError};
pub use key::{AppKey, KeyError};
