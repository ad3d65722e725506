//! The engine: Rust plans and drives, Python infers.
//!
//! ```text
//! discovery ─▶ plan ─▶ production: batches on Python's main thread (generation)
//!                         │ each image as it comes, while there are slots
//!                         ▼
//!                      native stage: PNG, digest, reference, native metrics (rayon, detached)
//!                         │ in the order of the plan
//!                         ▼
//!                      scribe ─▶ sink: events.jsonl · `--events` · the result, folded in process
//!                         │         ▲
//!                         ▼         │
//!                      scorer: Python's metrics in batches of their own; the end of every test
//! ```

mod args;
mod asked;
mod audit;
mod baseline;
mod bridge;
mod cache;
mod calibrate;
mod commands;
mod comparing;
pub mod decode;
mod error;
mod estimate;
mod files;
mod generation;
mod generator;
mod history;
mod judgement;
mod loading;
mod native_stage;
mod outputs;
mod picture;
mod pipeline;
mod plan;
pub mod png;
mod production;
mod progress;
mod python_metric;
mod reference;
mod reference_names;
mod resume;
mod scoring;
mod scribe;
mod session;
mod settings;
mod shelf;
mod sink;
mod slots;
mod sources;
mod stop;
mod subscribers;
mod telemetry;
mod usage;
mod variant;
mod watchdog;

use std::io::Write as _;

use difftest_core::config::show_size;
use difftest_core::event::RunStatus;
use pyo3::prelude::*;

pub use comparing::CompareArgs;

pub use args::{
    AuditArgs, BaselineAction, BaselineArgs, CacheAction, CacheArgs, CalibrateArgs, ConfigAction,
    ConfigArgs, RunArgs, SelectArgs,
};
use error::EngineError;
use session::Session;
use settings::Target;
use sink::Sink;

/// As shells have it: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;
const ERROR: i32 = 2;

/// `difftest run`. Answers the exit code; an error is a bug, with its traceback.
pub fn run(py: Python<'_>, args: RunArgs) -> PyResult<i32> {
    exit_code(run_in(py, &args).map(judgement::exit_code))
}

/// `difftest baseline save|update`, likewise.
pub fn baseline(py: Python<'_>, args: BaselineArgs) -> PyResult<i32> {
    exit_code(current_dir().and_then(|cwd| baseline::run(py, &args.action, &cwd)))
}

/// `difftest compare`. Answers the exit code, likewise.
pub fn compare(py: Python<'_>, args: &CompareArgs) -> PyResult<i32> {
    exit_code(current_dir().and_then(|cwd| comparing::run(py, args, &cwd)))
}

/// `difftest audit`, likewise.
pub fn audit(py: Python<'_>, args: &AuditArgs) -> PyResult<i32> {
    exit_code(current_dir().and_then(|cwd| audit::run(py, args, &cwd)))
}

/// `difftest calibrate`, likewise.
pub fn calibrate(py: Python<'_>, args: &CalibrateArgs) -> PyResult<i32> {
    exit_code(current_dir().and_then(|cwd| calibrate::run(py, args, &cwd)))
}

/// `difftest cache stats|clear`.
pub fn cache(args: &CacheArgs) -> PyResult<i32> {
    exit_code(current_dir().and_then(|cwd| {
        let target = settings::resolve(&SelectArgs::default(), &cwd)?;
        let dir = history::cache_dir(&target.root);
        let (stats, what) = match args.action {
            CacheAction::Stats => (cache::stats(&dir), "kept"),
            CacheAction::Clear => (cache::clear(&dir)?, "removed"),
        };
        let (kept, limit) = (show_size(stats.bytes), show_size(target.settings.cache_limit));
        let images = progress::count(stats.images, "image");
        let dir = dir.strip_prefix(&cwd).unwrap_or(&dir).display().to_string();
        writeln!(std::io::stdout(), "{images}, {kept}, {what} in {dir} (limit {limit})")
            .map_err(EngineError::file("write to", "standard output"))?;
        Ok(0)
    }))
}

/// `difftest config show`.
pub fn config(args: &ConfigArgs) -> PyResult<i32> {
    let ConfigAction::Show(select) = &args.action;
    exit_code(current_dir().and_then(|cwd| {
        let target = settings::resolve(select, &cwd)?;
        write!(std::io::stdout(), "{}", progress::visible(&settings::show(&target)))
            .map_err(EngineError::file("write to", "standard output"))?;
        Ok(0)
    }))
}

fn current_dir() -> Result<std::path::PathBuf, EngineError> {
    std::env::current_dir().map_err(EngineError::file("find", "the current folder"))
}

fn run_in(py: Python<'_>, args: &RunArgs) -> Result<RunStatus, EngineError> {
    let cwd = current_dir()?;
    let target = settings::of_run(args, &cwd)?;
    if args.dry_run {
        return dry_run(py, &target);
    }
    let (root, verdict) = (target.root.clone(), target.verdict.clone());
    let write = |sink: &Sink| {
        // A copy: the events that come meanwhile wait for nobody.
        let run = sink.read(Clone::clone);
        outputs::write(args, &root, &cwd, sink.dir(), &run, &verdict)
    };
    let leave = |sink: &Sink, code: i32| {
        if let Err(error) = write(sink) {
            complain(&format!("error: {error}"));
        }
        complain("error: the run hangs, and ends here: what was written so far stays");
        // At once, past every destructor: a thread that hangs may hold what they wait for.
        signal_hook::low_level::exit(code);
    };
    let ended = Session::open(args, target, &cwd, &leave)?.run(py);
    if !ended.written {
        return ended.status;
    }
    let written = py.detach(|| write(&ended.sink));
    let status = ended.status?;
    written.map(|()| status)
}

/// `--dry-run`: says what would run.
fn dry_run(py: Python<'_>, target: &Target) -> Result<RunStatus, EngineError> {
    let plan = loading::discover(&bridge::Bridge::connect(py)?, target)?;
    let settings = &target.settings;
    let reports =
        py.detach(|| history::reports(&target.root, estimate::RUNS)).unwrap_or_else(|e| {
            complain(&format!("warning: the history cannot be read: {e}"));
            Vec::new()
        });
    let generator = settings.generator.as_deref();
    let per_image = estimate::PerImage::of(&reports, &settings.model, generator, &settings.device);
    let price = settings.options.get("price_per_image").and_then(serde_json::Value::as_f64);
    let text = progress::visible(&estimate::render(&plan, per_image, price));
    write!(std::io::stdout(), "{text}")
        .map_err(EngineError::file("write to", "standard output"))?;
    Ok(if plan.errors.is_empty() { RunStatus::Passed } else { RunStatus::Error })
}

fn exit_code(ended: Result<i32, EngineError>) -> PyResult<i32> {
    match ended {
        Ok(code) => Ok(code),
        Err(EngineError::Interrupted) => {
            complain("interrupted: what was written so far stays");
            Ok(INTERRUPTED)
        }
        Err(EngineError::Bug(error)) => Err(error),
        Err(error) => {
            complain(&format!("error: {error}"));
            Ok(ERROR)
        }
    }
}

/// That standard error is closed changes nothing.
fn complain(line: &str) {
    drop(writeln!(std::io::stderr(), "{}", progress::visible(line)));
}
