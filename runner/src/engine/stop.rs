//! Why a run ends before its last test, said once and seen by every thread of it.

use std::sync::OnceLock;

use difftest_core::config::show_duration;
use difftest_core::suite::TestId;

/// What ended the run early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupted,
    /// `--timeout`, in seconds.
    Timeout(u64),
    /// `--fail-fast`: this test did not pass.
    FailFast(TestId),
    /// A thread of the run has failed; its error is the run's.
    Broken,
}

impl Stop {
    /// Why the rest was not run.
    pub fn reason(&self) -> String {
        match self {
            Self::Interrupted => "interrupted".to_owned(),
            Self::Timeout(limit) => {
                format!("the run took longer than its timeout of {}", show_duration(*limit))
            }
            Self::FailFast(test) => format!("{test} did not pass, and --fail-fast was given"),
            Self::Broken => "the run has failed".to_owned(),
        }
    }
}

/// Raised at most once: the first reason is the reason.
#[derive(Debug, Default)]
pub struct StopFlag(OnceLock<Stop>);

impl StopFlag {
    /// Answers whether it was not raised before.
    pub fn raise(&self, stop: Stop) -> bool {
        self.0.set(stop).is_ok()
    }

    pub fn raised(&self) -> Option<&Stop> {
        self.0.get()
    }
}
