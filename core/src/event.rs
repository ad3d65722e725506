//! The stream of events that carries every run.
//!
//! The engine writes one JSON object a line; everything downstream is a fold over it. The schema
//! is append-only: fields and kinds may be added, none renamed or removed. Readers ignore kinds
//! they do not know ([`Event::Unknown`]). `docs/events.md` documents it for users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ImageSha;
use crate::metric::MetricInfo;
use crate::recipe::RecipeSettings;
use crate::suite::{CollectionError, TestId, TestSpec};

/// The version of this schema, in `run_started.schema`.
pub const SCHEMA: u32 = 1;

/// Which image of a test: prompts are named by their text after expansion.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellKey {
    pub test: TestId,
    pub prompt: String,
    pub seed: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRef {
    /// SHA-256 of the PNG file's bytes.
    pub sha256: ImageSha,
    /// Relative to the run's directory.
    pub path: String,
    pub width: u32,
    pub height: u32,
}

/// What could move an image by a bit: byte equality is claimed only where these are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub device: String,
    pub threads: u32,
    pub batch_size: u32,
    /// Library name to version: difftest, the back end, and what it computes with.
    pub versions: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    Passed,
    /// A threshold was missed or an assertion failed.
    Failed,
    /// It could not be judged: a cell, a metric or the test's body broke.
    Error,
    /// The run ended before it.
    NotRun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Passed,
    Failed,
    /// The run is not to be trusted: nothing discovered, a file that could not be read, a back
    /// end that did not load.
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        schema: u32,
        run: String,
        /// The model as the user named it.
        model: String,
        generator: String,
        /// Of weights and options together: equal fingerprints promise equal recipes.
        fingerprint: String,
        environment: Environment,
        /// The whole suite, so that a reader needs no other source.
        tests: Vec<TestSpec>,
        metrics: Vec<MetricInfo>,
        cells: u64,
        /// What the configuration says of every image.
        #[serde(default)]
        recipe: RecipeSettings,
    },
    /// A test file that could not be collected.
    CollectionFailed {
        #[serde(flatten)]
        error: CollectionError,
    },
    TestStarted {
        test: TestId,
    },
    CellGenerated {
        #[serde(flatten)]
        cell: CellKey,
        image: ImageRef,
        duration_ms: f64,
        /// What a hosted back end charged for it, in US dollars, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_usd: Option<f64>,
        /// Attempts before the one that succeeded.
        #[serde(default, skip_serializing_if = "is_zero")]
        retries: u32,
        /// Taken from the cache, not made.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
    },
    /// One failed cell, never a lost run.
    CellFailed {
        #[serde(flatten)]
        cell: CellKey,
        /// One sentence for a person.
        reason: String,
        /// The traceback, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<String>,
        /// Attempts before the last one.
        #[serde(default, skip_serializing_if = "is_zero")]
        retries: u32,
        /// The machine or the service failed, not what is under test: a hosted back end that does
        /// not answer, a full disk.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        infra: bool,
    },
    CellScored {
        #[serde(flatten)]
        cell: CellKey,
        metric: String,
        value: f64,
    },
    /// The score of all images of a test together, by a metric of category `batch`.
    BatchScored {
        test: TestId,
        metric: String,
        #[serde(flatten)]
        score: BatchScore,
    },
    /// A run that is steered (`--steer`) has said everything of the images it was told to make,
    /// and waits for its next command. Round 0 is before the first image.
    RoundFinished {
        round: u32,
    },
    VerdictChanged {
        test: TestId,
        metric: String,
        decision: crate::verdict::Decision,
    },
    /// What this process used, sampled at a steady cadence.
    Telemetry {
        /// Resident memory now.
        rss_bytes: u64,
        /// The most it ever was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rss_peak_bytes: Option<u64>,
        /// User and system time since the process began.
        cpu_seconds: f64,
        /// The card's memory that this process holds now; none without a card.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vram_bytes: Option<u64>,
        /// The most of it since the run began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vram_peak_bytes: Option<u64>,
        /// The test whose images were being made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<TestId>,
    },
    Log {
        level: LogLevel,
        message: String,
    },
    TestFinished {
        test: TestId,
        outcome: TestOutcome,
        /// Why it did not pass, a sentence each.
        #[serde(default)]
        reasons: Vec<String>,
        duration_ms: f64,
    },
    RunFinished {
        status: RunStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        duration_ms: f64,
    },
    /// A kind of a later schema.
    #[serde(other)]
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// One score of a set of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchScore {
    pub value: f64,
    /// How many images it was computed from.
    pub samples: usize,
    /// What a reader must know of it, for instance its bias at so few images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it would be of other prompts: bootstrap replicates, whose weights depend on replicate
    /// and prompt alone. Those of two runs are pairs. Empty where the metric has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicates: Vec<f64>,
}

/// A line of an event stream that is not an event.
#[derive(Debug, thiserror::Error)]
#[error("event stream, line {line}: {source}")]
pub struct MalformedLine {
    pub line: usize,
    pub source: serde_json::Error,
}

impl Event {
    /// The event as its line, without the line feed.
    pub fn to_line(&self) -> String {
        // Maps have string keys and numbers are finite where it matters: serialisation is total.
        serde_json::to_string(self)
            .unwrap_or_else(|e| format!(r#"{{"event":"unserialisable","error":"{e}"}}"#))
    }
}

/// Reads a stream that may have been cut anywhere: a last line without its line feed is an
/// unfinished write and is left out, anything else that does not parse is an error.
pub fn read_stream(bytes: &[u8]) -> Result<Vec<Event>, MalformedLine> {
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    bytes[..complete]
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|source| MalformedLine { line: index + 1, source })
        })
        .collect()
}
