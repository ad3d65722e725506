//! Where events go: the run's own file, whoever reads along, and the result that is folded from
//! them in process. Each event is written whole and at once, so that a run that dies has lost
//! nothing it had said.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use difftest_core::event::{Event, LogLevel};
use difftest_core::result::Run;

use super::error::EngineError;
use super::progress::Progress;
use super::reference::{EVENTS_FILE, IMAGES_DIR};
use super::subscribers::Readers;

/// Many threads speak; their events come one after the other.
pub struct Sink {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    outputs: Vec<Output>,
    run: Run,
    progress: Progress,
    readers: Option<Readers>,
    /// The last word was said.
    over: bool,
}

struct Output {
    path: PathBuf,
    /// None after a write that failed: another would follow half a line.
    file: Option<File>,
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
        hold(&file, dir)?;
        Self::with(dir, file, copy, Run::default())
    }

    /// Goes on with the stream of an earlier run, which said `run`. What follows the last whole
    /// line, half an event, is cut off.
    pub fn reopen(
        dir: &Path,
        copy: Option<&Path>,
        run: Run,
        whole_bytes: u64,
    ) -> Result<Self, EngineError> {
        let own = dir.join(EVENTS_FILE);
        let file = OpenOptions::new().append(true).open(&own);
        let file = file.map_err(EngineError::file("go on with", &own))?;
        hold(&file, dir)?;
        std::fs::create_dir_all(dir.join(IMAGES_DIR))
            .and_then(|()| file.set_len(whole_bytes))
            .map_err(EngineError::file("go on with", &own))?;
        Self::with(dir, file, copy, run)
    }

    fn with(dir: &Path, own: File, copy: Option<&Path>, run: Run) -> Result<Self, EngineError> {
        let mut outputs = vec![Output { path: dir.join(EVENTS_FILE), file: Some(own) }];
        match copy {
            Some(path) if path == Path::new("-") => {
                let file = take_stdout().map_err(EngineError::file("take over", path))?;
                outputs.push(Output { path: "standard output".into(), file: Some(file) });
            }
            Some(path) => {
                let file = File::create(path).map_err(EngineError::file("make", path))?;
                outputs.push(Output { path: path.to_owned(), file: Some(file) });
            }
            None => {}
        }
        let state =
            State { outputs, run, progress: Progress::on_stderr(), readers: None, over: false };
        Ok(Self { dir: dir.to_owned(), state: Mutex::new(state) })
    }

    /// From here on, every event goes to them as well.
    pub fn attach(&self, readers: Readers) {
        self.lock().readers = Some(readers);
    }

    /// No more events for them.
    pub fn detach_readers(&self) {
        self.lock().readers = None;
    }

    pub fn images_dir(&self) -> PathBuf {
        self.dir.join(IMAGES_DIR)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A look at everything said so far. Nothing is said meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Run) -> T) -> T {
        look(&self.lock().run)
    }

    pub fn emit(&self, event: &Event) -> Result<(), EngineError> {
        let mut state = self.lock();
        let complaints = state.readers.as_ref().map(Readers::complaints).unwrap_or_default();
        for message in complaints {
            state.write(&Event::Log { level: LogLevel::Warning, message })?;
        }
        state.write(event)
    }

    pub fn warn(&self, message: String) -> Result<(), EngineError> {
        self.emit(&Event::Log { level: LogLevel::Warning, message })
    }

    /// The fold may have missed what a panicking thread was saying, and nothing else.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, event: &Event) -> Result<(), EngineError> {
        // A run that is abandoned has threads that go on for a moment.
        if self.over {
            return Ok(());
        }
        self.over = matches!(event, Event::RunFinished { .. });
        let mut line = event.to_line();
        line.push('\n');
        let mut failed = None;
        for output in &mut self.outputs {
            let Some(file) = &mut output.file else { continue };
            if let Err(e) = file.write_all(line.as_bytes()) {
                output.file = None;
                failed.get_or_insert_with(|| EngineError::file("write events to", &output.path)(e));
            }
        }
        self.run.apply(event);
        self.progress.show(event, &self.run);
        if let Some(readers) = &mut self.readers {
            readers.send(line);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// One process at a time writes a stream. The lock goes with the process, however it ends.
fn hold(file: &File, dir: &Path) -> Result<(), EngineError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(EngineError::StillRunning(dir.to_owned())),
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
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
        let sink = Sink::open(&run, Some(&copy)).unwrap();
        sink.warn("careful".into()).unwrap();
        let written = std::fs::read(run.join(EVENTS_FILE)).unwrap();
        assert_eq!(written, std::fs::read(&copy).unwrap());
        assert_eq!(difftest_core::event::read_stream(&written).unwrap().len(), 1);
        let again = Sink::open(&run, None).err().unwrap().to_string();
        assert!(again.contains("already holds a run"), "{again}");
        assert_eq!(std::fs::read(run.join(EVENTS_FILE)).unwrap(), written);
    }

    #[test]
    fn a_full_disk_is_said_once_and_never_leaves_half_a_line_in_the_middle() {
        let dir = tempfile::tempdir().unwrap();
        let sink = Sink::open(dir.path(), Some(Path::new("/dev/full"))).unwrap();
        let error = sink.warn("one".into()).unwrap_err().to_string();
        assert!(error.contains("/dev/full"), "{error}");
        sink.warn("two".into()).unwrap();
        let written = std::fs::read(dir.path().join(EVENTS_FILE)).unwrap();
        assert_eq!(difftest_core::event::read_stream(&written).unwrap().len(), 2);
    }

    #[test]
    fn a_stream_goes_on_after_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let first = Sink::open(dir.path(), None).unwrap();
        first.warn("first".into()).unwrap();
        let taken = Sink::reopen(dir.path(), None, Run::default(), 0).err().unwrap().to_string();
        assert!(taken.contains("still writing"), "{taken}");
        drop(first);
        let own = dir.path().join(EVENTS_FILE);
        let whole = std::fs::read(&own).unwrap();
        std::fs::write(&own, [&whole[..], b"{\"event\":\"lo"].concat()).unwrap();
        let sink = Sink::reopen(dir.path(), None, Run::default(), whole.len() as u64).unwrap();
        sink.warn("second".into()).unwrap();
        let events = difftest_core::event::read_stream(&std::fs::read(&own).unwrap()).unwrap();
        assert_eq!(events.len(), 2);
    }
}
