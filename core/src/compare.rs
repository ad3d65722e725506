//! Base against head: pairs by test, prompt and seed, and what they decide.

use serde::{Deserialize, Serialize};

use crate::config::VerdictSettings;
use crate::event::{CellKey, RunStatus, TestOutcome};
use crate::ids::ImageSha;
use crate::metric::{Category, MetricInfo};
use crate::result::{CellFailure, Run, Summary, TestRun};
use crate::suite::{CollectionError, Place, TestId, TestKind};
use crate::threshold;
use crate::verdict::Decision;
use crate::verdict::paired::{self, Pair, PairedVerdict, Policy};

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

/// Compares two runs of one suite. Without a base, thresholds alone can decide.
///
/// The run's α is shared out evenly over its test × metric decisions (Bonferroni), so that a
/// larger suite does not raise more false alarms.
pub fn compare(base: Option<&Run>, head: &Run, settings: &VerdictSettings) -> Comparison {
    let decisions: usize = head.tests.iter().map(|t| t.spec.metrics().len()).sum();
    let alpha = settings.alpha / decisions.max(1) as f64;
    let usable_base = base.filter(|b| !b.tests.is_empty());
    let tests: Vec<TestComparison> = head
        .tests
        .iter()
        .map(|test| {
            let partner = usable_base.and_then(|b| b.test(&test.spec.id));
            TestJudge { base: partner, head: test, run: head, settings, alpha }.judge()
        })
        .collect();
    let mut notes = Vec::new();
    note_base(&mut notes, base, head);
    let mut decision = tests.iter().map(|t| t.decision).max().unwrap_or(Decision::Error);
    if !head.collection_errors.is_empty() || head.status == Some(RunStatus::Error) {
        decision = Decision::Error;
    }
    if head.tests.is_empty() && head.collection_errors.is_empty() {
        notes.push(match &head.reason {
            Some(reason) => format!("the head could not be run: {reason}"),
            None => "no test was found at the head commit".to_owned(),
        });
    } else if head.status.is_none() {
        decision = Decision::Error;
        notes.push("the head's run did not finish: its process ended before its last event".into());
    } else if let (Some(RunStatus::Error), Some(reason), []) =
        (head.status, &head.reason, head.collection_errors.as_slice())
    {
        notes.push(reason.clone());
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

fn note_base(notes: &mut Vec<String>, base: Option<&Run>, head: &Run) {
    let Some(base) = base else {
        notes.push("the base commit was not run, so nothing was compared with it".into());
        return;
    };
    for error in &base.collection_errors {
        notes.push(format!(
            "the base commit's {}:{} could not be read: {}",
            error.place.file, error.place.line, error.message
        ));
    }
    if base.tests.is_empty() && base.collection_errors.is_empty() {
        notes.push(match &base.reason {
            Some(reason) => format!("the base commit could not be run: {reason}"),
            None => "the base commit has no tests to compare with".to_owned(),
        });
    } else if base.status.is_none() {
        notes.push("the base commit's run did not finish; pairs are those it left".into());
    }
    let gone: Vec<&str> = base
        .tests
        .iter()
        .map(|t| &t.spec.id)
        .filter(|id| head.test(id).is_none())
        .map(TestId::as_str)
        .collect();
    if !gone.is_empty() && head.collection_errors.is_empty() {
        notes.push(format!("no longer there: {}", gone.join(", ")));
    }
    if !base.tests.is_empty() && !head.tests.is_empty() && base.environment != head.environment {
        notes.push(format!(
            "the two sides ran under unequal conditions ({}); a difference of a bit may come from that",
            differing(&base.environment, &head.environment)
        ));
    }
}

fn differing(base: &crate::event::Environment, head: &crate::event::Environment) -> String {
    let mut parts = Vec::new();
    if base.device != head.device {
        parts.push(format!("device {} and {}", base.device, head.device));
    }
    if base.threads != head.threads {
        parts.push(format!("{} and {} threads", base.threads, head.threads));
    }
    if base.batch_size != head.batch_size {
        parts.push(format!("batches of {} and {}", base.batch_size, head.batch_size));
    }
    for (library, version) in &head.versions {
        match base.versions.get(library) {
            Some(other) if other == version => {}
            other => parts
                .push(format!("{library} {} and {version}", other.map_or("none", String::as_str))),
        }
    }
    if parts.is_empty() { "other libraries".into() } else { parts.join(", ") }
}

struct TestJudge<'a> {
    base: Option<&'a TestRun>,
    head: &'a TestRun,
    run: &'a Run,
    settings: &'a VerdictSettings,
    alpha: f64,
}

/// Two images of one cell.
struct Matched<'a> {
    key: &'a CellKey,
    base: &'a ImageSha,
    head: &'a ImageSha,
}

impl TestJudge<'_> {
    fn judge(&self) -> TestComparison {
        let spec = &self.head.spec;
        let matched = self.matched();
        let identical = matched.iter().filter(|m| m.base == m.head).count();
        // The shortcut needs every image of the head to have its partner, and no cell to be gone.
        let all_identical = identical == self.head.cells.len()
            && identical > 0
            && self.base.is_some_and(|b| b.cells.len() == identical);

        let metrics: Vec<MetricComparison> = spec
            .metrics()
            .iter()
            .filter_map(|m| self.metric(self.run.metrics.get(m)?, all_identical))
            .collect();

        let mut decision =
            metrics.iter().map(|m| m.decision).max().unwrap_or(Decision::Inconclusive);
        let mut sentences = Vec::new();
        let failures: Vec<CellFailure> = self.failures();
        match self.head.outcome {
            None | Some(TestOutcome::Error | TestOutcome::NotRun) => {
                decision = Decision::Error;
                if self.head.reasons.is_empty() && failures.is_empty() {
                    sentences.push("the test did not finish".to_owned());
                }
            }
            Some(TestOutcome::Failed) => decision = decision.max(Decision::Failed),
            Some(TestOutcome::Passed) => {}
        }
        if let Some(first) = failures.first() {
            decision = Decision::Error;
            sentences.push(format!(
                "{} of {} images failed; the first, seed {}: {}",
                self.head.cells.values().filter(|c| c.failure.is_some()).count(),
                self.head.cells.len(),
                first.seed,
                first.reason
            ));
        }
        let regressions = metrics.iter().filter(|m| m.decision == Decision::Regressed);
        sentences.extend(
            regressions
                .filter_map(|m| Some(format!("{}: {}", m.name, m.paired.as_ref()?.sentence))),
        );
        sentences.extend(self.head.reasons.iter().cloned());
        if all_identical {
            sentences.push(format!("all {identical} images are byte-identical to the base's"));
        } else if self.base.is_none() {
            sentences.push("the base commit has no such test to compare with".to_owned());
        }
        let undecided = metrics.iter().filter(|m| m.decision == Decision::Inconclusive);
        sentences.extend(
            undecided.filter_map(|m| Some(format!("{}: {}", m.name, m.paired.as_ref()?.sentence))),
        );
        if sentences.is_empty() {
            sentences.push(match decision {
                Decision::Pass => "every image holds its threshold".to_owned(),
                _ => "nothing decides: there is no threshold and no pair".to_owned(),
            });
        }
        TestComparison {
            id: spec.id.clone(),
            place: spec.place.clone(),
            decision,
            sentences,
            changed: self.changed(&matched, &metrics),
            metrics,
            pairs: matched.len(),
            identical_pairs: identical,
            failures,
        }
    }

    fn matched(&self) -> Vec<Matched<'_>> {
        let Some(base) = self.base else { return Vec::new() };
        self.head
            .cells
            .iter()
            .filter_map(|(key, cell)| {
                let partner = base.cells.get(key)?;
                Some(Matched {
                    key,
                    base: &partner.image.as_ref()?.sha256,
                    head: &cell.image.as_ref()?.sha256,
                })
            })
            .collect()
    }

    fn failures(&self) -> Vec<CellFailure> {
        self.head
            .cells
            .iter()
            .filter_map(|(key, cell)| {
                let reason = cell.failure.clone()?;
                Some(CellFailure {
                    prompt: key.prompt.clone(),
                    seed: key.seed,
                    reason,
                    trace: cell.trace.clone(),
                    retries: cell.retries,
                })
            })
            .take(SHOWN_PAIRS)
            .collect()
    }

    /// None where the head has no score of it.
    fn metric(&self, info: &MetricInfo, all_identical: bool) -> Option<MetricComparison> {
        let name = &info.name;
        let head = self.head.summary(name)?;
        let scores: Vec<f64> = match info.category {
            Category::Batch => vec![head.mean],
            _ => self.head.scores(name).map(|(_, v)| v).collect(),
        };
        let missed = threshold::missed(&self.head.spec, info, &scores).is_some();
        let threshold = self.head.spec.threshold(name);
        // A visual regression's score already is the comparison with the base's image.
        let compares_itself = matches!(self.head.spec.kind, TestKind::VisualRegression { .. })
            || info.category != Category::PerSample;
        let paired = (!compares_itself).then(|| self.paired(info)).flatten();
        let decision = match (&paired, missed) {
            (Some(p), _) if p.decision == Decision::Error => Decision::Error,
            (Some(p), _) if p.decision == Decision::Regressed && !all_identical => {
                Decision::Regressed
            }
            (_, true) => Decision::Failed,
            (_, false) if all_identical => Decision::Pass,
            (Some(p), false) => p.decision,
            (None, false) if threshold.is_some() && (compares_itself || self.base.is_none()) => {
                Decision::Pass
            }
            (None, false) => Decision::Inconclusive,
        };
        let base = match info.category {
            Category::Batch => self.base.and_then(|base| base.summary(name)),
            _ if compares_itself => None,
            _ => self.base.and_then(|base| base.summary(name)),
        };
        Some(MetricComparison { name: name.clone(), decision, base, head, threshold, paired })
    }

    fn paired(&self, info: &MetricInfo) -> Option<PairedVerdict> {
        let base = self.base?;
        let pairs: Vec<Pair<'_>> = self
            .head
            .scores(&info.name)
            .filter_map(|(key, head)| {
                let score = *base.cells.get(key)?.scores.get(&info.name)?;
                Some(Pair { prompt: &key.prompt, seed: key.seed, base: score, head })
            })
            .collect();
        let margin = self.settings.margins.get(&info.name).copied().unwrap_or(info.margin);
        let policy = Policy { direction: info.direction, margin, alpha: self.alpha };
        (!pairs.is_empty()).then(|| paired::decide(&pairs, policy))
    }

    fn changed(&self, matched: &[Matched<'_>], metrics: &[MetricComparison]) -> Vec<ImagePair> {
        let mut pairs: Vec<(f64, ImagePair)> = matched
            .iter()
            .filter(|m| m.base != m.head)
            .map(|m| {
                let scores: Vec<(String, Option<f64>, f64)> = metrics
                    .iter()
                    .filter_map(|metric| {
                        let head = *self.head.cells.get(m.key)?.scores.get(&metric.name)?;
                        let base = metric.base.as_ref().and_then(|_| {
                            self.base?.cells.get(m.key)?.scores.get(&metric.name).copied()
                        });
                        Some((metric.name.clone(), base, head))
                    })
                    .collect();
                let gain = scores.first().map_or(0.0, |(name, base, head)| {
                    let direction = self.run.metrics.get(name).map(|m| m.direction);
                    direction.map_or(0.0, |d| d.improvement(base.unwrap_or(0.0), *head))
                });
                let pair = ImagePair {
                    prompt: m.key.prompt.clone(),
                    seed: m.key.seed,
                    base: m.base.clone(),
                    head: m.head.clone(),
                    scores,
                };
                (gain, pair)
            })
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        pairs.into_iter().map(|(_, pair)| pair).take(SHOWN_PAIRS).collect()
    }
}
