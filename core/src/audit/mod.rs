//! Which sources of difference move the images and the metrics of a suite, and by how much: two
//! runs of one suite that differ in one thing, image by image. Pure; docs/calibration.md is the
//! page.

mod conclusion;
mod measure;
mod pixels;
mod show;

use serde::Serialize;

pub use conclusion::conclusion;
pub use measure::{Measured, MetricShift, Reach, ReferenceScore, measure};
pub use pixels::{Compared, PixelDifference, compare_pixels};
pub use show::{markdown, table};

/// What may differ between two runs that should be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nothing: the same run once more.
    Again,
    BatchSize,
    Threads,
    Dtype,
    Device,
    Attention,
}

impl Source {
    pub const ALL: [Self; 6] =
        [Self::Again, Self::BatchSize, Self::Threads, Self::Dtype, Self::Device, Self::Attention];

    /// As `--only` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::BatchSize => "batch_size",
            Self::Threads => "threads",
            Self::Dtype => "dtype",
            Self::Device => "device",
            Self::Attention => "attention",
        }
    }

    /// As a sentence begins with it.
    pub(crate) fn subject(self) -> &'static str {
        match self {
            Self::Again => "The same run again",
            Self::BatchSize => "Batch size",
            Self::Threads => "The number of threads",
            Self::Dtype => "The number format",
            Self::Device => "The device",
            Self::Attention => "The attention back end",
        }
    }

    /// Runs that differ in it.
    pub(crate) fn runs(self) -> &'static str {
        match self {
            Self::Again => "repeated runs",
            Self::BatchSize => "runs of different batch sizes",
            Self::Threads => "runs with different numbers of threads",
            Self::Dtype => "runs in different number formats",
            Self::Device => "runs on different devices",
            Self::Attention => "runs with different attention back ends",
        }
    }
}

/// One thing that was changed, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub source: Source,
    /// What it was changed to, as `batch size 1`; empty where nothing could be.
    pub setting: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    Measured(Measured),
    /// The generator has no such option; why that is known.
    NotOffered {
        reason: String,
    },
    /// This machine does not have it.
    NotHere {
        reason: String,
    },
    /// The run could not be made; its own words.
    Failed {
        reason: String,
    },
}

/// The whole audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    pub model: String,
    pub generator: String,
    /// Of the reference run.
    pub device: String,
    pub threads: u32,
    pub batch_size: u32,
    pub images: u64,
    pub findings: Vec<Finding>,
    pub notes: Vec<String>,
}

impl Audit {
    /// The findings of one source, by each source that has one.
    pub(crate) fn by_source(&self) -> impl Iterator<Item = (Source, Vec<&Finding>)> {
        Source::ALL.into_iter().filter_map(|source| {
            let of: Vec<&Finding> = self.findings.iter().filter(|f| f.source == source).collect();
            (!of.is_empty()).then_some((source, of))
        })
    }

    /// One sentence a source, for people.
    pub fn conclusions(&self) -> Vec<String> {
        self.by_source().map(|(source, findings)| conclusion(source, &findings)).collect()
    }
}
