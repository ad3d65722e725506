//! How a run can end without a result.

use std::path::{Path, PathBuf};

use difftest_core::config::{ConfigError, SetError};
use difftest_core::filter::FilterError;
use pyo3::PyErr;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("{place}: {source}")]
    Setting { place: String, source: SetError },
    #[error("{flag} `{given}` has no `=`; write {flag} NAME=VALUE")]
    NotAPair { flag: &'static str, given: String },
    #[error("there is no suite `{name}` in the configuration; {hint}")]
    UnknownSuite { name: String, hint: String },
    #[error(
        "{} is not a folder; name the one that holds your test_*.py files with --test-dir, or with `test_dir` in difftest.toml",
        .0.display()
    )]
    NoTestDir(PathBuf),
    #[error(
        "nothing to run: {} holds no test_*.py file with a function under @difftest.test or @difftest.visual_regression",
        .0.display()
    )]
    NothingDiscovered(PathBuf),
    #[error(
        "nothing to run: --filter and --test leave none of the {discovered} tests; `difftest run --dry-run` lists them"
    )]
    NothingSelected { discovered: usize },
    #[error("--test `{name}`: there is no such test; {hint}")]
    UnknownTest { name: String, hint: String },
    #[error("nothing to run: no test could be collected")]
    NothingCollected,
    #[error(
        "{} already holds a run; give another --run-dir, or remove it",
        .0.display()
    )]
    RunDirTaken(PathBuf),
    #[error(
        "--reference {}: this folder holds no readable run ({reason}); give `baseline`, `none`, or the --run-dir of another run",
        .dir.display()
    )]
    BadReference { dir: PathBuf, reason: String },
    #[error("cannot {what} {}: {source}", .path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "{}: there is no run to compare ({reason}); give a run's identifier, its folder, or a results file that `difftest run --output` wrote",
        .name.display()
    )]
    BadRun { name: PathBuf, reason: String },
    #[error("--models: a sweep compares at least two different models; write --models A,B")]
    FewModels,
    #[error("--base {name}: {reason}")]
    BadBase { name: String, reason: String },
    #[error("the run of {what} did not start: {errors}")]
    Child { what: String, errors: String },
    #[error("--resume {name}: there is no run to go on with ({reason})")]
    BadResume { name: String, reason: String },
    #[error(
        "the run {run} cannot be gone on with, for its images would not be made alike: {what}; start a new one"
    )]
    ResumeDiffers { run: String, what: String },
    #[error("another process is still writing to {}", .0.display())]
    StillRunning(PathBuf),
    #[error(
        "the reference run made no image: {reason}; `difftest run` shows the whole of it, and its log is in {}",
        .dir.display()
    )]
    NoReferenceRun { reason: String, dir: PathBuf },
    #[error("the run with other seeds made no image: {reason}")]
    NoSeedsRun { reason: String },
    #[error(transparent)]
    NotFinite(#[from] difftest_core::calibration::NotFinite),
    #[error("margins cannot be written into {}: {reason}", .path.display())]
    Edit { path: PathBuf, reason: String },
    #[error("the threads of the run did not start: {0}")]
    Threads(String),
    #[error(
        "--steer: standard input is not what steers a run: {0}; `difftest compare --base` and the runner speak it, see docs/events.md"
    )]
    Unsteered(String),
    /// The run was told to end; why.
    #[error("{0}")]
    Stopped(String),
    #[error("an image could not be encoded as PNG: {0}")]
    Encode(#[from] super::png::EncodeError),
    /// A message of `difftest.errors`: it names input, place and mend.
    #[error("{0}")]
    Python(String),
    #[error("the Python side of difftest answered in a form this version does not know: {0}")]
    Bridge(String),
    #[error("interrupted")]
    Interrupted,
    /// Nothing a user did: the trace is what helps.
    #[error("{0}")]
    Bug(PyErr),
}

impl EngineError {
    pub fn file(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { what, path, source }
    }
}
