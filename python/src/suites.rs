//! `difftest suites`: which prompt suites there are, and what is in one.

use std::io::Write as _;

use clap::Args;
use pyo3::prelude::*;

use crate::cli::fail;

/// Prompt suites: their names, or the prompts of one of them.
#[derive(Debug, Clone, Args)]
pub struct SuitesArgs {
    /// A suite that comes with difftest, or a file of your own: JSON, YAML or text. Without it, all
    /// that come with difftest
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,
}

/// Answers the exit code; an error is a bug, with its traceback.
pub fn run(py: Python<'_>, args: &SuitesArgs) -> PyResult<i32> {
    let listing = py.import("difftest.suites.listing")?;
    match listing.call_method1("listing", (args.name.as_deref(),)) {
        Ok(text) => {
            // That the reader has gone away, as `head` does, is no error.
            drop(writeln!(std::io::stdout(), "{}", text.extract::<String>()?));
            Ok(0)
        }
        Err(error) => {
            let ours = py.import("difftest.errors")?.getattr("DifftestError")?;
            if error.matches(py, ours)? { Ok(fail(&error.value(py))) } else { Err(error) }
        }
    }
}
