//! The result of a run: a fold over its events, and the JSON that `difftest run --output` writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{CellKey, Environment, Event, ImageRef, RunStatus, TestOutcome};
use crate::metric::MetricInfo;
use crate::suite::{CollectionError, TestId, TestSpec};

/// Everything a stream said, in the shape that comparison and reports read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub id: String,
    pub model: String,
    pub generator: String,
    pub fingerprint: String,
    pub environment: Environment,
    pub metrics: BTreeMap<String, MetricInfo>,
    /// In the order of discovery.
    pub tests: Vec<TestRun>,
    pub collection_errors: Vec<CollectionError>,
    /// None while the run goes on, or when it died.
    pub status: Option<RunStatus>,
    pub reason: Option<String>,
    pub duration_ms: f64,
    pub cells_planned: u64,
    pub cells_done: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TestRun {
    pub spec: TestSpec,
    pub cells: BTreeMap<CellKey, CellRun>,
    /// None until the test has finished.
    pub outcome: Option<TestOutcome>,
    pub reasons: Vec<String>,
    pub duration_ms: f64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CellRun {
    pub image: Option<ImageRef>,
    pub scores: BTreeMap<String, f64>,
    pub failure: Option<String>,
}

impl CellRun {
    fn is_done(&self) -> bool {
        self.image.is_some() || self.failure.is_some()
    }
}

impl Run {
    /// Folds a whole stream.
    pub fn from_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut run = Self::default();
        for event in events {
            run.apply(event);
        }
        run
    }

    /// Folds one event. An event about a test or a cell that was never announced is ignored: the
    /// stream may come from code that is not trusted.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                run,
                model,
                generator,
                fingerprint,
                environment,
                tests,
                metrics,
                cells,
                ..
            } => {
                self.id.clone_from(run);
                self.model.clone_from(model);
                self.generator.clone_from(generator);
                self.fingerprint.clone_from(fingerprint);
                self.environment.clone_from(environment);
                self.metrics = metrics.iter().map(|m| (m.name.clone(), m.clone())).collect();
                self.tests = tests
                    .iter()
                    .map(|spec| TestRun {
                        spec: spec.clone(),
                        cells: BTreeMap::new(),
                        outcome: None,
                        reasons: Vec::new(),
                        duration_ms: 0.0,
                    })
                    .collect();
                self.cells_planned = *cells;
            }
            Event::CollectionFailed { error } => self.collection_errors.push(error.clone()),
            Event::CellGenerated { cell, image, .. } => {
                if let Some(cell) = self.cell(cell) {
                    let first = !cell.is_done();
                    cell.image = Some(image.clone());
                    self.cells_done += u64::from(first);
                }
            }
            Event::CellFailed { cell, reason, .. } => {
                // A cell whose image came and whose metric broke says both.
                if let Some(cell) = self.cell(cell) {
                    let first = !cell.is_done();
                    cell.failure = Some(reason.clone());
                    self.cells_done += u64::from(first);
                }
            }
            Event::CellScored { cell, metric, value } => {
                if let Some(cell) = self.cell(cell) {
                    cell.scores.insert(metric.clone(), *value);
                }
            }
            Event::TestFinished { test, outcome, reasons, duration_ms } => {
                if let Some(test) = self.test_mut(test) {
                    test.outcome = Some(*outcome);
                    test.reasons.clone_from(reasons);
                    test.duration_ms = *duration_ms;
                }
            }
            Event::RunFinished { status, reason, duration_ms } => {
                self.status = Some(*status);
                self.reason.clone_from(reason);
                self.duration_ms = *duration_ms;
            }
            Event::TestStarted { .. }
            | Event::VerdictChanged { .. }
            | Event::Telemetry { .. }
            | Event::Log { .. }
            | Event::Unknown => {}
        }
    }

    pub fn test(&self, id: &TestId) -> Option<&TestRun> {
        self.tests.iter().find(|t| t.spec.id == *id)
    }

    fn test_mut(&mut self, id: &TestId) -> Option<&mut TestRun> {
        self.tests.iter_mut().find(|t| t.spec.id == *id)
    }

    fn cell(&mut self, key: &CellKey) -> Option<&mut CellRun> {
        Some(self.test_mut(&key.test)?.cells.entry(key.clone()).or_default())
    }

    /// The JSON of `--output`.
    pub fn report(&self) -> RunReport {
        let results: Vec<TestReport> = self.tests.iter().map(|t| t.report(&self.metrics)).collect();
        RunReport {
            schema: crate::event::SCHEMA,
            run: self.id.clone(),
            model: self.model.clone(),
            generator: self.generator.clone(),
            fingerprint: self.fingerprint.clone(),
            environment: self.environment.clone(),
            status: self.status,
            total_passed: results.iter().filter(|t| t.passed).count(),
            total_failed: results.iter().filter(|t| !t.passed).count(),
            results,
            collection_errors: self.collection_errors.clone(),
            duration_ms: self.duration_ms,
        }
    }
}

impl TestRun {
    /// The scores of one metric, with the cells they belong to.
    pub fn scores<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a CellKey, f64)> + 'a {
        self.cells.iter().filter_map(move |(key, cell)| Some((key, *cell.scores.get(metric)?)))
    }

    fn report(&self, known: &BTreeMap<String, MetricInfo>) -> TestReport {
        let metrics = self
            .spec
            .metrics()
            .into_iter()
            .filter_map(|metric| {
                let values: Vec<f64> = self.scores(&metric).map(|(_, v)| v).collect();
                let summary = Summary::of(&values)?;
                let threshold = self.spec.threshold(&metric);
                let direction = known.get(&metric).map(|m| m.direction);
                let passed = match (direction, threshold) {
                    (Some(direction), Some(threshold)) => direction.holds(summary.mean, threshold),
                    _ => true,
                };
                let report = MetricReport { per_sample: values, summary, threshold, passed };
                Some((metric, report))
            })
            .collect();
        TestReport {
            name: self.spec.id.name().to_owned(),
            id: self.spec.id.clone(),
            passed: self.outcome == Some(TestOutcome::Passed),
            outcome: self.outcome.unwrap_or(TestOutcome::NotRun),
            reasons: self.reasons.clone(),
            metrics,
            images: self
                .cells
                .iter()
                .filter_map(|(key, cell)| {
                    Some(ImageReport {
                        path: cell.image.as_ref()?.path.clone(),
                        prompt: key.prompt.clone(),
                        seed: key.seed,
                    })
                })
                .collect(),
            failures: self
                .cells
                .iter()
                .filter_map(|(key, cell)| {
                    let reason = cell.failure.clone()?;
                    Some(CellFailure { prompt: key.prompt.clone(), seed: key.seed, reason })
                })
                .collect(),
            duration_ms: self.duration_ms,
        }
    }
}

/// Mean, spread and a 95% interval of the mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// Sample standard deviation (n − 1); 0 for one sample.
    pub std_dev: f64,
    /// The ends of the mean's 95% interval by the normal approximation, mean ± 1.96·s/√n.
    pub ci_lower: f64,
    pub ci_upper: f64,
    pub sample_count: usize,
}

impl Summary {
    /// None without samples.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = if values.len() < 2 {
            0.0
        } else {
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)
        };
        let half = 1.959_964 * (variance / n).sqrt();
        Some(Self {
            mean,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            std_dev: variance.sqrt(),
            ci_lower: mean - half,
            ci_upper: mean + half,
            sample_count: values.len(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub schema: u32,
    pub run: String,
    pub model: String,
    pub generator: String,
    pub fingerprint: String,
    pub environment: Environment,
    pub status: Option<RunStatus>,
    pub results: Vec<TestReport>,
    pub collection_errors: Vec<CollectionError>,
    pub total_passed: usize,
    pub total_failed: usize,
    pub duration_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    pub name: String,
    pub id: TestId,
    pub passed: bool,
    pub outcome: TestOutcome,
    pub reasons: Vec<String>,
    pub metrics: BTreeMap<String, MetricReport>,
    pub images: Vec<ImageReport>,
    pub failures: Vec<CellFailure>,
    pub duration_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    pub per_sample: Vec<f64>,
    #[serde(flatten)]
    pub summary: Summary,
    pub threshold: Option<f64>,
    pub passed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    pub path: String,
    pub prompt: String,
    pub seed: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellFailure {
    pub prompt: String,
    pub seed: i64,
    pub reason: String,
}
