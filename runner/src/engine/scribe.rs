//! Puts what many threads did at once back into the order of the plan, and says it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use difftest_core::event::{CellKey, Event};

use super::asked::Asked;
use super::bridge::{BodyOutcome, Failure};
use super::error::EngineError;
use super::native_stage::{Still, Stored};
use super::plan::PlannedTest;
use super::progress::count;
use super::sink::Sink;
use super::slots::Slot;

/// One step of a run, in the order of the plan.
pub enum Step<'a> {
    Start(usize),
    Cell(Box<Stored<'a>>),
    /// A steered run waits for its next command once everything before it is said and scored.
    Pause(Pause),
    Finish(usize, Body),
}

pub struct Pause {
    pub round: u32,
    /// Answered when `round_finished` is said.
    pub done: Sender<()>,
}

/// What a test's own body came to.
pub struct Body {
    pub outcome: BodyOutcome,
    pub duration_ms: f64,
}

/// What is left to be done when everything native is said.
pub enum Rest<'a> {
    /// An image that a metric of Python's wants to see.
    Look(Box<Look<'a>>),
    Pause(Pause),
    Finish(Finish),
}

pub struct Look<'a> {
    pub test: usize,
    pub cell: usize,
    pub still: Still,
    /// Held for as long as the image is.
    pub _slot: Slot<'a>,
}

pub struct Finish {
    pub test: usize,
    pub body: Body,
    /// Of its images and its body together.
    pub duration_ms: f64,
}

pub struct Scribe<'a, 's> {
    pub tests: &'a [PlannedTest],
    pub asked: &'a [Asked<'a>],
    pub sink: &'a Sink,
    pub rest: SyncSender<Rest<'s>>,
    under_way: BTreeMap<usize, UnderWay>,
}

/// Of a test that has started and not finished.
#[derive(Default)]
struct UnderWay {
    /// What its images took.
    duration_ms: f64,
    /// How many were not compared.
    alone: usize,
}

impl<'a, 's> Scribe<'a, 's> {
    pub fn new(
        tests: &'a [PlannedTest],
        asked: &'a [Asked<'a>],
        sink: &'a Sink,
        rest: SyncSender<Rest<'s>>,
    ) -> Self {
        Self { tests, asked, sink, rest, under_way: BTreeMap::new() }
    }

    /// Says every step once all before it are said. Works until the other side hangs up; a step
    /// that never came, as when a run is interrupted, keeps back those after it.
    pub fn write(mut self, steps: Receiver<(usize, Step<'s>)>) -> Result<(), EngineError> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (number, step) in steps {
            early.insert(number, step);
            while let Some(step) = early.remove(&next) {
                next += 1;
                self.say(step)?;
            }
        }
        // Images that were finished beyond a gap are as real as the others.
        early.into_values().try_for_each(|step| match step {
            Step::Cell(stored) => self.cell(*stored),
            Step::Start(_) | Step::Pause(_) | Step::Finish(..) => Ok(()),
        })
    }

    fn say(&mut self, step: Step<'s>) -> Result<(), EngineError> {
        match step {
            Step::Start(test) => {
                self.under_way.insert(test, UnderWay::default());
                let test = self.tests[test].spec.id.clone();
                self.sink.emit(&Event::TestStarted { test })
            }
            Step::Cell(stored) => self.cell(*stored),
            Step::Pause(pause) => {
                self.pass_on(Rest::Pause(pause));
                Ok(())
            }
            Step::Finish(test, body) => {
                let UnderWay { duration_ms, alone } =
                    self.under_way.remove(&test).unwrap_or_default();
                if alone > 0 {
                    self.sink.warn(format!(
                        "{}: {} not in the other run, and not compared",
                        self.tests[test].spec.id,
                        count(alone as u64, "image")
                    ))?;
                }
                let duration_ms = duration_ms + body.duration_ms;
                self.pass_on(Rest::Finish(Finish { test, body, duration_ms }));
                Ok(())
            }
        }
    }

    fn cell(&mut self, stored: Stored<'s>) -> Result<(), EngineError> {
        let Stored { test, cell, still, duration_ms, cost_usd, retries, slot } = stored;
        let key = &self.tests[test].cells[cell];
        let under_way = self.under_way.entry(test).or_default();
        under_way.duration_ms += duration_ms;
        let mut still = match still {
            Ok(still) => still,
            Err(failure) => return cell_failed(self.sink, key, failure),
        };
        under_way.alone += usize::from(still.alone);
        if still.resumed.is_none() {
            self.sink.emit(&Event::CellGenerated {
                cell: key.clone(),
                image: still.image.clone(),
                duration_ms,
                cost_usd,
                retries,
                cached: still.cached,
            })?;
        }
        for (metric, value) in std::mem::take(&mut still.scores) {
            self.sink.emit(&Event::CellScored { cell: key.clone(), metric, value })?;
        }
        if let Some(failure) = still.failure.take() {
            cell_failed(self.sink, key, failure)?;
        }
        if self.asked[test].python_looks() {
            self.pass_on(Rest::Look(Box::new(Look { test, cell, still, _slot: slot })));
        }
        Ok(())
    }

    /// The other side has hung up only if it has failed, and its error is the one that counts.
    fn pass_on(&self, rest: Rest<'s>) {
        drop(self.rest.send(rest));
    }
}

pub fn cell_failed(sink: &Sink, cell: &CellKey, failure: Failure) -> Result<(), EngineError> {
    let Failure { reason, trace, retries, infra } = failure;
    sink.emit(&Event::CellFailed { cell: cell.clone(), reason, trace, retries, infra })
}
