//! Where events go: the run's own file, whoever reads along, and the result that is folded from
//! them in process. Each event is written whole and at once, so that a run that dies has lost
//! nothing it had said.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use difftest_core::event::{Event, LogLevel};
use difftest_core::result::Run;

use super::error::EngineError;
use super::progress::Progress;
use super::reference::{EVENTS_FILE, IMAGES_DIR};

pub struct Sink {
    dir: PathBuf,
    outputs: Vec<(PathBuf, File)>,
    run: Run,
    progress: Progress,
}

impl Sink {
    /// Makes the run's folder. `copy` is a second place for the stream; `-` is standard output.
    pub fn open(dir: &Path, copy: Option<&Path>) -> Result<Self, EngineError> {
        let images = dir.join(IMAGES_DIR);
        std::fs::create_dir_all(&images).map_err(EngineError::file("make", &images))?;
        let own = dir.join(EVENTS_FILE);
        let file = match OpenOptions::new().write(true).create_new(true).open(&own) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                return Err(EngineError::RunDirTaken(dir.to_owned()));
            }
            opened => opened.map_err(EngineError::file("make", &own))?,
        };
        let mut outputs = vec![(own, file)];
        match copy {
            Some(path) if path == Path::new("-") => {
                let file = take_stdout().map_err(EngineError::file("take over", path))?;
                outputs.push((PathBuf::from("standard output"), file));
            }
            Some(path) => {
                let file = File::create(path).map_err(EngineError::file("make", path))?;
                outputs.push((path.to_owned(), file));
            }
            None => {}
        }
        Ok(Self {
            dir: dir.to_owned(),
            outputs,
            run: Run::default(),
            progress: Progress::on_stderr(),
        })
    }

    pub fn images_dir(&self) -> PathBuf {
        self.dir.join(IMAGES_DIR)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything said so far.
    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn emit(&mut self, event: &Event) -> Result<(), EngineError> {
        let mut line = event.to_line();
        line.push('\n');
        for (path, file) in &mut self.outputs {
            file.write_all(line.as_bytes()).map_err(EngineError::file("write events to", path))?;
        }
        self.run.apply(event);
        self.progress.show(event, &self.run);
        Ok(())
    }

    pub fn warn(&mut self, message: String) -> Result<(), EngineError> {
        self.emit(&Event::Log { level: LogLevel::Warning, message })
    }
}

/// Standard output for the events alone: what the tests under it print goes to standard error
/// from here on, for a line of theirs would break the stream.
fn take_stdout() -> std::io::Result<File> {
    use std::os::fd::AsFd;
    let events = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    Ok(File::from(events))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_event_is_in_both_files_before_the_next_and_a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (run, copy) = (dir.path().join("run"), dir.path().join("copy.jsonl"));
        let mut sink = Sink::open(&run, Some(&copy)).unwrap();
        sink.warn("careful".into()).unwrap();
        let written = std::fs::read(run.join(EVENTS_FILE)).unwrap();
        assert_eq!(written, std::fs::read(&copy).unwrap());
        assert_eq!(difftest_core::event::read_stream(&written).unwrap().len(), 1);
        let again = Sink::open(&run, None).err().unwrap().to_string();
        assert!(again.contains("already holds a run"), "{again}");
        assert_eq!(std::fs::read(run.join(EVENTS_FILE)).unwrap(), written);
    }
}
