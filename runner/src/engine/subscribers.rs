//! Functions of the repository's that read the events along (`difftest.subscribe`), on a thread of
//! their own: a slow one holds nothing up for long, and a broken one breaks nothing.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::Python;

use super::bridge::UnboundBridge;

/// Lines that may wait for the slowest of them.
const WAITING: usize = 4096;
/// How long the run waits for one of them to take a line, and at its end the last.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines that are handed over at a time.
const AT_ONCE: usize = 256;

/// The writing end.
pub struct Readers {
    lines: Option<SyncSender<String>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

/// The reading end.
pub struct Subscribers {
    lines: Receiver<String>,
    complaints: Arc<Mutex<Vec<String>>>,
    bridge: UnboundBridge,
}

pub fn subscribe(bridge: UnboundBridge) -> (Readers, Subscribers) {
    let (sender, lines) = sync_channel(WAITING);
    let complaints = Arc::<Mutex<Vec<String>>>::default();
    let readers = Readers { lines: Some(sender), complaints: Arc::clone(&complaints) };
    (readers, Subscribers { lines, complaints, bridge })
}

impl Readers {
    /// Hands a line over. Who does not keep up for [`PATIENCE`] gets no more of them: dropping
    /// some would be worse, and waiting for ever worst.
    pub fn send(&mut self, line: String) {
        let Some(lines) = &self.lines else { return };
        let deadline = Instant::now() + PATIENCE;
        let mut line = line;
        loop {
            match lines.try_send(line) {
                Ok(()) => return,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => {
                    line = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TrySendError::Full(_)) => {
                    complain(
                        &self.complaints,
                        "the subscribers of the events do not keep up, and get no more of them",
                    );
                    break;
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        self.lines = None;
    }

    /// What went wrong in them since the last time.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscribers {
    /// Hands on until the writing end is gone.
    pub fn run(self) {
        while let Ok(first) = self.lines.recv() {
            let mut lines = vec![first];
            lines.extend(self.lines.try_iter().take(AT_ONCE - 1));
            let said = Python::attach(|py| self.bridge.bind(py).publish(&lines));
            match said {
                Ok(said) => said.iter().for_each(|line| complain(&self.complaints, line)),
                Err(e) => complain(&self.complaints, &format!("the subscribers broke: {e}")),
            }
        }
    }
}

/// Waits for the last lines to be read, but not for ever.
pub fn settle(reading: &std::thread::JoinHandle<()>) {
    let deadline = Instant::now() + PATIENCE;
    while !reading.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn complain(complaints: &Mutex<Vec<String>>, message: &str) {
    complaints.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
}
