//! `difftest.toml`, or `[tool.difftest]` in `pyproject.toml`: what runs, with what, where.
//!
//! ```toml
//! model = "shapes"               # for every suite below and for `difftest run`
//! generator = "pipeline:make"    # a factory in this repository; without it the model's own
//!
//! [recipe]                       # what decides every image, where the back end's default will not do
//! steps = 20
//! scheduler = "dpmpp_2m_karras"
//!
//! [options]                      # the generator's own
//! dtype = "float16"
//!
//! [suites.shapes]                # a check run, "difftest / shapes"
//! test_dir = "tests"
//! labels = ["cpu"]               # a runner needs all of them; taken from the base commit
//! timeout = "20m"                # taken from the base commit
//! network = false                # taken from the base commit
//!
//! [verdict]                      # taken from the base commit
//! alpha = 0.05
//! budget = "10m"
//! margins = { clip_score = 0.02 }
//! ```

mod expand;
mod file;
mod quantity;
mod settings;
mod verdict;

use std::collections::BTreeMap;

pub use expand::Variables;
pub use file::{parse, parse_pyproject};
pub use quantity::{parse_duration, parse_size, show_duration, show_size};
pub use settings::{Given, KEYS, Origin, SetError, Settings};
pub use verdict::{
    BadBudget, Budget, DROP_MARGINS, Method, TailSettings, Units, VERDICT_KEYS, VerdictSettings,
};

/// The file's name at a repository's root.
pub const FILE: &str = "difftest.toml";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The keys outside every table: what `difftest run` uses when no suite is named.
    pub defaults: Settings,
    /// By name, each with the defaults filled in.
    pub suites: BTreeMap<String, Settings>,
    pub verdict: VerdictSettings,
    /// Where the keys of `[verdict]` that somebody set came from, dotted.
    pub verdict_origins: BTreeMap<String, Origin>,
}

impl Config {
    /// The settings of a suite, or the file's defaults where none is named.
    pub fn settings(&self, suite: Option<&str>) -> Option<&Settings> {
        match suite {
            Some(name) => self.suites.get(name),
            None => Some(&self.defaults),
        }
    }
}

/// A configuration that cannot be used, and the line that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ConfigError {
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    pub message: String,
}
