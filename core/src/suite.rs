//! Tests as their authors declared them, before expansion into cells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `path/to/test_file.py::function`, with `/` on every platform, relative to the repository's
/// root. Unique in a run, so that tests of the same name in two files never collide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestId(pub String);

impl TestId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The function's name: what people call the test.
    pub fn name(&self) -> &str {
        self.0.rsplit("::").next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for TestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a thing stands in the repository under test. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path relative to the repository's root, with `/`.
    pub file: String,
    pub line: u32,
}

/// What a test asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TestKind {
    /// `@difftest.test`: metrics on generated images, with absolute thresholds where given.
    Quality {
        metrics: Vec<String>,
        /// Only the metrics that have one. A metric without a threshold is measured and compared.
        #[serde(default)]
        thresholds: BTreeMap<String, f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference_dir: Option<String>,
    },
    /// `@difftest.visual_regression`: images against a stored baseline.
    VisualRegression { baseline_dir: String, ssim_threshold: f64 },
}

/// How the values of several variables come together in one prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Every value with every other.
    #[default]
    Product,
    /// The first values together, then the second ones: all variables have as many.
    Zip,
}

/// One decorated function, as discovery found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSpec {
    pub id: TestId,
    /// The decorator's line: where an annotation of a failure belongs.
    pub place: Place,
    #[serde(flatten)]
    pub kind: TestKind,
    /// Prompt templates: the named prompt suite's first, then the explicit ones.
    pub prompts: Vec<String>,
    #[serde(default)]
    pub variables: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub combine: Combine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    pub seeds: Vec<i64>,
    /// The name of the prompt suite, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
}

impl TestSpec {
    /// The metrics this test scores, in order.
    pub fn metrics(&self) -> Vec<String> {
        match &self.kind {
            TestKind::Quality { metrics, .. } => metrics.clone(),
            TestKind::VisualRegression { .. } => vec!["ssim".to_owned()],
        }
    }

    /// The absolute threshold of a metric, if the author gave one.
    pub fn threshold(&self, metric: &str) -> Option<f64> {
        match &self.kind {
            TestKind::Quality { thresholds, .. } => thresholds.get(metric).copied(),
            TestKind::VisualRegression { ssim_threshold, .. } => {
                (metric == "ssim").then_some(*ssim_threshold)
            }
        }
    }
}

/// A test file that could not be read as tests. The rest of the run goes on without it, and the
/// run does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionError {
    pub place: Place,
    /// What is wrong and how to mend it, in one or two sentences.
    pub message: String,
}
