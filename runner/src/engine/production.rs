//! The plan, walked on Python's main thread: images that are kept already are fetched, the others
//! generated in batches that may span tests, and each test's body is called after its images.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use difftest_core::event::CellKey;
use difftest_core::steering::lockstep::Command;

use pyo3::prelude::*;
use rayon::prelude::*;

use super::asked::Asked;
use super::bridge::{BodyOutcome, Bridge};
use super::commands::{Commands, unsteered};
use super::error::EngineError;
use super::generation::{Came, Generation, Wanted};
use super::generator::Item;
use super::native_stage::{Made, Source};
use super::plan::{CellAt, PlannedTest};
use super::reference::ReferenceSource;
use super::scribe::{Body, Pause};
use super::shelf::{CellJob, Looked, Shelf};
use super::slots::{Slot, Slots};
use super::stop::StopFlag;
use super::telemetry::Telemetry;
use super::watchdog::Watchdog;

/// How often Python's signal flag is looked at while there is nothing to do.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// A test to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub test: usize,
    pub cells: Vec<CellJob>,
}

/// One step of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Planned<'a> {
    Start(usize),
    Cell(usize, &'a CellJob),
    Finish(usize),
}

/// Every step of these jobs, in order.
pub fn steps(jobs: &[Job]) -> Vec<Planned<'_>> {
    jobs.iter()
        .flat_map(|job| {
            std::iter::once(Planned::Start(job.test))
                .chain(job.cells.iter().map(|cell| Planned::Cell(job.test, cell)))
                .chain(std::iter::once(Planned::Finish(job.test)))
        })
        .collect()
}

/// Where the steps go, by their numbers, in any order.
pub trait Line<'s> {
    fn start(&self, number: usize, test: usize);
    fn cell(&self, number: usize, made: Made<'s>);
    fn pause(&self, number: usize, pause: Pause);
    fn finish(&self, number: usize, test: usize, body: Body);
}

pub struct Production<'a, 's> {
    pub tests: &'a [PlannedTest],
    pub asked: &'a [Asked<'a>],
    pub shelf: &'a Shelf<'a>,
    pub reference: &'a ReferenceSource,
    pub pool: &'a rayon::ThreadPool,
    pub slots: &'s Slots,
    /// Cells that may be looked at between two calls of the generator. Fewer than there are
    /// slots, or those that are kept could wait for ever for one that is yet to be made.
    pub window: usize,
    pub watchdog: &'a Watchdog,
    pub stop: &'a StopFlag,
    pub telemetry: &'a Telemetry<'a>,
    pub line: &'a dyn Line<'s>,
}

/// Steps in a row, with the number of the first.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    steps: &'a [Planned<'a>],
    first: usize,
}

/// A cell that has to be made.
struct Missing {
    number: usize,
    test: usize,
    cell: usize,
    looked: Looked,
}

impl<'s> Production<'_, 's> {
    /// Works through all steps. An error ends the run.
    pub fn run(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        generation: &mut Generation<'_>,
        steps: &[Planned<'_>],
    ) -> Result<(), EngineError> {
        self.walk(py, bridge, generation, Stretch { steps, first: 0 })
    }

    /// Makes what it is told to, until it is told to finish.
    pub fn run_steered(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        generation: &mut Generation<'_>,
        commands: &Commands,
    ) -> Result<(), EngineError> {
        let known: HashMap<&CellKey, CellAt> = self
            .tests
            .iter()
            .enumerate()
            .flat_map(|(test, planned)| {
                let cells = planned.cells.iter().enumerate();
                cells.map(move |(cell, key)| (key, CellAt { test, cell }))
            })
            .collect();
        let all = 0..self.tests.len();
        let starts: Vec<Planned<'_>> = all.clone().map(Planned::Start).collect();
        self.walk(py, bridge, generation, Stretch { steps: &starts, first: 0 })?;
        let mut number = starts.len();
        for round in 0.. {
            self.pause(py, number, round)?;
            number += 1;
            let command = {
                self.watchdog.idle();
                let next = commands.next(py, self.stop);
                self.watchdog.at_work();
                next?
            };
            let Command::Make { cells } = command else { break };
            let jobs = cells
                .iter()
                .map(|cell| match known.get(cell) {
                    Some(at) => Ok((at.test, CellJob { cell: at.cell, resumed: None })),
                    None => Err(unsteered(&format!(
                        "{} has no image of seed {}, prompt: {}",
                        cell.test, cell.seed, cell.prompt
                    ))),
                })
                .collect::<Result<Vec<_>, _>>()?;
            self.reference.refresh()?;
            let steps: Vec<Planned<'_>> =
                jobs.iter().map(|(test, job)| Planned::Cell(*test, job)).collect();
            self.walk(py, bridge, generation, Stretch { steps: &steps, first: number })?;
            number += steps.len();
        }
        let ends: Vec<Planned<'_>> = all.map(Planned::Finish).collect();
        self.walk(py, bridge, generation, Stretch { steps: &ends, first: number })
    }

    /// Waits until everything so far is said and scored.
    fn pause(&self, py: Python<'_>, number: usize, round: u32) -> Result<(), EngineError> {
        let (done, is_done) = channel();
        self.line.pause(number, Pause { round, done });
        let is_done = Mutex::new(is_done);
        loop {
            self.go_on()?;
            let answer = py.detach(|| {
                let is_done = is_done.lock().unwrap_or_else(PoisonError::into_inner);
                is_done.recv_timeout(SIGNAL_CHECK)
            });
            match answer {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    py.check_signals().map_err(|_| EngineError::Interrupted)?;
                }
                // Who was to answer has failed, and its error is the one that counts.
                Err(RecvTimeoutError::Disconnected) => {
                    self.go_on()?;
                    return Err(EngineError::Stopped("the run has failed".to_owned()));
                }
            }
        }
    }

    fn walk(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        generation: &mut Generation<'_>,
        stretch: Stretch<'_>,
    ) -> Result<(), EngineError> {
        let mut at = 0;
        while at < stretch.steps.len() {
            at = self.one_window(py, bridge, generation, stretch, at)?;
        }
        Ok(())
    }

    /// A batch of images to be made, with everything kept between them, and the ends of the tests
    /// that it completes. Answers where the next one begins.
    fn one_window(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        generation: &mut Generation<'_>,
        stretch: Stretch<'_>,
        from: usize,
    ) -> Result<usize, EngineError> {
        let Stretch { steps, first } = stretch;
        let batch = generation.generator.batch_size;
        let (mut at, mut cells) = (from, 0);
        let (mut missing, mut ends) = (Vec::new(), Vec::new());
        while let Some(step) = steps.get(at) {
            let room = batch.saturating_sub(missing.len()).min(self.window - cells);
            match step {
                // After the images, in one go with them.
                Planned::Finish(test) => ends.push((first + at, *test)),
                _ if room == 0 => break,
                Planned::Start(test) => self.line.start(first + at, *test),
                Planned::Cell(..) => {
                    let run = run_of_cells(stretch, at, room);
                    for (number, test, cell, looked) in self.look(py, &run)? {
                        match looked.kept {
                            None => missing.push(Missing { number, test, cell, looked }),
                            Some(kept) => {
                                let slot = self.slot(py)?;
                                let source = Ok(Source::Kept(kept));
                                self.line.cell(number, made(test, cell, source, slot));
                            }
                        }
                    }
                    cells += run.len();
                    at += run.len() - 1;
                }
            }
            at += 1;
        }
        self.generate(py, generation, missing)?;
        for (number, test) in ends {
            let body = self.body(bridge, generation, test)?;
            self.line.finish(number, test, body);
        }
        Ok(at)
    }

    /// Looks for what is kept of these cells, on all threads.
    fn look(
        &self,
        py: Python<'_>,
        cells: &[(usize, usize, &CellJob)],
    ) -> Result<Vec<(usize, usize, usize, Looked)>, EngineError> {
        let (shelf, pool) = (self.shelf, self.pool);
        let look = |(number, test, job): &(usize, usize, &CellJob)| {
            Ok((*number, *test, job.cell, shelf.look(*test, job)?))
        };
        if cells.iter().all(|(_, _, job)| shelf.is_bare(job)) {
            return cells.iter().map(look).collect();
        }
        py.detach(|| pool.install(|| cells.par_iter().map(look).collect()))
    }

    fn generate(
        &self,
        py: Python<'_>,
        generation: &mut Generation<'_>,
        missing: Vec<Missing>,
    ) -> Result<(), EngineError> {
        let Some(first) = missing.first() else { return Ok(()) };
        self.telemetry.now_making(first.test);
        let wanted: Vec<Wanted> = missing
            .iter()
            .map(|cell| Wanted {
                cell: CellAt { test: cell.test, cell: cell.cell },
                recipe: self.shelf.recipe(cell.test, cell.cell),
                keep_array: self.asked[cell.test].python_looks(),
            })
            .collect();
        let mut missing = missing.into_iter();
        generation.batch(py, &wanted, &mut |came| {
            // They come in order, each once.
            let Some(Missing { number, test, cell, looked }) = missing.next() else {
                return Ok(());
            };
            self.telemetry.now_making(test);
            let Came { item, duration_ms, .. } = came;
            let Item { image, cost_usd, retries, text } = item;
            let key = looked.key;
            let source = image.map(|picture| Source::Fresh { picture, text, key });
            let made = made(test, cell, source, self.slot(py)?);
            self.line.cell(number, Made { duration_ms, cost_usd, retries, ..made });
            Ok(())
        })
    }

    fn body(
        &self,
        bridge: &Bridge<'_>,
        generation: &Generation<'_>,
        test: usize,
    ) -> Result<Body, EngineError> {
        self.go_on()?;
        let started = Instant::now();
        let outcome = {
            let _watched = self.watchdog.call();
            bridge.run_body(&self.tests[test].spec.id, generation.generator)?
        };
        if outcome != BodyOutcome::Passed {
            // It may be the end of the run that broke it.
            self.go_on()?;
        }
        Ok(Body { outcome, duration_ms: started.elapsed().as_secs_f64() * 1000.0 })
    }

    /// Waits for a place for one more image. The interpreter is free meanwhile: those who give
    /// places back may need it.
    fn slot(&self, py: Python<'_>) -> Result<Slot<'s>, EngineError> {
        let slots = self.slots;
        if let Some(slot) = slots.take(Duration::ZERO) {
            return Ok(slot);
        }
        loop {
            self.go_on()?;
            if let Some(slot) = py.detach(|| slots.take(SIGNAL_CHECK)) {
                return Ok(slot);
            }
            py.check_signals().map_err(|_| EngineError::Interrupted)?;
        }
    }

    fn go_on(&self) -> Result<(), EngineError> {
        self.stop.raised().map_or(Ok(()), |stop| Err(EngineError::Stopped(stop.reason())))
    }
}

/// The cells that follow each other from here on, with their numbers.
fn run_of_cells(stretch: Stretch<'_>, from: usize, most: usize) -> Vec<(usize, usize, &CellJob)> {
    let steps = stretch.steps[from..].iter().enumerate();
    let cells = steps.map_while(|(ahead, step)| match step {
        Planned::Cell(test, job) => Some((stretch.first + from + ahead, *test, *job)),
        Planned::Start(_) | Planned::Finish(_) => None,
    });
    cells.take(most).collect()
}

/// A cell that took nothing.
fn made<'s>(
    test: usize,
    cell: usize,
    source: Result<Source, super::bridge::Failure>,
    slot: Slot<'s>,
) -> Made<'s> {
    Made { test, cell, source, duration_ms: 0.0, cost_usd: None, retries: 0, slot }
}
