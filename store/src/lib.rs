//! What difftest remembers: deliveries, checks, jobs, the outbox, images and the history of runs,
//! on SQLite or PostgreSQL. Only this crate writes SQL.
//!
//! Every promise is kept by one transaction: a change of a check and the wish to show it on
//! GitHub are written together, a lease is compared and the job changed together. Time is the
//! database's, in milliseconds since 1970; no two machines' clocks are compared.

mod checks;
mod database;
mod deliveries;
mod error;
mod event_log;
mod hints;
mod images;
mod jobs;
mod judging;
mod leases;
mod open;
mod outbox;
mod plan;
mod pulls;
mod runner_tokens;
mod runs;
mod takeover;
mod trends;

pub use checks::{Check, CheckId, CheckStatus, Finding, Said};
pub use deliveries::Delivery;
pub use error::StoreError;
pub use hints::Hints;
pub use jobs::{JobState, MAX_ATTEMPTS};
pub use judging::FinishedJob;
pub use leases::Swept;
pub use open::Store;
pub use outbox::{Effect, EffectKey};
pub use plan::{Applied, NewCheck, PlanStep, Work};
pub use pulls::{Pull, PullKey, StoredPull};
pub use runner_tokens::RunnerIdentity;
pub use runs::{RunSummary, Sample};
