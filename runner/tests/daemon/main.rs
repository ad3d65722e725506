//! The daemon against an App, a git server and jobs that misbehave.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod app;
mod faults;
mod git;
mod harness;
mod real_engine;
mod turns;
mod walls;
mod whole_job;
