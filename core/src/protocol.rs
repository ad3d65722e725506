//! What an App and a runner say to each other. They meet here and nowhere else.
//!
//! | call | answer |
//! |---|---|
//! | `POST /api/v1/runner/claim` [`ClaimRequest`] | 200 [`Claim`], or 204 when `wait_ms` passed without a job |
//! | `POST /api/v1/runner/jobs/{job}/renew` | 200 [`Renewal`], 409 when the lease is lost |
//! | `POST /api/v1/runner/jobs/{job}/git-token` | 200 [`GitToken`] |
//! | `POST /api/v1/runner/jobs/{job}/events/{role}?offset=N`, bytes | 200 [`Appended`]; 409 [`Appended`] when `N` is beyond the log's end |
//! | `PUT /api/v1/runner/jobs/{job}/images/{sha256}`, PNG | 201, or 200 when it was there |
//! | `POST /api/v1/runner/jobs/{job}/complete` [`Completion`] | 204, also when repeated; 409 when the lease is lost |
//!
//! Every call has `Authorization: Bearer <runner token>`; all but the claim also name the lease
//! in [`LEASE_HEADER`]. A lost lease changes nothing: the App fences every write by it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::VerdictSettings;
use crate::ids::{CommitSha, RepoName};

/// The header that fences a job's calls.
pub const LEASE_HEADER: &str = "x-difftest-lease";

/// The largest image that is taken, in bytes.
pub const MAX_IMAGE_BYTES: usize = 64 << 20;
/// The largest image that is taken, in pixels a side.
pub const MAX_IMAGE_SIDE: u32 = 16_384;
/// The largest event log of one side of a job, in bytes.
pub const MAX_EVENT_BYTES: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A string that is never shown: its `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for a header or a comparison, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which of the two commits of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Base,
    Head,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Base, Self::Head];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The runner's name, for people.
    pub runner: String,
    /// A job goes only to a runner that has all of the job's labels.
    pub labels: Vec<String>,
    /// How long the App may hold the call open, in milliseconds. At most 60,000.
    pub wait_ms: u64,
}

/// A job, leased. Work starts after the first acknowledged renewal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub job: JobId,
    /// Counts from 1.
    pub attempt: u32,
    pub lease_token: Secret,
    /// The lease ends this long after the last acknowledged renewal. Renew every quarter of it.
    pub lease_ttl_ms: u64,
    pub spec: JobSpec,
}

/// What a job does: one suite at two commits of one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    pub repository: RepoName,
    pub clone_url: String,
    pub base: CommitSha,
    pub head: CommitSha,
    /// The suite's name in `difftest.toml`. Each side is run with its own commit's settings of
    /// it, except those below, which come from the base commit.
    pub suite: String,
    pub timeout_s: u64,
    /// Whether the sandbox has a network.
    pub network: bool,
    /// What decides when there are enough images; from the base commit, as the judge's.
    #[serde(default)]
    pub verdict: VerdictSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Stop the job: its pull request has moved on.
    pub cancel: bool,
    /// Finish this job and claim no other.
    pub drain: bool,
}

/// A read token for one repository: it stays with the runner and never reaches the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitToken {
    pub token: Secret,
}

/// How far the App has the log, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    pub length: u64,
}

/// How a job ended, as the runner saw it. What the images are worth is not the runner's to say:
/// the App folds the events itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Completion {
    /// Both sides ran to their end, whatever they found.
    Finished {
        sandbox: Sandbox,
    },
    /// The machine's fault, not the repository's: another attempt may go better.
    Infrastructure {
        reason: String,
    },
    /// The job's time limit passed.
    TimedOut {
        reason: String,
    },
    Cancelled,
}

/// What stood between the job and the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    Bubblewrap,
    /// Nothing did. Said loudly wherever the job is reported.
    None,
}
