//! Every report of one run, as people and machines read it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

#[path = "reports/golden.rs"]
mod golden;
#[path = "reports/markup.rs"]
mod markup;
#[path = "reports/run.rs"]
mod run;
#[path = "reports/survival.rs"]
mod survival;
