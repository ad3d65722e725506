//! Base against head: pairs by test, prompt and seed, and what they decide.
//!
//! The same function judges a run that is over and one that is under way: what a metric is
//! waiting for is part of its verdict ([`MetricComparison::settled`]), and that is all that
//! whoever steers a run ([`crate::steering`]) asks of it.

pub mod classic;
mod images;
mod judging;
mod measure;
mod notes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell;
use crate::config::VerdictSettings;
use crate::event::{CellKey, RunStatus};
use crate::ids::ImageSha;
use crate::result::{CellFailure, Run, Summary};
use crate::suite::{CollectionError, Place, TestId, TestSpec};
use crate::verdict::paired::{PairedVerdict, Standing};
use crate::verdict::{Decision, e_bh};

use judging::TestJudge;
use measure::Measured;

/// The pairs that are kept for showing, of each test. The rest is counted.
pub const SHOWN_PAIRS: usize = 12;

/// The verdict on a head commit, with everything that a report says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub decision: Decision,
    /// In the order of the head's discovery.
    pub tests: Vec<TestComparison>,
    /// Test files of the head that could not be read.
    pub collection_errors: Vec<CollectionError>,
    /// What a reader must know beside the tests: a base that did not run, tests that are gone.
    pub notes: Vec<String>,
    /// The error rate that the whole comparison keeps.
    pub alpha: f64,
    /// None where the base did not start.
    pub base: Option<SideSummary>,
    /// None where the head did not start.
    pub head: Option<SideSummary>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideSummary {
    pub model: String,
    pub generator: String,
    pub fingerprint: String,
    pub device: String,
    pub images: u64,
    pub duration_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestComparison {
    pub id: TestId,
    pub place: Place,
    pub decision: Decision,
    /// Why, for people. The first is the reason for the decision.
    pub sentences: Vec<String>,
    pub metrics: Vec<MetricComparison>,
    /// The pairs that differ, those that lost most first, at most [`SHOWN_PAIRS`].
    pub changed: Vec<ImagePair>,
    pub pairs: usize,
    pub identical_pairs: usize,
    /// The pairs that there would be at most.
    #[serde(default)]
    pub planned_pairs: usize,
    /// Whether more images would change nothing.
    #[serde(default)]
    pub settled: bool,
    /// Cells of the head that failed, at most [`SHOWN_PAIRS`].
    pub failures: Vec<CellFailure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricComparison {
    pub name: String,
    pub decision: Decision,
    /// None for a metric that already compares an image with the base's.
    pub base: Option<Summary>,
    pub head: Summary,
    pub threshold: Option<f64>,
    pub paired: Option<PairedVerdict>,
    /// Whether more images would change nothing.
    #[serde(default)]
    pub settled: bool,
    /// A loss that waits to be seen on fresh seeds too.
    #[serde(default)]
    pub confirming: bool,
    /// Units that may be needed yet, as things stand; none where no number of them seems enough.
    #[serde(default)]
    pub forecast: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePair {
    pub prompt: String,
    pub seed: i64,
    pub base: ImageSha,
    pub head: ImageSha,
    /// Metric, score of the base where it has one, score of the head.
    pub scores: Vec<(String, Option<f64>, f64)>,
}

/// The cells of a test that a verdict plans with, in the order they are made when the run is
/// steered. None for a test that cannot be expanded.
pub fn planned_cells(spec: &TestSpec, settings: &VerdictSettings) -> Option<Vec<CellKey>> {
    let mut cells = cell::in_random_order(cell::expand(spec).ok()?);
    cells.truncate(at_most(cells.len(), spec, settings));
    Some(cells)
}

/// How many they are: what a judge wants to know, at every look.
fn planned_count(spec: &TestSpec, settings: &VerdictSettings) -> Option<usize> {
    Some(at_most(cell::expand(spec).ok()?.len(), spec, settings))
}

/// Whole prompts, and at least one.
fn at_most(cells: usize, spec: &TestSpec, settings: &VerdictSettings) -> usize {
    let seeds = cell::seeds(spec).len().max(1);
    let limit = |most: u32| (most as usize / seeds).max(1) * seeds;
    settings.max_pairs.map_or(cells, |most| limit(most).min(cells))
}

/// Compares two runs of one suite. Without a base, thresholds alone can decide.
///
/// α is the chance that a run without a regression reports one: the regressions of all tests and
/// metrics are claims that e-BH weighs together. A pass is one claim alone: a run passes only if
/// everything in it does, so it does so wrongly no more often than its one worst metric.
pub fn compare(base: Option<&Run>, head: &Run, settings: &VerdictSettings) -> Comparison {
    let usable_base = base.filter(|b| !b.tests.is_empty());
    let same = SameBytes::of(usable_base, head, settings.alpha, settings.tail.share);
    let claims: usize = head.tests.iter().map(|t| t.spec.metrics().len()).sum();
    let judges: Vec<TestJudge<'_>> = head
        .tests
        .iter()
        .map(|test| {
            let partner = usable_base.and_then(|b| b.test(&test.spec.id));
            TestJudge::new(partner, test, (usable_base, head), settings, claims, same)
        })
        .collect();
    let measured: Vec<Vec<Measured<'_>>> = judges.iter().map(TestJudge::measure).collect();
    let standing = weigh(&measured, claims, settings.alpha);
    let tests: Vec<TestComparison> = judges
        .iter()
        .zip(&measured)
        .zip(&standing)
        .map(|((judge, measured), standing)| judge.judge(measured, standing))
        .collect();

    let mut notes = notes::of(base, head, settings, &tests);
    let mut decision = tests.iter().map(|t| t.decision).max().unwrap_or(Decision::Error);
    if !head.collection_errors.is_empty() || head.status == Some(RunStatus::Error) {
        decision = Decision::Error;
    }
    if let Some(note) = notes::unfinished(head) {
        if head.status.is_none() {
            decision = Decision::Error;
        }
        notes.push(note);
    }
    Comparison {
        decision,
        tests,
        collection_errors: head.collection_errors.clone(),
        notes,
        alpha: settings.alpha,
        base: usable_base.map(side),
        head: (!head.tests.is_empty()).then(|| side(head)),
    }
}

/// Which claims of each metric stand: the regressions of all of them together, and the
/// improvements of all of them together. A claim that nobody could measure counts all the same.
fn weigh(measured: &[Vec<Measured<'_>>], claims: usize, alpha: f64) -> Vec<Vec<Standing>> {
    let stands = |ln_e: &dyn Fn(&Measured<'_>) -> f64| {
        let mut all: Vec<f64> = measured.iter().flatten().map(ln_e).collect();
        let measurable = all.len();
        all.resize(claims.max(measurable), f64::NEG_INFINITY);
        e_bh::stand(&all, alpha).into_iter()
    };
    let mut regressed = stands(&|m| m.ln_regressed());
    let mut improved = stands(&|m| m.ln_improved());
    let mut next = || Standing {
        regressed: regressed.next().unwrap_or(false),
        improved: improved.next().unwrap_or(false),
    };
    measured.iter().map(|metrics| metrics.iter().map(|_| next()).collect()).collect()
}

/// Whether every pair of the whole run, so far, is of the same bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SameBytes {
    /// Enough of them, under equal conditions, that no more need be made: fewer than the tail's
    /// share of the images can be another one.
    is_enough: bool,
    pairs: usize,
}

impl SameBytes {
    fn of(base: Option<&Run>, head: &Run, alpha: f64, share: f64) -> Self {
        let Some(base) = base else { return Self::default() };
        let mut pairs = 0;
        for test in &head.tests {
            let Some(partner) = base.test(&test.spec.id) else { continue };
            for (key, cell) in &test.cells {
                let Some(other) = partner.cells.get(key) else { continue };
                match (&other.image, &cell.image) {
                    (Some(a), Some(b)) if a.sha256 == b.sha256 => pairs += 1,
                    (None, None) => {}
                    _ => return Self::default(),
                }
            }
        }
        let needed = (alpha.ln() / (-share).ln_1p()).ceil() as usize;
        let equal = base.environment == head.environment;
        Self { is_enough: equal && pairs >= needed, pairs }
    }
}

fn side(run: &Run) -> SideSummary {
    SideSummary {
        model: run.model.clone(),
        generator: run.generator.clone(),
        fingerprint: run.fingerprint.clone(),
        device: run.environment.device.clone(),
        images: run.cells_done,
        duration_ms: run.duration_ms,
    }
}

/// Of each test: the prompts and seeds that both sides have an image of.
type Matched<'a> = BTreeMap<&'a CellKey, (&'a ImageSha, &'a ImageSha)>;
