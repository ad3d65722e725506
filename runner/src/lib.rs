//! What runs suites: the engine that drives Python, and the daemon that leases jobs from an App
//! and has the engine run them.

pub mod daemon;
pub mod engine;
pub mod remote;
