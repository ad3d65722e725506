//! `--resume RUN`: what a run that ended early had done, and what is left of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use difftest_core::event::{self, Environment, ImageRef, TestOutcome};
use difftest_core::metric::Category;
use difftest_core::recipe::RecipeSettings;
use difftest_core::result::{CellRun, Run, TestRun};

use super::asked::Asked;
use super::error::EngineError;
use super::generator::Generator;
use super::history;
use super::plan::PlannedTest;
use super::production::Job;
use super::reference::EVENTS_FILE;
use super::shelf::CellJob;

/// The run that is gone on with.
pub struct Earlier {
    pub dir: PathBuf,
    pub run: Run,
    /// Of its stream, up to the end of the last whole line.
    pub whole_bytes: u64,
}

impl Earlier {
    /// `name` is a run's identifier or its folder.
    pub fn read(name: &str, root: &Path, cwd: &Path) -> Result<Self, EngineError> {
        let by_id = history::runs_dir(root)?.join(name);
        let dir = if by_id.join(EVENTS_FILE).is_file() { by_id } else { cwd.join(name) };
        let bad = |reason: String| EngineError::BadResume { name: name.to_owned(), reason };
        let file = dir.join(EVENTS_FILE);
        let bytes = std::fs::read(&file).map_err(|e| bad(format!("{}: {e}", file.display())))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let events = event::read_stream(&bytes).map_err(|e| bad(e.to_string()))?;
        let run = Run::from_events(&events);
        if run.id.is_empty() {
            return Err(bad("it ended before it began; start it anew".to_owned()));
        }
        Ok(Self { dir, run, whole_bytes: whole as u64 })
    }

    /// Why the images to come would not belong to those that are there.
    pub fn differs(
        &self,
        model: &str,
        generator: &Generator,
        settings: &RecipeSettings,
    ) -> Result<(), EngineError> {
        let run = &self.run;
        let mut what = Vec::new();
        let mut compare = |name: &str, then: &str, now: &str| {
            if then != now {
                what.push(format!("{name} was `{then}` and is `{now}`"));
            }
        };
        compare("the model", &run.model, model);
        compare("the generator", &run.generator, &generator.name);
        compare("its fingerprint", &run.fingerprint, &generator.fingerprint);
        let (then, now) = (&run.environment, &generator.environment);
        for (name, then, now) in conditions(then, now) {
            compare(&name, &then, &now);
        }
        if run.recipe != *settings {
            let text = |settings: &RecipeSettings| {
                serde_json::to_string(settings).unwrap_or_else(|e| e.to_string())
            };
            compare("the recipe", &text(&run.recipe), &text(settings));
        }
        if what.is_empty() {
            return Ok(());
        }
        Err(EngineError::ResumeDiffers { run: run.id.clone(), what: what.join("; ") })
    }
}

/// The conditions that images were made under, by name, then and now.
fn conditions(then: &Environment, now: &Environment) -> Vec<(String, String, String)> {
    let mut all = vec![
        ("the device".to_owned(), then.device.clone(), now.device.clone()),
        ("the number of threads".to_owned(), then.threads.to_string(), now.threads.to_string()),
        ("the batch size".to_owned(), then.batch_size.to_string(), now.batch_size.to_string()),
    ];
    let names: BTreeSet<&String> = then.versions.keys().chain(now.versions.keys()).collect();
    for name in names {
        let version = |of: &Environment| {
            of.versions.get(name).cloned().unwrap_or_else(|| "not there".to_owned())
        };
        all.push((name.clone(), version(then), version(now)));
    }
    all
}

/// What is left to do of every test. `exists` says whether an image's file is still there.
pub fn jobs(
    tests: &[PlannedTest],
    asked: &[Asked<'_>],
    run: &Run,
    exists: impl Fn(&ImageRef) -> bool,
) -> Vec<Job> {
    tests
        .iter()
        .zip(asked)
        .enumerate()
        .filter_map(|(index, (test, asked))| {
            let earlier = run.test(&test.spec.id);
            let cells: Vec<(CellJob, bool)> = test
                .cells
                .iter()
                .enumerate()
                .map(|(cell, key)| {
                    let earlier = earlier.and_then(|t| t.cells.get(key));
                    let kept = earlier.and_then(|c| Some((c.image.clone().filter(&exists)?, c)));
                    let done = kept.as_ref().is_some_and(|(_, cell)| is_whole(cell, asked));
                    let resumed =
                        kept.map(|(image, cell)| (image, cell.scores.keys().cloned().collect()));
                    (CellJob { cell, resumed }, done)
                })
                .collect();
            let whole = cells.iter().all(|(_, done)| *done);
            if whole && earlier.is_some_and(|test| is_over(test, asked)) {
                return None;
            }
            // A batch metric has to see all images of its test again.
            let needs_all = !asked.batch.is_empty();
            let cells = cells.into_iter().filter(|(_, done)| needs_all || !done);
            Some(Job { test: index, cells: cells.map(|(cell, _)| cell).collect() })
        })
        .collect()
}

/// Whether a cell has every score. One without a reference has none to compare with.
fn is_whole(cell: &CellRun, asked: &Asked<'_>) -> bool {
    let scored = |name: &str| cell.scores.contains_key(name);
    let expected = asked.native.iter().map(|m| &m.info).chain(asked.python.iter().map(|m| &m.info));
    let mut expected =
        expected.filter(|info| info.category != Category::Reference || asked.needs_reference);
    cell.failure.is_none() && expected.all(|info| scored(&info.name))
}

/// Whether a test need not be judged again.
fn is_over(test: &TestRun, asked: &Asked<'_>) -> bool {
    matches!(test.outcome, Some(TestOutcome::Passed | TestOutcome::Failed))
        && asked.batch.iter().all(|metric| test.batch_scores.contains_key(&metric.info.name))
}

/// Everything of every test.
pub fn all_jobs(tests: &[PlannedTest]) -> Vec<Job> {
    tests
        .iter()
        .enumerate()
        .map(|(test, planned)| Job {
            test,
            cells: (0..planned.cells.len()).map(|cell| CellJob { cell, resumed: None }).collect(),
        })
        .collect()
}
