//! The result of a run: a fold over its events, and the JSON that `difftest run --output` writes.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::event::{BatchScore, CellKey, Environment, Event, ImageRef, RunStatus, TestOutcome};
use crate::metric::MetricInfo;
use crate::recipe::RecipeSettings;
use crate::suite::{CollectionError, TestId, TestSpec};

/// Everything a stream said, in the shape that comparison and reports read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub id: String,
    pub model: String,
    pub generator: String,
    pub fingerprint: String,
    pub environment: Environment,
    pub recipe: RecipeSettings,
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
    /// Of a run that was steered: how far it was whenever it had asked what to do next.
    pub rounds: Vec<Round>,
    /// Where each test is, a hint to find it by: a search for every event would make the fold
    /// quadratic in the number of tests.
    pub index: HashMap<TestId, usize>,
}

/// A look at a steered run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub number: u32,
    /// How many images of each test were there.
    pub cells: BTreeMap<TestId, usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TestRun {
    pub spec: TestSpec,
    pub cells: BTreeMap<CellKey, CellRun>,
    /// Images of seeds that the test does not name, made to confirm what its own seeds showed.
    /// They are kept apart from everything else that is said of the test, its baseline above all.
    pub confirmation: BTreeMap<CellKey, CellRun>,
    /// By the batch metric's name.
    pub batch_scores: BTreeMap<String, BatchScore>,
    pub peak: Peak,
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
    /// The failure is the machine's or a service's, not that of what is under test.
    pub infra: bool,
    /// The traceback of the failure, where there is one.
    pub trace: Option<String>,
    /// Its share of the batch's time; 0 from the cache.
    pub duration_ms: f64,
    pub cost_usd: Option<f64>,
    pub retries: u32,
    pub cached: bool,
}

/// The most that the process used while a test's images were made, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    pub rss_bytes: Option<u64>,
    /// None without a card.
    pub vram_bytes: Option<u64>,
}

impl Peak {
    fn raise(&mut self, rss: u64, vram: Option<u64>) {
        self.rss_bytes = self.rss_bytes.max(Some(rss));
        self.vram_bytes = self.vram_bytes.max(vram);
    }
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
                recipe,
                ..
            } => {
                let again = !run.is_empty() && self.id == *run;
                self.id.clone_from(run);
                self.model.clone_from(model);
                self.generator.clone_from(generator);
                self.fingerprint.clone_from(fingerprint);
                self.environment.clone_from(environment);
                self.recipe.clone_from(recipe);
                let metrics = metrics.iter().map(|m| (m.name.clone(), m.clone())).collect();
                let mut earlier = if again { self.earlier(&metrics) } else { BTreeMap::new() };
                self.metrics = metrics;
                self.tests = tests
                    .iter()
                    .map(|spec| match earlier.remove(&spec.id) {
                        Some(test) if test.spec == *spec => test,
                        _ => TestRun::new(spec.clone()),
                    })
                    .collect();
                self.index =
                    self.tests.iter().enumerate().map(|(i, t)| (t.spec.id.clone(), i)).collect();
                self.cells_planned = *cells;
                self.cells_done = self.tests.iter().map(|t| t.cells.len() as u64).sum();
                self.rounds.clear();
                (self.status, self.reason) = (None, None);
                self.collection_errors.clear();
            }
            Event::CollectionFailed { error } => self.collection_errors.push(error.clone()),
            Event::CellGenerated { cell, image, duration_ms, cost_usd, retries, cached } => {
                if let Some(cell) = self.cell(cell) {
                    let first = !cell.is_done();
                    cell.image = Some(image.clone());
                    cell.duration_ms = *duration_ms;
                    cell.cost_usd = *cost_usd;
                    cell.retries = *retries;
                    cell.cached = *cached;
                    self.cells_done += u64::from(first);
                }
            }
            Event::CellFailed { cell, reason, trace, retries, infra } => {
                // A cell whose image came and whose metric broke says both.
                if let Some(cell) = self.cell(cell) {
                    let first = !cell.is_done();
                    cell.failure = Some(reason.clone());
                    cell.infra = *infra;
                    cell.trace.clone_from(trace);
                    cell.retries = cell.retries.max(*retries);
                    self.cells_done += u64::from(first);
                }
            }
            Event::CellScored { cell, metric, value } => {
                if let Some(cell) = self.cell(cell) {
                    cell.scores.insert(metric.clone(), *value);
                }
            }
            Event::BatchScored { test, metric, score } => {
                if let Some(test) = self.test_mut(test) {
                    test.batch_scores.insert(metric.clone(), score.clone());
                }
            }
            Event::Telemetry { rss_bytes, vram_bytes, test: Some(test), .. } => {
                if let Some(test) = self.test_mut(test) {
                    test.peak.raise(*rss_bytes, *vram_bytes);
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
            Event::RoundFinished { round } => self.rounds.push(Round {
                number: *round,
                cells: self.tests.iter().map(|t| (t.spec.id.clone(), t.cells.len())).collect(),
            }),
            Event::TestStarted { .. }
            | Event::VerdictChanged { .. }
            | Event::Telemetry { .. }
            | Event::Log { .. }
            | Event::Unknown => {}
        }
    }

    pub fn test(&self, id: &TestId) -> Option<&TestRun> {
        self.tests.get(self.position(id)?)
    }

    fn test_mut(&mut self, id: &TestId) -> Option<&mut TestRun> {
        let at = self.position(id)?;
        self.tests.get_mut(at)
    }

    fn position(&self, id: &TestId) -> Option<usize> {
        let is = |at: &usize| self.tests.get(*at).is_some_and(|t| t.spec.id == *id);
        self.index.get(id).copied().filter(is).or_else(|| (0..self.tests.len()).find(is))
    }

    /// What a run that is gone on with has already, at its second `run_started`. Images and their
    /// scores stay; what failed, or was scored by a metric that is another now, does not.
    fn earlier(&mut self, metrics: &BTreeMap<String, MetricInfo>) -> BTreeMap<TestId, TestRun> {
        let known = &self.metrics;
        let same = |name: &String| metrics.get(name) == known.get(name);
        std::mem::take(&mut self.tests)
            .into_iter()
            .map(|mut test| {
                test.cells.retain(|_, cell| cell.image.is_some());
                for cell in test.cells.values_mut() {
                    (cell.failure, cell.trace) = (None, None);
                    cell.scores.retain(|name, _| same(name));
                }
                test.batch_scores.retain(|name, _| same(name));
                if !matches!(test.outcome, Some(TestOutcome::Passed | TestOutcome::Failed)) {
                    test.outcome = None;
                    test.reasons.clear();
                }
                (test.spec.id.clone(), test)
            })
            .collect()
    }

    fn cell(&mut self, key: &CellKey) -> Option<&mut CellRun> {
        let test = self.test_mut(&key.test)?;
        let own = test.spec.seeds.contains(&key.seed);
        let cells = if own { &mut test.cells } else { &mut test.confirmation };
        Some(cells.entry(key.clone()).or_default())
    }

    /// How many images there are.
    pub fn images(&self) -> u64 {
        let cells = self.tests.iter().flat_map(|test| test.cells.values());
        cells.filter(|cell| cell.image.is_some()).count() as u64
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
            recipe: self.recipe.clone(),
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
    /// A test of which nothing is known yet.
    fn new(spec: TestSpec) -> Self {
        Self {
            spec,
            cells: BTreeMap::new(),
            confirmation: BTreeMap::new(),
            batch_scores: BTreeMap::new(),
            peak: Peak::default(),
            outcome: None,
            reasons: Vec::new(),
            duration_ms: 0.0,
        }
    }

    /// The scores of one metric, with the cells they belong to.
    pub fn scores<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a CellKey, f64)> + 'a {
        self.cells.iter().filter_map(move |(key, cell)| Some((key, *cell.scores.get(metric)?)))
    }

    /// What a metric scored here: over its images, or of the whole set. None without a score.
    pub fn summary(&self, metric: &str) -> Option<Summary> {
        if let Some(score) = self.batch_scores.get(metric) {
            return Some(Summary::of_batch(score));
        }
        let values: Vec<f64> = self.scores(metric).map(|(_, value)| value).collect();
        Summary::of(&values)
    }

    fn report(&self, known: &BTreeMap<String, MetricInfo>) -> TestReport {
        let metrics = self
            .spec
            .metrics()
            .into_iter()
            .filter_map(|metric| {
                let values: Vec<f64> = self.scores(&metric).map(|(_, v)| v).collect();
                let batch = self.batch_scores.get(&metric);
                let summary = self.summary(&metric)?;
                let threshold = self.spec.threshold(&metric);
                let judged: &[f64] = if batch.is_some() { &[summary.mean] } else { &values };
                let passed = known.get(&metric).is_none_or(|info| {
                    crate::threshold::missed(&self.spec, info, judged).is_none()
                });
                let note = batch.and_then(|score| score.note.clone());
                let weights = known.get(&metric).and_then(|m| m.weights.clone());
                let report =
                    MetricReport { per_sample: values, summary, threshold, passed, note, weights };
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
                        duration_ms: cell.duration_ms,
                        cost_usd: cell.cost_usd,
                        cached: cell.cached,
                    })
                })
                .collect(),
            failures: self.failures().collect(),
            duration_ms: self.duration_ms,
            peak: self.peak,
            cost_usd: self.cost_usd(),
        }
    }

    /// The cells without an image, or without one of their scores.
    pub fn failures(&self) -> impl Iterator<Item = CellFailure> {
        self.cells.iter().filter_map(|(key, cell)| {
            Some(CellFailure {
                prompt: key.prompt.clone(),
                seed: key.seed,
                reason: cell.failure.clone()?,
                trace: cell.trace.clone(),
                retries: cell.retries,
            })
        })
    }

    /// What its images cost, in US dollars; none where no back end said.
    pub fn cost_usd(&self) -> Option<f64> {
        self.cells.values().filter_map(|cell| cell.cost_usd).reduce(|a, b| a + b)
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
    ///
    /// None where the samples say nothing of it: one score of a whole set.
    pub ci_lower: Option<f64>,
    pub ci_upper: Option<f64>,
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
            ci_lower: Some(mean - half),
            ci_upper: Some(mean + half),
            sample_count: values.len(),
        })
    }
}

impl Summary {
    /// The one score of a set of images, whose spread is not known.
    fn of_batch(score: &BatchScore) -> Self {
        let value = score.value;
        Self {
            mean: value,
            min: value,
            max: value,
            std_dev: 0.0,
            ci_lower: None,
            ci_upper: None,
            sample_count: score.samples,
        }
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
    #[serde(default)]
    pub recipe: RecipeSettings,
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
    #[serde(default)]
    pub peak: Peak,
    /// What hosted back ends charged, in US dollars; none where nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    pub per_sample: Vec<f64>,
    #[serde(flatten)]
    pub summary: Summary,
    pub threshold: Option<f64>,
    pub passed: bool,
    /// What a reader must know of a batch metric's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The digest of the weights it was computed with, as `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    pub path: String,
    pub prompt: String,
    pub seed: i64,
    /// Its share of the time that its batch took; 0 from the cache.
    #[serde(default)]
    pub duration_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellFailure {
    pub prompt: String,
    pub seed: i64,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    #[serde(default)]
    pub retries: u32,
}
