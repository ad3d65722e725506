//! The command line of `difftest`.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::{Parser, Subcommand};
use difftest_app::AppArgs;
use difftest_runner::daemon::{self, RunnerArgs};
use difftest_runner::engine::{
    self, AuditArgs, BaselineArgs, CacheArgs, CalibrateArgs, CompareArgs, ConfigArgs, RunArgs,
};
use pyo3::prelude::*;
use tracing_subscriber::EnvFilter;

use crate::recipe::{self, RecipeArgs};
use crate::serving::{serve, watch};
use crate::suites::{self, SuitesArgs};

const ERROR: i32 = 2;

/// CI for models that make images: generates what the tests ask for, scores it, and says what
/// got better or worse.
#[derive(Parser)]
#[command(name = "difftest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate every image the tests ask for, score them, and say which tests pass
    Run(Box<RunArgs>),
    /// Store the images that later runs are compared with
    Baseline(BaselineArgs),
    /// Compare two runs, the working tree with a base, or several models
    Compare(Box<CompareArgs>),
    /// Say what moves this suite's images and scores when nothing that counts has changed
    Audit(Box<AuditArgs>),
    /// Measure how far scores move by chance, and write margins from that into the configuration
    Calibrate(Box<CalibrateArgs>),
    /// Say what --incremental keeps, or remove it
    Cache(CacheArgs),
    /// Say every setting, and where it came from
    Config(ConfigArgs),
    /// How an image was made, and the schedulers that there are
    Recipe(RecipeArgs),
    /// Which prompt suites there are, and what is in one
    Suites(SuitesArgs),
    /// Serve the GitHub App: webhooks in, check runs and comments out
    App(Box<AppArgs>),
    /// Lease jobs from an App and run them on this machine
    Runner(Box<RunnerArgs>),
    /// Speak the Language Server Protocol on standard input and output
    Lsp {
        /// There is no other way; editors pass it all the same
        #[arg(long)]
        stdio: bool,
    },
}

/// Runs the command line; `argv[0]` is the program's name. Answers the exit code: 0 passed, 1 a
/// test failed, 2 an error.
#[pyfunction]
pub fn cli_main(py: Python<'_>, argv: Vec<String>) -> PyResult<i32> {
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        // Also `--help` and `--version`, which are no errors and have exit code 0.
        Err(shown) => {
            drop(shown.print());
            return Ok(shown.exit_code());
        }
    };
    // A bug, in Rust or in Python, shows its trace and is an error: left to Python it would end
    // with 1, which says that a test has failed.
    let ended = catch_unwind(AssertUnwindSafe(|| dispatch(py, cli.command)));
    Ok(match ended {
        Ok(Ok(code)) => code,
        Ok(Err(bug)) => {
            bug.print(py);
            ERROR
        }
        Err(_) => ERROR, // the panic hook has shown it
    })
}

fn dispatch(py: Python<'_>, command: Command) -> PyResult<i32> {
    match command {
        Command::Run(args) => engine::run(py, *args),
        Command::Baseline(args) => engine::baseline(py, args),
        Command::Compare(args) => engine::compare(py, &args),
        Command::Audit(args) => engine::audit(py, &args),
        Command::Calibrate(args) => engine::calibrate(py, &args),
        Command::Cache(args) => engine::cache(&args),
        Command::Config(args) => engine::config(&args),
        Command::Recipe(args) => Ok(recipe::run(args)),
        Command::Suites(args) => suites::run(py, &args),
        Command::App(args) => {
            difftest_app::install_crypto();
            log_to_stderr();
            serve(py, |stop| async { difftest_app::serve(*args, stop).await.map(|()| 0) })
        }
        Command::Runner(args) => {
            difftest_app::install_crypto();
            log_to_stderr();
            serve(py, |stop| async { daemon::serve(*args, stop).await.map(|()| 0) })
        }
        Command::Lsp { stdio: _ } => watch(py, || {
            difftest_lsp::run().map_or_else(|error| fail(&error), |exit| i32::from(exit.code()))
        }),
    }
}

/// Says what is wrong, and answers the exit code of an error.
pub fn fail(error: &dyn Display) -> i32 {
    drop(writeln!(std::io::stderr(), "error: {error}"));
    ERROR
}

/// Servers log; `DIFFTEST_LOG` chooses what, as in `DIFFTEST_LOG=debug`.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("DIFFTEST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber is refused, and the first one stays.
    drop(log.try_init());
}
