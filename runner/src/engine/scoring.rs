//! Python's metrics, in batches of their own, and the end of every test. On a thread of its own:
//! generation and everything native go on meanwhile.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use difftest_core::event::{Event, LogLevel, TestOutcome};
use difftest_core::metric::{Category, MetricInfo};
use pyo3::Python;

use super::asked::Asked;
use super::bridge::{CallError, Failure};
use super::error::EngineError;
use super::judgement::{self, Rules};
use super::picture;
use super::plan::{PlannedTest, reference_dir};
use super::python_metric::{Accumulator, Metric, Shown};
use super::scribe::{Finish, Look, Rest, cell_failed};
use super::sink::Sink;
use super::stop::{Stop, StopFlag};
use super::telemetry::Telemetry;
use super::watchdog::Watchdog;

/// Images that a metric sees at a time, whatever the generator's batch. Always as many, for a
/// batch's size can move a score by a rounding: equal runs give equal scores.
pub const AT_ONCE: usize = 16;

pub struct Scorer<'a> {
    pub tests: &'a [PlannedTest],
    pub asked: &'a [Asked<'a>],
    pub known: &'a BTreeMap<String, MetricInfo>,
    pub rules: Rules,
    /// For batch metrics, the folder of a test's references is relative to it.
    pub root: &'a std::path::Path,
    pub sink: &'a Sink,
    pub telemetry: &'a Telemetry<'a>,
    pub stop: &'a StopFlag,
    pub watchdog: &'a Watchdog,
    pub fail_fast: bool,
}

/// What has not been looked at yet, in the order of the plan.
#[derive(Default)]
struct Waiting<'s> {
    looks: Vec<Look<'s>>,
    /// With how many of the images come before it.
    finishes: Vec<(usize, Finish)>,
}

/// A batch metric over one test so far, or why it has no score.
type Gathering = Result<Accumulator, Failure>;

/// By test and metric.
type Gathered = BTreeMap<(usize, String), Gathering>;

impl Scorer<'_> {
    /// Works until the other side hangs up.
    pub fn score(&self, work: Receiver<Rest<'_>>) -> Result<(), EngineError> {
        let mut waiting = Waiting::default();
        let mut gathered = Gathered::new();
        for rest in work {
            let mut due = false;
            match rest {
                Rest::Look(look) => {
                    waiting.looks.push(*look);
                    due = waiting.looks.len() >= AT_ONCE;
                }
                Rest::Pause(pause) => {
                    self.flush(&mut waiting, &mut gathered)?;
                    self.sink.emit(&Event::RoundFinished { round: pause.round })?;
                    // Who waited may have been interrupted.
                    let _ = pause.done.send(());
                }
                Rest::Finish(finish) => {
                    waiting.finishes.push((waiting.looks.len(), finish));
                    // A test is not kept open for long by images of later ones.
                    due |= waiting.looks.is_empty()
                        || self.fail_fast
                        || waiting.finishes.len() >= AT_ONCE;
                }
            }
            if due {
                self.flush(&mut waiting, &mut gathered)?;
            }
        }
        self.flush(&mut waiting, &mut gathered)
    }

    fn flush(&self, waiting: &mut Waiting<'_>, gathered: &mut Gathered) -> Result<(), EngineError> {
        let Waiting { mut looks, finishes } = std::mem::take(waiting);
        if self.has_ended() {
            return Ok(());
        }
        let mut spent: BTreeMap<usize, f64> = BTreeMap::new();
        if !looks.is_empty() {
            Python::attach(|py| self.look(py, &mut looks, gathered, &mut spent))?;
        }
        // The slots are free again before anything else is done.
        drop(looks);
        for (_, mut finish) in finishes {
            finish.duration_ms += spent.get(&finish.test).copied().unwrap_or(0.0);
            self.finish(finish, gathered)?;
        }
        Ok(())
    }

    /// Ctrl-C, in a metric: the run's end, and no fault of the metric's.
    fn interrupted(&self) -> Result<(), EngineError> {
        self.watchdog.end(Stop::Interrupted);
        Ok(())
    }

    /// Whether there is no point, or no time, in looking at more. What was made before a run was
    /// interrupted is still scored.
    fn has_ended(&self) -> bool {
        matches!(self.stop.raised(), Some(Stop::FailFast(_) | Stop::Broken))
            || self.watchdog.hurries()
    }

    /// Every metric on the images that want it. `spent` is how long each test's images took.
    fn look(
        &self,
        py: Python<'_>,
        looks: &mut [Look<'_>],
        gathered: &mut Gathered,
        spent: &mut BTreeMap<usize, f64>,
    ) -> Result<(), EngineError> {
        for look in looks.iter_mut() {
            if look.still.array.is_none() {
                let array = picture::array(py, &look.still.pixels).map_err(EngineError::Bug)?;
                look.still.array = Some(array.unbind());
            }
        }
        let mut by_metric: Vec<(&Metric, Vec<usize>)> = Vec::new();
        for (index, look) in looks.iter().enumerate() {
            let asked = &self.asked[look.test];
            for metric in asked.python.iter().chain(&asked.batch) {
                if !wants(metric, look) {
                    continue;
                }
                match by_metric.iter_mut().find(|(known, _)| std::ptr::eq(*known, *metric)) {
                    Some((_, images)) => images.push(index),
                    None => by_metric.push((metric, vec![index])),
                }
            }
        }
        for (metric, images) in by_metric {
            if self.has_ended() {
                return Ok(());
            }
            let started = Instant::now();
            let chosen: Vec<&Look<'_>> = images.iter().map(|index| &looks[*index]).collect();
            if metric.info.category == Category::Batch {
                self.gather(py, metric, &chosen, gathered)?;
            } else {
                self.each(py, metric, &chosen)?;
            }
            let share = started.elapsed().as_secs_f64() * 1000.0 / chosen.len() as f64;
            for look in chosen {
                *spent.entry(look.test).or_default() += share;
            }
        }
        Ok(())
    }

    /// One metric on a batch, and image by image where the batch breaks.
    fn each(
        &self,
        py: Python<'_>,
        metric: &Metric,
        looks: &[&Look<'_>],
    ) -> Result<(), EngineError> {
        let shown: Vec<Shown<'_>> = looks.iter().filter_map(|look| self.shown(look)).collect();
        let scores: Vec<Result<f64, Failure>> = match metric.compute(py, &shown) {
            Ok(scores) => scores,
            Err(CallError::Interrupted) => return self.interrupted(),
            Err(CallError::Failed(failure)) if shown.len() == 1 => vec![Err(failure)],
            Err(CallError::Failed(_)) => {
                let mut scores = Vec::with_capacity(shown.len());
                for image in &shown {
                    match metric.compute(py, std::slice::from_ref(image)) {
                        Ok(score) => scores.extend(score),
                        Err(CallError::Failed(failure)) => scores.push(Err(failure)),
                        Err(CallError::Interrupted) => {
                            return self.interrupted();
                        }
                    }
                }
                scores
            }
        };
        // Who reads the events along may need the interpreter to take them.
        py.detach(|| {
            looks.iter().zip(scores).try_for_each(|(look, score)| {
                let cell = &self.tests[look.test].cells[look.cell];
                match score {
                    Ok(value) => {
                        let (cell, metric) = (cell.clone(), metric.info.name.clone());
                        self.sink.emit(&Event::CellScored { cell, metric, value })
                    }
                    Err(failure) => cell_failed(self.sink, cell, failure),
                }
            })
        })
    }

    /// Shows a batch metric the images of each test. What breaks it breaks its one score.
    fn gather(
        &self,
        py: Python<'_>,
        metric: &Metric,
        looks: &[&Look<'_>],
        gathered: &mut Gathered,
    ) -> Result<(), EngineError> {
        for looks in looks.chunk_by(|a, b| a.test == b.test) {
            let test = looks[0].test;
            let gathering = gathered
                .entry((test, metric.info.name.clone()))
                .or_insert_with(|| self.begin(py, metric, test));
            let Ok(accumulator) = gathering else { continue };
            let shown: Vec<Shown<'_>> = looks.iter().filter_map(|look| self.shown(look)).collect();
            match metric.update(py, accumulator, &shown) {
                Ok(()) => {}
                Err(CallError::Failed(failure)) => *gathering = Err(failure),
                Err(CallError::Interrupted) => return self.interrupted(),
            }
        }
        Ok(())
    }

    fn begin(&self, py: Python<'_>, metric: &Metric, test: usize) -> Gathering {
        let dir = reference_dir(&self.tests[test].spec).map(|dir| self.root.join(dir));
        let dir = dir.as_ref().map(|dir| dir.to_string_lossy());
        metric.begin(py, dir.as_deref()).map_err(|e| match e {
            CallError::Failed(failure) => failure,
            CallError::Interrupted => Failure::new("interrupted"),
        })
    }

    fn shown<'l>(&'l self, look: &'l Look<'_>) -> Option<Shown<'l>> {
        Some(Shown {
            array: look.still.array.as_ref()?,
            prompt: &self.tests[look.test].cells[look.cell].prompt,
            reference: look.still.reference.as_ref(),
        })
    }

    fn finish(&self, finish: Finish, gathered: &mut Gathered) -> Result<(), EngineError> {
        let Finish { test, body, mut duration_ms } = finish;
        let id = &self.tests[test].spec.id;
        if matches!(self.stop.raised(), Some(Stop::FailFast(_))) {
            return Ok(());
        }
        let mut broken = Vec::new();
        for metric in &self.asked[test].batch {
            let started = Instant::now();
            let name = metric.info.name.clone();
            // Every image may have failed.
            let Some(gathering) = gathered.remove(&(test, name.clone())) else { continue };
            let score = gathering.map_err(CallError::Failed).and_then(|accumulator| {
                Python::attach(|py| {
                    let score = metric.value(py, &accumulator);
                    drop(accumulator);
                    score
                })
            });
            duration_ms += started.elapsed().as_secs_f64() * 1000.0;
            match score {
                Ok(score) => {
                    let test = id.clone();
                    self.sink.emit(&Event::BatchScored { test, metric: name, score })?;
                }
                // A run that stops early may stop before a set of images is one.
                Err(CallError::Failed(failure))
                    if self.rules.steered && failure.trace.is_none() =>
                {
                    self.sink.warn(format!("{id}: {}", failure.reason))?;
                }
                Err(CallError::Failed(failure)) => {
                    if let Some(trace) = failure.trace {
                        let message = format!("{id}: {name}: {trace}");
                        self.sink.emit(&Event::Log { level: LogLevel::Error, message })?;
                    }
                    broken.push(failure.reason);
                }
                Err(CallError::Interrupted) => return self.interrupted(),
            }
        }
        self.telemetry.at_least_once(self.sink, test)?;
        let Some((outcome, reasons)) = self.sink.read(|run| {
            let run = run.test(id)?;
            Some(judgement::outcome(run, self.known, &body.outcome, broken, self.rules))
        }) else {
            return Ok(());
        };
        let test = id.clone();
        self.sink.emit(&Event::TestFinished { test, outcome, reasons, duration_ms })?;
        if self.fail_fast && outcome != TestOutcome::Passed {
            self.watchdog.end(Stop::FailFast(id.clone()));
        }
        Ok(())
    }
}

/// Whether a metric has to see this image.
fn wants(metric: &Metric, look: &Look<'_>) -> bool {
    match metric.info.category {
        Category::Reference if look.still.reference.is_none() => false,
        Category::Batch => true,
        Category::Reference | Category::PerSample => {
            let seen =
                |scores: &std::collections::BTreeSet<String>| scores.contains(&metric.info.name);
            !look.still.resumed.as_ref().is_some_and(seen)
        }
    }
}
