//! Puts what many threads did at once back into the order of the plan, and says it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};

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
    Finish(usize, Body),
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
    /// Of the test that is under way: what its images took, and how many were not compared.
    duration_ms: f64,
    alone: usize,
}

impl<'a, 's> Scribe<'a, 's> {
    pub fn new(
        tests: &'a [PlannedTest],
        asked: &'a [Asked<'a>],
        sink: &'a Sink,
        rest: SyncSender<Rest<'s>>,
    ) -> Self {
        Self { tests, asked, sink, rest, duration_ms: 0.0, alone: 0 }
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
            Step::Start(_) | Step::Finish(..) => Ok(()),
        })
    }

    fn say(&mut self, step: Step<'s>) -> Result<(), EngineError> {
        match step {
            Step::Start(test) => {
                (self.duration_ms, self.alone) = (0.0, 0);
                let test = self.tests[test].spec.id.clone();
                self.sink.emit(&Event::TestStarted { test })
            }
            Step::Cell(stored) => self.cell(*stored),
            Step::Finish(test, body) => {
                if self.alone > 0 {
                    self.sink.warn(format!(
                        "{}: {} not in the other run, and not compared",
                        self.tests[test].spec.id,
                        count(self.alone as u64, "image")
                    ))?;
                }
                let duration_ms = self.duration_ms + body.duration_ms;
                self.pass_on(Rest::Finish(Finish { test, body, duration_ms }));
                Ok(())
            }
        }
    }

    fn cell(&mut self, stored: Stored<'s>) -> Result<(), EngineError> {
        let Stored { test, cell, still, duration_ms, cost_usd, retries, slot } = stored;
        let key = &self.tests[test].cells[cell];
        self.duration_ms += duration_ms;
        let mut still = match still {
            Ok(still) => still,
            Err(failure) => return cell_failed(self.sink, key, failure),
        };
        self.alone += usize::from(still.alone);
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
