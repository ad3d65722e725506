//! From paired scores to a decision. Pure: the same pairs give the same decision.

use serde::{Deserialize, Serialize};

/// What is decided about a test, or about one metric of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Not worse: every pair of images is byte-identical, or a stated threshold holds and is all
    /// that was asked for.
    Pass,
    /// Worse than the base by more than the margin, at the run's error rate.
    Regressed,
    /// An absolute threshold is missed or an assertion failed, whatever the base does.
    Failed,
    /// The pairs do not decide. Never dressed up as a pass.
    Inconclusive,
    /// It could not be judged: cells failed, or a side did not finish.
    Error,
}
