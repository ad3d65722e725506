//! What a suite, a cell, a sample, a verdict and a report *are*.
//!
//! Pure functions and types: no network, no database, no Python, no clock. Everything here takes
//! values and returns values, so every other room can depend on it and test against it.

pub mod audit;
pub mod calibration;
pub mod cell;
pub mod compare;
pub mod config;
pub mod event;
pub mod filter;
pub mod ids;
pub mod metric;
pub mod native;
pub mod pixels;
pub mod png_text;
pub mod protocol;
pub mod recipe;
pub mod report;
pub mod result;
pub mod scheduler;
pub mod steering;
pub mod suite;
pub mod template;
pub mod threshold;
pub mod verdict;
