//! The threads of a run, and how they end.
//!
//! Generation is on Python's main thread, where signals arrive. Each image goes to the pool for
//! everything that needs no interpreter; from there, in the order of the plan, to the scribe; and
//! to the scorer where a metric of Python's wants it. Nothing waits for a later stage but for a
//! slot, of which there are enough for all stages to be busy.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use pyo3::prelude::*;

use super::asked::Asked;
use super::bridge::{Failure, UnboundBridge};
use super::commands::Commands;
use super::error::EngineError;
use super::generation::Generation;
use super::native_stage::{Made, NativeStage, Stored};
use super::plan::PlannedTest;
use super::production::{Line, Planned, Production};
use super::scoring::{AT_ONCE, Scorer};
use super::scribe::{Body, Pause, Rest, Scribe, Step};
use super::shelf::Shelf;
use super::sink::Sink;
use super::slots::Slots;
use super::stop::{Stop, StopFlag};
use super::telemetry::Telemetry;
use super::watchdog::{Hung, Watchdog};

/// How often the main thread looks whether the others have ended.
const POLL: Duration = Duration::from_millis(2);
/// Of those looks, how many go by between two at Python's signal flag.
const LOOKS_A_SIGNAL_CHECK: u32 = 25;

/// What is to be done.
pub enum Work<'a> {
    /// All of it is known.
    Steps(&'a [Planned<'a>]),
    /// It is said bit by bit.
    Steered(&'a Commands),
}

pub struct Pipeline<'a> {
    pub tests: &'a [PlannedTest],
    pub asked: &'a [Asked<'a>],
    pub work: Work<'a>,
    pub shelf: &'a Shelf<'a>,
    pub stage: &'a NativeStage<'a>,
    pub scorer: &'a Scorer<'a>,
    pub sink: &'a Sink,
    pub telemetry: &'a Telemetry<'a>,
    pub watchdog: &'a Watchdog,
    pub stop: &'a StopFlag,
    /// Threads of the pool.
    pub jobs: usize,
}

/// Ends the threads that only watch, also when the others panic.
struct Ending<'a>(&'a Telemetry<'a>, &'a Watchdog);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
        self.1.dismiss();
    }
}

/// Ends the run, unless the work that it stands for went well.
struct Broken<'a>(Option<&'a Watchdog>);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if let Some(watchdog) = self.0 {
            watchdog.end(Stop::Broken);
        }
    }
}

/// The way from generation to everything else.
struct Belt<'b, 'scope, 's> {
    pool: &'b rayon::Scope<'scope>,
    stage: &'scope NativeStage<'scope>,
    steps: Sender<(usize, Step<'s>)>,
}

impl<'scope, 's: 'scope> Line<'s> for Belt<'_, 'scope, 's> {
    fn start(&self, number: usize, test: usize) {
        // Who does not listen any more has failed, and its error is the one that counts.
        drop(self.steps.send((number, Step::Start(test))));
    }

    fn cell(&self, number: usize, made: Made<'s>) {
        let (stage, steps) = (self.stage, self.steps.clone());
        self.pool.spawn(move |_| {
            let stored = whatever_happens(stage, made);
            drop(steps.send((number, Step::Cell(Box::new(stored)))));
        });
    }

    fn pause(&self, number: usize, pause: Pause) {
        drop(self.steps.send((number, Step::Pause(pause))));
    }

    fn finish(&self, number: usize, test: usize, body: Body) {
        drop(self.steps.send((number, Step::Finish(test, body))));
    }
}

/// A panic is one cell's failure: a step that never comes would keep back all after it.
fn whatever_happens<'s>(stage: &NativeStage<'_>, made: Made<'s>) -> Stored<'s> {
    let Made { test, cell, source, duration_ms, cost_usd, retries, slot } = made;
    let still = catch_unwind(AssertUnwindSafe(|| stage.work(test, cell, source)));
    let bug = || Failure::new("a bug in difftest, shown on standard error");
    let still = still.unwrap_or_else(|_| Err(bug()));
    Stored { test, cell, still, duration_ms, cost_usd, retries, slot }
}

impl Pipeline<'_> {
    /// Runs everything. `abandon` is called, from another thread, when it cannot be ended.
    pub fn run(
        &self,
        py: Python<'_>,
        bridge: UnboundBridge,
        generation: &mut Generation<'_>,
        abandon: impl FnOnce(Hung) + Send,
    ) -> Result<(), EngineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .thread_name(|index| format!("difftest-native-{index}"))
            .build()
            .map_err(|e| EngineError::Threads(e.to_string()))?;
        let batch = generation.generator.batch_size;
        let window = (2 * batch).max(AT_ONCE);
        // For a window, a full batch of the scorer's, another that gathers, and the pool's own.
        let places = window + 2 * AT_ONCE + 2 * self.jobs;
        let slots = Slots::new(places);
        py.detach(|| {
            std::thread::scope(|threads| {
                let _ending = Ending(self.telemetry, self.watchdog);
                let (steps, to_scribe) = channel();
                let (rest, to_scorer) = sync_channel::<Rest<'_>>(places);
                let scribe = Scribe::new(self.tests, self.asked, self.sink, rest);
                let scribe = threads.spawn(|| self.or_end(|| scribe.write(to_scribe)));
                let scorer = threads.spawn(|| self.or_end(|| self.scorer.score(to_scorer)));
                let sampler = threads.spawn(|| self.telemetry.sample(self.sink));
                threads.spawn(|| self.watchdog.watch(abandon));
                let made = pool.in_place_scope(|scope| {
                    let belt = Belt { pool: scope, stage: self.stage, steps };
                    let production = Production {
                        tests: self.tests,
                        asked: self.asked,
                        shelf: self.shelf,
                        reference: self.stage.reference,
                        pool: &pool,
                        slots: &slots,
                        window,
                        watchdog: self.watchdog,
                        stop: self.stop,
                        telemetry: self.telemetry,
                        line: &belt,
                    };
                    // Attached only for this long: the others need the interpreter to finish.
                    Python::attach(|py| {
                        let bridge = bridge.bind(py);
                        match self.work {
                            Work::Steps(steps) => production.run(py, &bridge, generation, steps),
                            Work::Steered(commands) => {
                                production.run_steered(py, &bridge, generation, commands)
                            }
                        }
                    })
                });
                match &made {
                    Ok(()) => {}
                    Err(EngineError::Interrupted) => self.watchdog.end(Stop::Interrupted),
                    // The reason is there already.
                    Err(EngineError::Stopped(_)) => {}
                    Err(_) => self.watchdog.end(Stop::Broken),
                }
                self.wait_for(&[&scribe, &scorer]);
                let (scribe, scorer) = (join(scribe), join(scorer));
                self.telemetry.end();
                let sampled = join(sampler);
                scribe.and(scorer).and(made).and(sampled)
            })
        })
    }

    /// A thread that fails ends the run.
    fn or_end(&self, work: impl FnOnce() -> Result<(), EngineError>) -> Result<(), EngineError> {
        let mut broken = Broken(Some(self.watchdog));
        let done = work();
        if done.is_ok() {
            broken.0 = None;
        }
        done
    }

    /// Waits on the main thread, where Ctrl-C arrives.
    fn wait_for(&self, threads: &[&ScopedJoinHandle<'_, Result<(), EngineError>>]) {
        let mut looks: u32 = 0;
        while !threads.iter().all(|thread| thread.is_finished()) {
            std::thread::sleep(POLL);
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_A_SIGNAL_CHECK)
                && Python::attach(|py| py.check_signals()).is_err()
            {
                self.watchdog.end(Stop::Interrupted);
            }
        }
    }
}

fn join(thread: ScopedJoinHandle<'_, Result<(), EngineError>>) -> Result<(), EngineError> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
