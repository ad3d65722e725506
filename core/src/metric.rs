//! What is known of a metric before it is computed: its direction, its range, what it compares.

mod table;

use serde::{Deserialize, Serialize};

pub use table::{Builtin, METRICS};

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    HigherIsBetter,
    LowerIsBetter,
}

impl Direction {
    /// `head - base`, signed so that a positive difference is always an improvement.
    pub fn improvement(self, base: f64, head: f64) -> f64 {
        match self {
            Self::HigherIsBetter => head - base,
            Self::LowerIsBetter => base - head,
        }
    }

    /// Whether `value` satisfies the absolute `threshold` of a test.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::HigherIsBetter => value >= threshold,
            Self::LowerIsBetter => value <= threshold,
        }
    }

    pub fn comparison(self) -> &'static str {
        match self {
            Self::HigherIsBetter => "≥",
            Self::LowerIsBetter => "≤",
        }
    }
}

/// What a metric needs beside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// One score per image, from the image and its prompt.
    PerSample,
    /// One score per image, from the image and a reference image.
    Reference,
    /// One score per set of images.
    Batch,
}

/// A metric as the verdict and the reports see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricInfo {
    pub name: String,
    pub direction: Direction,
    pub category: Category,
    /// The smallest and largest possible score, where the metric has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// The loss, in the metric's own unit, that a reviewer would still accept: the verdict's δ
    /// where the configuration gives none.
    pub margin: f64,
    /// The digest of the weights it computes with, as `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Of a batch metric: fewer images than this give no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<u32>,
}

impl From<&Builtin> for MetricInfo {
    fn from(metric: &Builtin) -> Self {
        Self {
            name: metric.name.into(),
            direction: metric.direction,
            category: metric.category,
            range: metric.range,
            margin: metric.margin,
            weights: None,
            min_samples: metric.min_samples,
        }
    }
}

/// The metrics that come with difftest, native ones first.
pub fn builtin() -> Vec<MetricInfo> {
    METRICS.iter().map(MetricInfo::from).collect()
}

/// The built-in metric of this name.
pub fn find(name: &str) -> Option<MetricInfo> {
    METRICS.iter().find(|m| m.name == name).map(MetricInfo::from)
}

/// The candidate most like `word`, if any is like enough to be what was meant: at most a third of
/// its letters differ, as in rustc's suggestions. A far-fetched one misleads more than none.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (c.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_likely_misspelling_is_suggested() {
        let known = ["clip_score", "ssim"];
        assert_eq!(nearest("clip_scor", known), Some("clip_score"));
        assert_eq!(nearest("SSIM", known), Some("ssim"));
        assert_eq!(nearest("blue_share", known), None);
        assert_eq!(nearest("x", known), None);
    }
}
