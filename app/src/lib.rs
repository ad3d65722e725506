//! The GitHub App: webhooks in, jobs to runners, verdicts back onto the pull request.
//!
//! ```text
//! POST /webhook ─ verified, stored ─▶ delivery ─ planner ─▶ checks and jobs ─▶ runners (api)
//!                                                              │
//! GitHub ◀─ outbox ◀─ wishes ◀────────── judge ◀─ results ─────┘
//! ```
//!
//! Everything between the arrows is in the store, so that the App can die anywhere: what it had
//! begun is lent out again and done again, and every write to GitHub is safe to repeat.

pub mod api;
mod args;
mod backoff;
pub mod command;
mod error;
pub mod event;
mod facts;
mod fault;
pub mod github;
mod judge;
mod outbox;
pub mod page;
pub mod plan;
mod planner;
mod serve;
pub mod showing;
mod signature;
mod tenancy;
pub mod webhook;
mod workers;

pub use args::{AppArgs, AppCommand, StorageArgs};
pub use error::AppError;
pub use serve::{install_crypto, serve, stop_signal};
pub use signature::WebhookSecrets;
