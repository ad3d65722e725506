//! The language server for difftest's tests: what a run would refuse is said while it is typed.
//!
//! The way of a document: [`document`] keeps its text, [`decorators`] reads what its decorators
//! say, [`rules`] judge that, [`completion`] and [`hover`] answer what is asked at a place of it,
//! [`configuration`] judges `difftest.toml`, [`server`] speaks the protocol. Everything but
//! [`server`] and [`workspace`] is pure.

pub mod completion;
pub mod configuration;
pub mod decorators;
pub mod document;
pub mod hover;
mod imports;
pub mod literal;
pub mod metrics;
pub mod rules;
mod server;
mod session;
pub mod suites;
mod workspace;

pub use server::{Exit, run, serve};
