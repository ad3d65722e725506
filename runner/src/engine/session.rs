//! One run from its first event to its last.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use difftest_core::event::{Environment, Event, LogLevel, RunStatus, SCHEMA, TestOutcome};
use difftest_core::suite::CollectionError;
use pyo3::prelude::*;

use super::args::RunArgs;
use super::asked::Asked;
use super::bridge::{Bridge, Failure};
use super::cache::Cache;
use super::commands::Commands;
use super::error::EngineError;
use super::generation::Generation;
use super::generator::Generator;
use super::history;
use super::judgement::{self, Rules};
use super::loading::{self, Loaded};
use super::native_stage::NativeStage;
use super::pipeline::{Pipeline, Work};
use super::production;
use super::reference::ReferenceSource;
use super::resume::{self, Earlier};
use super::scoring::Scorer;
use super::scribe::cell_failed;
use super::settings::Target;
use super::shelf::{CacheUse, Shelf};
use super::sink::Sink;
use super::stop::{Stop, StopFlag};
use super::subscribers;
use super::telemetry::Telemetry;
use super::watchdog::{Hung, Watchdog};

pub struct Session<'a> {
    target: Target,
    reference: ReferenceSource,
    sink: Sink,
    id: String,
    started: Instant,
    fail_fast: bool,
    /// Told what to make, bit by bit.
    commands: Option<Commands>,
    /// The run that is gone on with. Nothing is added to its stream before it is sure that what
    /// comes belongs to it.
    earlier: Option<Earlier>,
    /// Ends the process, with what there is of a run that hangs. Called from another thread.
    leave: &'a (dyn Fn(&Sink, i32) + Sync),
    reading: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<StopFlag>,
}

/// How a run ended.
pub struct Ended {
    pub sink: Sink,
    /// Not so where nothing was added to the stream of an earlier run.
    pub written: bool,
    pub status: Result<RunStatus, EngineError>,
}

impl<'a> Session<'a> {
    /// Makes the run's folder, which is where everything it says goes, or opens the one that is
    /// gone on with.
    pub fn open(
        args: &RunArgs,
        target: Target,
        cwd: &Path,
        leave: &'a (dyn Fn(&Sink, i32) + Sync),
    ) -> Result<Self, EngineError> {
        let reference = ReferenceSource::open(&args.reference, &target.root)?;
        let earlier =
            args.resume.as_ref().map(|name| Earlier::read(name, &target.root, cwd)).transpose()?;
        let id = match &earlier {
            Some(earlier) => earlier.run.id.clone(),
            None => uuid::Uuid::now_v7().to_string(),
        };
        let copy = args.events.as_deref();
        let sink = match (&earlier, &args.run_dir) {
            (Some(earlier), _) => {
                Sink::reopen(&earlier.dir, copy, earlier.run.clone(), earlier.whole_bytes)?
            }
            (None, Some(dir)) => Sink::open(&cwd.join(dir), copy)?,
            (None, None) => Sink::open(&history::runs_dir(&target.root)?.join(&id), copy)?,
        };
        let (started, fail_fast) = (Instant::now(), args.fail_fast);
        let commands = args.steer.then(Commands::of_stdin).transpose()?;
        Ok(Self {
            target,
            reference,
            sink,
            id,
            started,
            fail_fast,
            commands,
            earlier,
            leave,
            reading: Mutex::default(),
            stop: Arc::default(),
        })
    }

    /// Runs everything and says how it ended; the last event is written whatever happens.
    pub fn run(self, py: Python<'_>) -> Ended {
        let (done, written) = self.execute(py);
        let status = match written {
            false => done.map(|()| RunStatus::Error),
            true => {
                let ended = done.map(|()| self.sink.read(judgement::status));
                // Who reads the events along may need the interpreter to take them.
                let closed = py.detach(|| self.say_end(&ended));
                closed.and(ended.map(|(status, _)| status))
            }
        };
        self.sink.detach_readers();
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reading) = reading {
            py.detach(|| subscribers::settle(&reading));
        }
        Ended { sink: self.sink, written, status }
    }

    /// Also answers whether anything was written to the stream.
    fn execute(&self, py: Python<'_>) -> (Result<(), EngineError>, bool) {
        let loaded = Bridge::connect(py).and_then(|bridge| {
            let mut loaded = loading::load(&bridge, &self.target, self.reference.kind())?;
            if self.commands.is_some() {
                loaded.plan.allow_confirmation();
            }
            let generator = match loaded.plan.tests.is_empty() {
                true => Err(EngineError::NothingCollected),
                false => bridge.load_generator(&self.target),
            };
            Ok((bridge, loaded, generator))
        });
        match (loaded, &self.earlier) {
            (Err(error), Some(_)) | (Ok((_, _, Err(error))), Some(_)) => (Err(error), false),
            (Err(error), None) => (self.announce(None, None).and(Err(error)), true),
            (Ok((bridge, loaded, generator)), None) => {
                (self.go(py, &bridge, &loaded, generator), true)
            }
            (Ok((bridge, loaded, Ok(generator))), Some(earlier)) => {
                let settings = &self.target.settings;
                match earlier.differs(&settings.model, &generator, &settings.recipe) {
                    Ok(()) => (self.go(py, &bridge, &loaded, Ok(generator)), true),
                    Err(error) => (Err(error), false),
                }
            }
        }
    }

    fn go(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        loaded: &Loaded,
        generator: Result<Generator, EngineError>,
    ) -> Result<(), EngineError> {
        if bridge.subscribers()? > 0 {
            let (readers, reading) = subscribers::subscribe(bridge.unbind());
            self.sink.attach(readers);
            let reading = std::thread::spawn(move || reading.run());
            *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        py.detach(|| self.announce(Some(loaded), generator.as_ref().ok()))?;
        let generator = generator?;
        let done = self.pipeline(py, bridge, loaded, &generator);
        done.and(bridge.unload(&generator))
    }

    fn announce(
        &self,
        loaded: Option<&Loaded>,
        generator: Option<&Generator>,
    ) -> Result<(), EngineError> {
        let settings = &self.target.settings;
        let asked_for = settings.generator.as_ref().unwrap_or(&settings.model);
        let device = settings.device.clone();
        let unknown = || Environment { device, ..Environment::default() };
        self.sink.emit(&Event::RunStarted {
            schema: SCHEMA,
            run: self.id.clone(),
            model: settings.model.clone(),
            generator: generator.map_or(asked_for, |g| &g.name).clone(),
            fingerprint: generator.map_or_else(String::new, |g| g.fingerprint.clone()),
            environment: generator.map_or_else(unknown, |g| g.environment.clone()),
            tests: loaded
                .map(|l| l.plan.tests.iter().map(|t| t.spec.clone()).collect())
                .unwrap_or_default(),
            metrics: loaded.map(|l| l.known.values().cloned().collect()).unwrap_or_default(),
            cells: loaded.map_or(0, |l| l.plan.cell_count() as u64),
            recipe: settings.recipe.clone(),
        })?;
        let errors: &[CollectionError] = loaded.map_or(&[], |l| &l.plan.errors);
        errors
            .iter()
            .try_for_each(|error| self.sink.emit(&Event::CollectionFailed { error: error.clone() }))
    }

    /// Makes and scores every image that is not there yet.
    fn pipeline(
        &self,
        py: Python<'_>,
        bridge: &Bridge<'_>,
        loaded: &Loaded,
        generator: &Generator,
    ) -> Result<(), EngineError> {
        let (tests, settings) = (&loaded.plan.tests[..], &self.target.settings);
        let kind = self.reference.kind();
        let asked: Vec<Asked<'_>> =
            tests.iter().map(|test| Asked::of(test, &loaded.metrics, kind)).collect();
        let images_dir = self.sink.images_dir();
        let jobs = match &self.earlier {
            None => resume::all_jobs(tests),
            Some(_) => self.sink.read(|run| {
                let exists = |image: &difftest_core::event::ImageRef| {
                    images_dir.join(format!("{}.png", image.sha256)).is_file()
                };
                resume::jobs(tests, &asked, run, exists)
            }),
        };
        let steps = production::steps(&jobs);
        let cache = match settings.incremental {
            true => Some(Mutex::new(Cache::open(
                &history::cache_dir(&self.target.root),
                settings.cache_limit,
            )?)),
            false => None,
        };
        let cache_use = cache.as_ref().map(|cache| CacheUse {
            cache,
            model: &settings.model,
            generator: &generator.name,
            fingerprint: &generator.fingerprint,
            environment: &generator.environment,
        });
        let shelf = Shelf {
            tests,
            model: &settings.model,
            settings: &settings.recipe,
            images_dir: &images_dir,
            cache: cache_use,
        };
        let stage = NativeStage { tests, asked: &asked, reference: &self.reference, shelf: &shelf };
        let stop = Arc::clone(&self.stop);
        let watchdog = Arc::new(Watchdog::new(Arc::clone(&stop), settings.timeout, self.started));
        let telemetry = Telemetry::new(tests);
        let scorer = Scorer {
            tests,
            asked: &asked,
            known: &loaded.known,
            rules: Rules { min_samples: settings.min_samples, steered: self.commands.is_some() },
            root: &self.target.root,
            sink: &self.sink,
            telemetry: &telemetry,
            stop: &stop,
            watchdog: &watchdog,
            fail_fast: self.fail_fast,
        };
        let pipeline = Pipeline {
            tests,
            asked: &asked,
            work: match &self.commands {
                None => Work::Steps(&steps),
                Some(commands) => Work::Steered(commands),
            },
            shelf: &shelf,
            stage: &stage,
            scorer: &scorer,
            sink: &self.sink,
            telemetry: &telemetry,
            watchdog: &watchdog,
            stop: &stop,
            jobs: self.target.jobs(),
        };
        let mut generation = Generation::new(generator, &watchdog, &stop, settings.image_timeout);
        let alarm = Arc::clone(&watchdog);
        if bridge.watch(move || alarm.overdue())? {
            watchdog.may_interrupt();
        } else {
            let level = LogLevel::Debug;
            let message = "not on Python's main thread: a call that hangs ends the run".to_owned();
            self.sink.emit(&Event::Log { level, message })?;
        }
        let abandon = |hung: Hung| self.abandon(&hung, loaded);
        let done = pipeline.run(py, bridge.unbind(), &mut generation, abandon);
        let done = bridge.unwatch().and(done);
        match (done, stop.raised()) {
            (Ok(()) | Err(EngineError::Stopped(_)), Some(Stop::FailFast(_))) => Ok(()),
            (Ok(()) | Err(EngineError::Stopped(_)), Some(Stop::Interrupted)) => {
                Err(EngineError::Interrupted)
            }
            (Ok(()), Some(stop @ Stop::Timeout(_))) => Err(EngineError::Stopped(stop.reason())),
            (done, _) => done,
        }
    }

    /// Says what is known of a run that cannot be ended, and leaves.
    fn abandon(&self, hung: &Hung, loaded: &Loaded) {
        let said = hung.cells.iter().try_for_each(|at| {
            let cell = &loaded.plan.tests[at.test].cells[at.cell];
            cell_failed(&self.sink, cell, Failure::new(hung.reason.clone()))
        });
        // The last word counts more than what could not be said before it.
        let _ = said.and(self.say_end(&Err(EngineError::Stopped(hung.reason.clone()))));
        self.sink.detach_readers();
        (self.leave)(&self.sink, hung.code);
    }

    /// Says what did not run, and how it ended.
    fn say_end(
        &self,
        ended: &Result<(RunStatus, Option<String>), EngineError>,
    ) -> Result<(), EngineError> {
        let (status, reason) = match ended {
            Ok((status, reason)) => (*status, reason.clone()),
            Err(error) => (RunStatus::Error, Some(error.to_string())),
        };
        let unfinished: Vec<_> = self.sink.read(|run| {
            let unfinished = run.tests.iter().filter(|t| t.outcome.is_none());
            unfinished.map(|t| t.spec.id.clone()).collect()
        });
        let why = self.stop.raised().map(Stop::reason).or_else(|| reason.clone());
        for test in unfinished {
            self.sink.emit(&Event::TestFinished {
                test,
                outcome: TestOutcome::NotRun,
                reasons: why.iter().map(|r| format!("the run ended before it: {r}")).collect(),
                duration_ms: 0.0,
            })?;
        }
        let duration_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        self.sink.emit(&Event::RunFinished { status, reason, duration_ms })
    }
}
