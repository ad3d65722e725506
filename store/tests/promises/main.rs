//! The store's promises, each kept on SQLite and on PostgreSQL by the same test.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod databases;
mod pull_requests;

mod claims;
mod deliveries;
mod event_log;
mod history;
mod images;
mod interruptions;
mod judging;
mod leases;
mod migrations;
mod outbox;
mod plans;
mod runner_tokens;
