//! One run from its first event to its last.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use difftest_core::event::{Environment, Event, RunStatus, SCHEMA, TestOutcome};
use difftest_core::metric::{self, MetricInfo};
use difftest_core::suite::CollectionError;
use pyo3::prelude::*;

use super::args::RunArgs;
use super::bridge::{Bridge, CallError, Generator, Metric};
use super::error::EngineError;
use super::generation;
use super::judgement;
use super::plan::{self, Plan, PlannedTest};
use super::reference::ReferenceSource;
use super::scoring::{SSIM, Scorer, Work};
use super::settings::Target;
use super::sink::Sink;

/// Batches that may wait to be scored. One is enough to keep generation going, and each holds
/// its images in memory.
const WAITING_BATCHES: usize = 2;

pub struct Session {
    target: Target,
    reference: ReferenceSource,
    sink: Sink,
    id: String,
    started: Instant,
}

/// What is loaded before the first image.
struct Loaded {
    plan: Plan,
    known: BTreeMap<String, MetricInfo>,
    metrics: BTreeMap<String, Metric>,
}

/// The tests in a form that can run, and everything that could not be.
pub fn discover(bridge: &Bridge<'_>, target: &Target) -> Result<Plan, EngineError> {
    let collected = bridge.collect(&target.test_dir, &target.root)?;
    if collected.tests.is_empty() && collected.errors.is_empty() {
        return Err(EngineError::NothingDiscovered(target.test_dir.clone()));
    }
    let mut plan = Plan::new(collected.tests);
    plan.errors.splice(0..0, collected.errors);
    target.select(&mut plan)?;
    let clashes = plan::shared_baselines(&plan.tests);
    plan.reject(|test| clashes.get(test.spec.id.as_str()).cloned());
    Ok(plan)
}

impl Session {
    /// Makes the run's folder, which is where everything it says goes.
    pub fn open(args: &RunArgs, target: Target, cwd: &Path) -> Result<Self, EngineError> {
        let id = uuid::Uuid::now_v7().to_string();
        let dir = match &args.run_dir {
            Some(dir) => cwd.join(dir),
            None => super::history::folder(&target.root)?.join("runs").join(&id),
        };
        let reference = ReferenceSource::open(&args.reference, &target.root)?;
        let sink = Sink::open(&dir, args.events.as_deref())?;
        Ok(Self { target, reference, sink, id, started: Instant::now() })
    }

    /// Runs everything and says how it ended; the last event is written whatever happens.
    pub fn run(mut self, py: Python<'_>) -> (Sink, Result<RunStatus, EngineError>) {
        let ended = self.execute(py).map(|()| judgement::status(self.sink.run()));
        let closed = self.close(&ended);
        let ended = ended.map(|(status, _)| status);
        (self.sink, closed.and(ended))
    }

    fn execute(&mut self, py: Python<'_>) -> Result<(), EngineError> {
        let loaded = Bridge::connect(py).and_then(|bridge| {
            let loaded = self.load(&bridge)?;
            let generator = match loaded.plan.tests.is_empty() {
                true => Err(EngineError::NothingCollected),
                false => bridge.load_generator(&self.target),
            };
            Ok((bridge, loaded, generator))
        });
        let (bridge, loaded, generator) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.announce(None, None, Vec::new())?;
                return Err(error);
            }
        };
        let errors = loaded.plan.errors.clone();
        self.announce(Some(&loaded), generator.as_ref().ok(), errors)?;
        self.pipeline(py, &bridge, &loaded, &generator?)
    }

    /// Collects, plans and loads every metric. A test whose metric does not load is an error of
    /// that test.
    fn load(&self, bridge: &Bridge<'_>) -> Result<Loaded, EngineError> {
        let mut plan = discover(bridge, &self.target)?;
        let (mut known, mut metrics) = (BTreeMap::new(), BTreeMap::new());
        let mut faults: BTreeMap<String, String> = BTreeMap::new();
        for name in plan.metrics() {
            if name == SSIM {
                known.extend(metric::find(SSIM).map(|info| (name, info)));
                continue;
            }
            match bridge.load_metric(&name) {
                Ok(metric) => {
                    known.insert(
                        name.clone(),
                        MetricInfo { name: name.clone(), ..metric.info.clone() },
                    );
                    metrics.insert(name, metric);
                }
                Err(CallError::Interrupted) => return Err(EngineError::Interrupted),
                Err(CallError::Failed(failure)) => drop(faults.insert(name, failure.reason)),
            }
        }
        plan.reject(|test| test.spec.metrics().iter().find_map(|name| faults.get(name).cloned()));
        let kind = self.reference.kind();
        plan.reject(|test| plan::missing_reference_dir(test, &known, kind));
        Ok(Loaded { plan, known, metrics })
    }

    fn announce(
        &mut self,
        loaded: Option<&Loaded>,
        generator: Option<&Generator>,
        errors: Vec<CollectionError>,
    ) -> Result<(), EngineError> {
        let asked_for = self
            .target
            .settings
            .generator
            .clone()
            .unwrap_or_else(|| self.target.settings.model.clone());
        self.sink.emit(&Event::RunStarted {
            schema: SCHEMA,
            run: self.id.clone(),
            model: self.target.settings.model.clone(),
            generator: generator.map_or(asked_for, |g| g.name.clone()),
            fingerprint: generator.map_or_else(String::new, |g| g.fingerprint.clone()),
            environment: generator.map_or_else(
                || Environment {
                    device: self.target.settings.device.clone(),
                    ..Environment::default()
                },
                |g| g.environment.clone(),
            ),
            tests: loaded
                .map(|l| l.plan.tests.iter().map(|t| t.spec.clone()).collect())
                .unwrap_or_default(),
            metrics: loaded.map(|l| l.known.values().cloned().collect()).unwrap_or_default(),
            cells: loaded.map_or(0, |l| l.plan.cell_count() as u64),
            recipe: self.target.settings.recipe.clone(),
        })?;
        for error in errors {
            self.sink.emit(&Event::CollectionFailed { error })?;
        }
        Ok(())
    }

    /// Generation on this thread, everything else on another.
    fn pipeline(
        &mut self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        loaded: &Loaded,
        generator: &Generator,
    ) -> Result<(), EngineError> {
        let tests = &loaded.plan.tests;
        let mut scorer = Scorer {
            tests,
            known: &loaded.known,
            metrics: &loaded.metrics,
            reference: &self.reference,
            sink: &mut self.sink,
        };
        // Unbound, for it crosses the detached part.
        let bridge = bridge.unbind();
        let (made, scored) = py.detach(|| {
            std::thread::scope(|scope| {
                let (sender, receiver) = sync_channel(WAITING_BATCHES);
                let scoring = scope.spawn(move || scorer.drain(receiver));
                // Attached only for this long: the scope waits for the scoring thread, which may
                // need the interpreter to finish.
                let made =
                    Python::attach(|py| produce(py, &bridge.bind(py), generator, tests, sender));
                (made, scoring.join())
            })
        });
        match scored {
            Ok(scored) => scored.and(made),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Says what did not run, and how it ended.
    fn close(
        &mut self,
        ended: &Result<(RunStatus, Option<String>), EngineError>,
    ) -> Result<(), EngineError> {
        let (status, reason) = match ended {
            Ok((status, reason)) => (*status, reason.clone()),
            Err(error) => (RunStatus::Error, Some(error.to_string())),
        };
        let unfinished: Vec<_> = self
            .sink
            .run()
            .tests
            .iter()
            .filter(|t| t.outcome.is_none())
            .map(|t| t.spec.id.clone())
            .collect();
        for test in unfinished {
            self.sink.emit(&Event::TestFinished {
                test,
                outcome: TestOutcome::NotRun,
                reasons: reason.iter().map(|r| format!("the run ended before it: {r}")).collect(),
                duration_ms: 0.0,
            })?;
        }
        let duration_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        self.sink.emit(&Event::RunFinished { status, reason, duration_ms })
    }
}

/// Hands over every test's images, batch by batch, and what became of its body.
fn produce(
    py: Python<'_>,
    bridge: &Bridge<'_>,
    generator: &Generator,
    tests: &[PlannedTest],
    sender: SyncSender<Work>,
) -> Result<(), EngineError> {
    // Waiting for room in the queue must not keep the scoring thread from the interpreter. That
    // the queue is closed means that scoring has failed, and its error is the one that counts.
    let send = |work| py.detach(|| sender.send(work)).is_ok();
    for (index, test) in tests.iter().enumerate() {
        if !send(Work::Start(index)) {
            return Ok(());
        }
        for cells in test.cells.chunks(generator.batch_size) {
            let batch = generation::generate(py, generator, &test.spec, cells)?;
            if !send(Work::Images(index, batch)) {
                return Ok(());
            }
        }
        let body = bridge.run_body(&test.spec.id, generator)?;
        if !send(Work::Finish(index, body)) {
            return Ok(());
        }
    }
    Ok(())
}
