//! The engine: Rust plans and drives, Python infers.
//!
//! ```text
//! discovery ─▶ plan ─▶ generation (Python's thread, in batches)
//!                         │ bounded queue
//!                         ▼
//!                      scoring (PNG and SSIM on rayon, detached; Python's metrics in batches)
//!                         │ events
//!                         ▼
//!                      sink: events.jsonl · `--events` · the result, folded in process
//! ```

mod args;
mod baseline;
mod bridge;
mod cache;
mod error;
mod estimate;
mod generation;
mod history;
mod judgement;
mod plan;
pub mod png;
mod progress;
mod reference;
mod scoring;
mod session;
mod settings;
mod sink;
mod summary;

use std::io::Write as _;
use std::path::Path;

use difftest_core::config::show_size;
use difftest_core::event::RunStatus;
use pyo3::prelude::*;

pub use args::{
    BaselineAction, BaselineArgs, CacheAction, CacheArgs, ConfigAction, ConfigArgs, RunArgs,
    SelectArgs,
};
use error::EngineError;
use session::Session;
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
    let root = target.root.clone();
    let (sink, ended) = Session::open(args, target, &cwd)?.run(py);
    let closed = py.detach(|| close(args, &root, &cwd, &sink));
    let status = ended?;
    closed.map(|()| status)
}

/// Everything that is made of the finished run's result.
fn close(args: &RunArgs, root: &Path, cwd: &Path, sink: &Sink) -> Result<(), EngineError> {
    let run = sink.run();
    if let Err(e) = history::record(root, run) {
        complain(&format!("warning: the run is not in the history: {e}"));
    }
    let report = run.report();
    if let Some(file) = &args.output {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|e| EngineError::Bridge(format!("the report: {e}")))?;
        write_report(file, &(json + "\n"))?;
    }
    if let Some(file) = &args.markdown {
        write_report(file, &difftest_core::report::run::markdown(&report))?;
    }
    let dir = sink.dir().strip_prefix(cwd).unwrap_or(sink.dir());
    let summary = summary::render(run);
    // With `--events -` this is standard error: the sink has taken standard output over.
    writeln!(std::io::stdout(), "\n{summary}images and events: {}", dir.display())
        .map_err(EngineError::file("write to", "standard output"))
}

fn write_report(file: &Path, text: &str) -> Result<(), EngineError> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(EngineError::file("make", dir))?;
    }
    std::fs::write(file, text).map_err(EngineError::file("write", file))
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
