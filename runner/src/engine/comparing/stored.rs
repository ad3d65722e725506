//! Runs that are there already: folders of the engine's, and results files of `--output`.

use std::collections::BTreeMap;
use std::path::Path;

use difftest_core::event::{CellKey, RunStatus, TestOutcome};
use difftest_core::ids::ImageSha;
use difftest_core::metric::{self, Category, Direction, MetricInfo};
use difftest_core::result::{CellRun, Run, TestRun};
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};
use serde::Deserialize;

use super::Stored;
use crate::engine::error::EngineError;
use crate::engine::history;
use crate::engine::reference::{EVENTS_FILE, read_run};

/// `name` is a run's identifier, its folder, or a results file.
pub fn read(name: &Path, root: &Path, cwd: &Path) -> Result<Stored, EngineError> {
    let by_id = history::runs_dir(root)?.join(name);
    for dir in [by_id, cwd.join(name)] {
        if dir.join(EVENTS_FILE).is_file() {
            return Ok(Stored { run: read_run(&dir)?, dir: Some(dir) });
        }
    }
    let bad = |reason: String| EngineError::BadRun { name: name.to_owned(), reason };
    let file = cwd.join(name);
    let text = std::fs::read_to_string(&file).map_err(|e| bad(e.to_string()))?;
    let results: Results = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let folder = file.parent().unwrap_or(cwd);
    let run = results.into_run(folder).map_err(bad)?;
    Ok(Stored { run, dir: None })
}

/// The results JSON, as far as a comparison needs it: fields may be added to it, and one that an
/// older version wrote has fewer.
#[derive(Deserialize)]
struct Results {
    results: Vec<TestResult>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    generator: String,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    environment: Option<difftest_core::event::Environment>,
    #[serde(default)]
    recipe: difftest_core::recipe::RecipeSettings,
    #[serde(default)]
    duration_ms: f64,
}

#[derive(Deserialize)]
struct TestResult {
    name: String,
    #[serde(default)]
    id: Option<TestId>,
    #[serde(default)]
    passed: bool,
    #[serde(default)]
    metrics: BTreeMap<String, MetricResult>,
    #[serde(default)]
    images: Vec<ImageResult>,
    #[serde(default)]
    duration_ms: f64,
}

#[derive(Deserialize)]
struct MetricResult {
    #[serde(default)]
    per_sample: Vec<f64>,
    #[serde(default)]
    mean: Option<f64>,
    #[serde(default)]
    sample_count: Option<usize>,
    #[serde(default)]
    threshold: Option<f64>,
}

#[derive(Deserialize)]
struct ImageResult {
    #[serde(default)]
    path: String,
    prompt: String,
    seed: i64,
}

impl Results {
    fn into_run(self, folder: &Path) -> Result<Run, String> {
        let mut run = Run {
            id: "results".into(),
            model: self.model,
            generator: self.generator,
            fingerprint: self.fingerprint,
            environment: self.environment.unwrap_or_default(),
            recipe: self.recipe,
            duration_ms: self.duration_ms,
            status: Some(RunStatus::Passed),
            ..Run::default()
        };
        for test in self.results {
            for name in test.metrics.keys() {
                run.metrics.entry(name.clone()).or_insert_with(|| info(name));
            }
            let test = test.into_test(folder)?;
            run.cells_done += test.cells.len() as u64;
            run.index.insert(test.spec.id.clone(), run.tests.len());
            run.tests.push(test);
        }
        Ok(run)
    }
}

/// A metric that this version does not know is taken to be better where it is higher.
fn info(name: &str) -> MetricInfo {
    metric::find(name).unwrap_or(MetricInfo {
        name: name.to_owned(),
        direction: Direction::HigherIsBetter,
        category: Category::PerSample,
        range: None,
        margin: 0.0,
        weights: None,
        min_samples: None,
    })
}

impl TestResult {
    fn into_test(self, folder: &Path) -> Result<TestRun, String> {
        let id = self.id.unwrap_or_else(|| TestId(self.name.clone()));
        let mut cells: BTreeMap<CellKey, CellRun> = BTreeMap::new();
        let keys: Vec<CellKey> = self
            .images
            .iter()
            .map(|i| CellKey { test: id.clone(), prompt: i.prompt.clone(), seed: i.seed })
            .collect();
        for (key, image) in keys.iter().zip(&self.images) {
            let digest = std::fs::read(folder.join(&image.path)).ok().map(|b| ImageSha::of(&b));
            let image = digest.map(|sha256| difftest_core::event::ImageRef {
                sha256,
                path: image.path.clone(),
                width: 0,
                height: 0,
            });
            cells.insert(key.clone(), CellRun { image, ..CellRun::default() });
        }
        let mut batch_scores = BTreeMap::new();
        let mut thresholds = BTreeMap::new();
        for (name, metric) in &self.metrics {
            thresholds.extend(metric.threshold.map(|t| (name.clone(), t)));
            let samples = metric.per_sample.len();
            match (samples, metric.mean) {
                (0, Some(value)) => {
                    let samples = metric.sample_count.unwrap_or(0);
                    let score = difftest_core::event::BatchScore {
                        value,
                        samples,
                        note: None,
                        replicates: Vec::new(),
                    };
                    batch_scores.insert(name.clone(), score);
                }
                (0, None) => {}
                _ if samples == keys.len() => {
                    for (key, score) in keys.iter().zip(&metric.per_sample) {
                        if let Some(cell) = cells.get_mut(key) {
                            cell.scores.insert(name.clone(), *score);
                        }
                    }
                }
                _ => {
                    return Err(format!(
                        "test `{}` has {samples} scores of {name} for {} images, so nobody can \
                         tell which is whose; name the run's folder instead",
                        self.name,
                        keys.len()
                    ));
                }
            }
        }
        let mut seeds: Vec<i64> = self.images.iter().map(|i| i.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let mut prompts: Vec<String> = Vec::new();
        for image in &self.images {
            if prompts.last() != Some(&image.prompt) {
                // Braces are the text's own here, not a template's.
                prompts.push(image.prompt.clone());
            }
        }
        let spec = TestSpec {
            place: Place {
                file: id.as_str().split("::").next().unwrap_or_default().into(),
                line: 1,
            },
            kind: TestKind::Quality {
                metrics: self.metrics.keys().cloned().collect(),
                thresholds,
                reference_dir: None,
            },
            prompts: prompts.iter().map(|p| p.replace('{', "{{").replace('}', "}}")).collect(),
            variables: BTreeMap::new(),
            combine: Combine::Product,
            negative_prompt: None,
            seeds,
            suite: None,
            id,
        };
        Ok(TestRun {
            spec,
            cells,
            confirmation: BTreeMap::new(),
            batch_scores,
            peak: Default::default(),
            outcome: Some(if self.passed { TestOutcome::Passed } else { TestOutcome::Failed }),
            reasons: Vec::new(),
            duration_ms: self.duration_ms,
        })
    }
}
