//! The language server for difftest's tests: what a run would refuse is said while it is typed.
//!
//! The way of a document: [`document`] keeps its text, [`decorators`] reads what its decorators
//! say, [`rules`] judge that, [`server`] speaks the protocol. Everything but [`server`] and
//! [`workspace`] is pure.

pub mod decorators;
pub mod document;
mod imports;
pub mod literal;
pub mod metrics;
pub mod rules;
mod server;
mod workspace;

pub use server::{Exit, run, serve};
