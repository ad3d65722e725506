//! A run in a process of its own, whose events come over its standard output.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use difftest_core::event::Event;
use pyo3::prelude::*;

use crate::engine::error::EngineError;

/// What is kept of a child's standard error.
const TAIL: usize = 40;

/// What a child says, in order; the last is [`Heard::Ended`].
pub enum Heard {
    Event(Box<Event>),
    Ended,
}

/// A child of ours. It goes with us, however we end.
pub struct RunChild {
    child: Child,
    stdin: Option<ChildStdin>,
    errors: Arc<Mutex<VecDeque<String>>>,
    threads: Vec<JoinHandle<()>>,
}

/// The interpreter that this is.
pub fn python(py: Python<'_>) -> Result<OsString, EngineError> {
    py.import("sys")
        .and_then(|sys| sys.getattr("executable"))
        .and_then(|executable| executable.extract::<OsString>())
        .map_err(EngineError::Bug)
}

impl RunChild {
    /// Starts `difftest run` in `cwd`. What it says goes to `heard`, marked with `mark`.
    pub fn start<M: Copy + Send + 'static>(
        python: &OsString,
        arguments: &[OsString],
        cwd: &Path,
        api_key: Option<&str>,
        mark: M,
        heard: Sender<(M, Heard)>,
    ) -> Result<Self, EngineError> {
        let mut command = Command::new(python);
        command
            // A run that stops early is no point of a trend.
            .args(["-m", "difftest", "run", "--no-history", "--events", "-"])
            .args(arguments)
            .current_dir(cwd)
            // As with the console script: the repository's files never hide a library's.
            .env("PYTHONSAFEPATH", "1")
            .envs(api_key.map(|key| ("DIFFTEST_API_KEY", key)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(EngineError::file("start", python))?;
        let stdin = child.stdin.take();
        let errors = Arc::<Mutex<VecDeque<String>>>::default();
        let mut threads = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            threads.push(std::thread::spawn(move || {
                let mut reader = BufReader::new(stdout);
                let mut line = Vec::new();
                while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                    // Anything else is a test's own printing.
                    if let Ok(event) = serde_json::from_slice(&line) {
                        drop(heard.send((mark, Heard::Event(Box::new(event)))));
                    }
                    line.clear();
                }
                drop(heard.send((mark, Heard::Ended)));
            }));
        }
        if let Some(stderr) = child.stderr.take() {
            let errors = Arc::clone(&errors);
            threads.push(std::thread::spawn(move || {
                let mut reader = BufReader::new(stderr);
                let mut line = Vec::new();
                while matches!(reader.by_ref().take(1 << 16).read_until(b'\n', &mut line), Ok(read) if read > 0)
                {
                    let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
                    if errors.len() == TAIL {
                        errors.pop_front();
                    }
                    errors.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
                    line.clear();
                }
            }));
        }
        Ok(Self { child, stdin, errors, threads })
    }

    /// Writes a line to its standard input. That it does not read any more is said by its end.
    pub fn tell(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            drop(stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()));
        }
    }

    /// The end of what it said on standard error, once it has ended.
    pub fn last_words(&mut self) -> String {
        self.stdin = None;
        drop(self.child.wait());
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for RunChild {
    fn drop(&mut self) {
        self.stdin = None;
        // One that has ended is only reaped.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
