//! From paired scores to a decision. Pure: the same pairs give the same decision.

pub mod asymptotic;
pub mod betting;
pub mod bootstrap;
pub mod e_bh;
pub mod group_sequential;
pub mod moments;
pub mod paired;
pub mod ranking;
pub mod resample;
pub mod sequence;
pub mod tail;
pub mod welch;

use serde::{Deserialize, Serialize};

/// What is decided about a test, or about one metric of it. In order of gravity: the decision of
/// a whole is the gravest of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Not worse: by more than the margin in the mean, nor by much in a share of the images; or a
    /// threshold holds and is all that was asked for.
    Pass,
    /// A pass, and better than the base by more than the margin.
    Improved,
    /// The pairs do not decide. Never dressed up as a pass.
    Inconclusive,
    /// It says nothing of the change: the machine or a service failed.
    Infra,
    /// Different from the base, where different need not be worse. A person has to look.
    Changed,
    /// An absolute threshold is missed or an assertion failed, whatever the base does.
    Failed,
    /// Worse than the base by more than the margin, at the run's error rate.
    Regressed,
    /// It could not be judged: a file could not be read, cells failed, or a side did not finish.
    Error,
}

impl Decision {
    /// Whether there is nothing left to look at.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Pass | Self::Improved)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Improved => "improved",
            Self::Inconclusive => "inconclusive",
            Self::Infra => "infra",
            Self::Changed => "changed",
            Self::Failed => "failed",
            Self::Regressed => "regressed",
            Self::Error => "error",
        }
    }
}
