//! `--steer`: what a run is told on standard input, a JSON line at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use difftest_core::steering::lockstep::Command;
use pyo3::prelude::*;

use super::error::EngineError;
use super::stop::StopFlag;

/// The longest command: a million images with their prompts stay below it.
const MAX_LINE: u64 = 256 << 20;
/// How often Python's signal flag is looked at while there is no command.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

pub struct Commands(Mutex<Receiver<Result<Command, EngineError>>>);

impl Commands {
    /// Takes standard input for itself: a test that reads from it finds it empty.
    pub fn of_stdin() -> Result<Self, EngineError> {
        let take = || -> std::io::Result<File> {
            let own = std::io::stdin().as_fd().try_clone_to_owned()?;
            rustix::stdio::dup2_stdin(File::open("/dev/null")?.as_fd())?;
            Ok(File::from(own))
        };
        let file = take().map_err(EngineError::file("read", "standard input"))?;
        let (sender, commands) = channel();
        // It may wait for a line that never comes, and ends with the process.
        std::thread::spawn(move || {
            let mut reader = BufReader::new(file);
            loop {
                let command = read(&mut reader);
                let last = !matches!(command, Ok(Command::Make { .. }));
                if sender.send(command).is_err() || last {
                    return;
                }
            }
        });
        Ok(Self(Mutex::new(commands)))
    }

    /// Waits for the next command. The interpreter is free meanwhile.
    pub fn next(&self, py: Python<'_>, stop: &StopFlag) -> Result<Command, EngineError> {
        loop {
            if let Some(stop) = stop.raised() {
                return Err(EngineError::Stopped(stop.reason()));
            }
            let came = py.detach(|| {
                let commands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                commands.recv_timeout(SIGNAL_CHECK)
            });
            match came {
                Ok(command) => return command,
                Err(RecvTimeoutError::Timeout) => {
                    py.check_signals().map_err(|_| EngineError::Interrupted)?;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(unsteered("it ended")),
            }
        }
    }
}

fn read(reader: &mut BufReader<File>) -> Result<Command, EngineError> {
    let mut line = String::new();
    match reader.take(MAX_LINE).read_line(&mut line) {
        Ok(0) => Err(unsteered("it ended before a `finish`")),
        Ok(_) if !line.ends_with('\n') => Err(unsteered("its last line is not whole")),
        Ok(_) => serde_json::from_str(&line).map_err(|e| unsteered(&e.to_string())),
        Err(error) => Err(unsteered(&error.to_string())),
    }
}

pub fn unsteered(why: &str) -> EngineError {
    EngineError::Unsteered(why.to_owned())
}
