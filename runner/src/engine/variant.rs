//! Runs of a suite that differ from each other in one thing, each in a process of its own: a back
//! end is loaded afresh, and nothing of one run is left in the next.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use difftest_core::result::Run;
use pyo3::prelude::*;

use super::args::SelectArgs;
use super::error::EngineError;
use super::progress::{count, visible};
use super::reference::read_run;
use super::sources::{Change, THREAD_VARIABLES};

const POLL: Duration = Duration::from_millis(50);

/// Starts runs one after the other, and says how far it is.
pub struct Laboratory {
    python: String,
    cwd: PathBuf,
    /// Every run has its folder in it.
    pub dir: PathBuf,
    select: SelectArgs,
    max_images: Option<usize>,
    /// SIGTERM came.
    ended: Arc<AtomicBool>,
}

/// A run that has images.
pub struct Made {
    pub run: Run,
    pub dir: PathBuf,
}

/// A run that has none, and why.
#[derive(Debug)]
pub struct NoImages(pub String);

impl Laboratory {
    pub fn open(
        py: Python<'_>,
        select: &SelectArgs,
        max_images: Option<usize>,
        cwd: &Path,
        dir: PathBuf,
    ) -> Result<Self, EngineError> {
        std::fs::create_dir_all(&dir).map_err(EngineError::file("make", &dir))?;
        let python = py.import("sys").and_then(|sys| sys.getattr("executable")?.extract());
        let ended = Arc::default();
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&ended))
            .map_err(EngineError::file("watch for the end of", "this process"))?;
        Ok(Self {
            python: python.map_err(EngineError::Bug)?,
            cwd: cwd.to_owned(),
            dir,
            select: select.clone(),
            max_images,
            ended,
        })
    }

    /// Makes one run and waits for it. `reference` is the run whose images its own are compared
    /// with by the metrics that compare.
    pub fn run(
        &self,
        py: Python<'_>,
        setting: &str,
        change: &Change,
        reference: Option<&Path>,
    ) -> Result<Result<Made, NoImages>, EngineError> {
        let dir = self.dir.join(file_name(setting));
        let log = dir.with_extension("log");
        let stderr = std::fs::File::create(&log).map_err(EngineError::file("write", &log))?;
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "difftest", "run"])
            .args(changed(&self.select, change).to_args())
            .args(["--no-history", "--run-dir"])
            .arg(&dir)
            .arg("--reference")
            .arg(reference.unwrap_or(Path::new("none")))
            .current_dir(&self.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            // An image from the cache was made by neither run.
            .env("DIFFTEST_INCREMENTAL", "false");
        if let Some(most) = self.max_images {
            command.arg("--max-images").arg(most.to_string());
        }
        if let Change::Seeds(offset) = change {
            command.arg("--seed-offset").arg(offset.to_string());
        }
        if let Change::Threads(threads) = change {
            command.envs(THREAD_VARIABLES.map(|name| (name, threads.to_string())));
        }
        // Other users see a command line, not an environment.
        if let Some(key) = &self.select.api_key {
            command.env("DIFFTEST_API_KEY", key);
        }
        say(&format!("{setting} …"));
        let started = Instant::now();
        let child = command.spawn().map_err(EngineError::file("start", &self.python))?;
        let code = self.wait(py, child)?;
        let made = outcome(dir, &log, code);
        let seconds = started.elapsed().as_secs_f64();
        match &made {
            Ok(made) => {
                let images = count(made.run.images(), "image");
                say(&format!("{setting}: {images} in {seconds:.1} s"));
            }
            Err(NoImages(reason)) => say(&format!("{setting}: no images ({reason})")),
        }
        Ok(made)
    }

    /// Waits with the interpreter let go. Ctrl-C and SIGTERM end the child too.
    fn wait(&self, py: Python<'_>, mut child: Child) -> Result<Option<i32>, EngineError> {
        loop {
            let ended = py.detach(|| {
                std::thread::sleep(POLL);
                child.try_wait()
            });
            if let Some(status) = ended.map_err(EngineError::file("wait for", &self.python))? {
                return Ok(status.code());
            }
            if py.check_signals().is_err() || self.ended.load(Ordering::Relaxed) {
                // It may have ended meanwhile, which is as good.
                drop(child.kill());
                drop(child.wait());
                return Err(EngineError::Interrupted);
            }
        }
    }
}

/// A run with at least one image can be compared, whatever its tests said of it.
fn outcome(dir: PathBuf, log: &Path, code: Option<i32>) -> Result<Made, NoImages> {
    let run = read_run(&dir);
    if let Ok(run) = run
        && run.status.is_some()
        && run.images() > 0
    {
        return Ok(Made { run, dir });
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    Err(NoImages(reason(read_run(&dir).ok().as_ref(), &log, code)))
}

/// Why a run has no images: in its own words, the nearest to the cause first.
fn reason(run: Option<&Run>, log: &str, code: Option<i32>) -> String {
    let failed_cell = run.and_then(|run| {
        run.tests.iter().flat_map(|test| test.cells.values()).find_map(|cell| cell.failure.clone())
    });
    let collection = run
        .and_then(|run| run.collection_errors.first())
        .map(|error| format!("{}:{}: {}", error.place.file, error.place.line, error.message));
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines().filter_map(|line| line.strip_prefix("error: ")).next_back();
    let ended = || match code {
        Some(code) => format!("its process ended with exit code {code}"),
        None => "its process was killed".to_owned(),
    };
    failed_cell
        .or(collection)
        .or_else(|| said.map(str::to_owned))
        .or_else(|| run.and_then(|run| run.reason.clone()))
        .unwrap_or_else(|| match lines().next_back() {
            Some(last) => format!("{}: {last}", ended()),
            None => ended(),
        })
}

/// `batch size 1` as `batch-size-1`.
fn file_name(setting: &str) -> String {
    setting.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The selection with the change in it.
fn changed(select: &SelectArgs, change: &Change) -> SelectArgs {
    let mut select = select.clone();
    match change {
        Change::BatchSize(size) => select.batch_size = Some(size.to_string()),
        Change::Device(device) => select.device = Some(device.clone()),
        Change::Option { name, value } => select.options.push(format!("{name}={value}")),
        Change::Nothing | Change::Threads(_) | Change::Seeds(_) => {}
    }
    select
}

/// That standard error is closed is no reason to end.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{}", visible(line)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        select: SelectArgs,
    }

    #[test]
    fn a_selection_and_its_command_line_say_the_same() {
        let line = [
            "run",
            "--model",
            "m",
            "--device=cuda",
            "--test-dir",
            "t",
            "--suite",
            "s",
            "-k",
            "a and not b",
            "--test",
            "one",
            "--test",
            "two",
            "--recipe",
            "steps=4",
            "--option",
            "call={a = 1}",
            "--batch-size",
            "3",
            "--image-timeout",
            "90s",
            "--api-key",
            "secret",
        ];
        let select = Line::parse_from(line).select;
        let args = select.to_args();
        assert!(!args.iter().any(|arg| arg.contains("secret")), "{args:?}");
        let again = Line::parse_from(std::iter::once("run".to_owned()).chain(args)).select;
        let known = SelectArgs { api_key: None, ..select };
        assert_eq!(format!("{again:?}"), format!("{known:?}"));
    }

    #[test]
    fn a_change_wins_over_what_was_given() {
        let select = SelectArgs { batch_size: Some("3".into()), ..SelectArgs::default() };
        assert_eq!(changed(&select, &Change::BatchSize(1)).to_args(), ["--batch-size=1"]);
        let option = Change::Option { name: "dtype".into(), value: "float16".into() };
        assert_eq!(changed(&SelectArgs::default(), &option).to_args(), ["--option=dtype=float16"]);
        assert_eq!(file_name("batch size 1"), "batch-size-1");
    }

    #[test]
    fn the_reason_is_the_nearest_to_the_cause() {
        let log = "warning: x\nerror: the device is `cuda`, but there is none\nbye\n";
        assert_eq!(reason(None, log, Some(2)), "the device is `cuda`, but there is none");
        assert_eq!(reason(None, "", None), "its process was killed");
        assert_eq!(
            reason(None, "Segmentation fault\n", Some(139)),
            "its process ended with exit code 139: Segmentation fault"
        );
    }
}
