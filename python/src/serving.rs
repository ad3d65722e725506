//! A server that runs until it ends or is told to, inside a Python process.

use std::fmt::Display;
use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::fail;

/// How often Python's signal flag is looked at.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);
/// How long blocking work may take to end before the process ends without it.
const LAST_WORK: Duration = Duration::from_secs(2);
const INTERRUPTED: i32 = 130;

/// Runs a server to its end. The first Ctrl-C or SIGTERM asks it to stop, a second Ctrl-C leaves
/// at once. Answers the exit code, which is the server's own where it ended by itself.
///
/// tokio works on threads of its own; this one, Python's main thread, only watches Python's
/// signal flag, so that CPython's handlers stay installed.
pub fn serve<F, E>(py: Python<'_>, start: impl FnOnce(CancellationToken) -> F) -> PyResult<i32>
where
    F: Future<Output = Result<i32, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    let mut server = runtime.spawn(start(stop.clone()));
    let mut terminate = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    let mut interrupted = false;
    let ended = loop {
        let ended = py.detach(|| {
            runtime.block_on(async {
                tokio::select! {
                    ended = &mut server => Some(ended),
                    _ = terminate.recv() => { stop.cancel(); None }
                    () = tokio::time::sleep(SIGNAL_CHECK) => None,
                }
            })
        });
        if ended.is_some() {
            break ended;
        }
        if py.check_signals().is_err() {
            if interrupted {
                break None;
            }
            interrupted = true;
            stop.cancel();
        }
    };
    // Blocking threads may wait for the interpreter, so it must not be held while they end.
    py.detach(|| runtime.shutdown_timeout(LAST_WORK));
    match ended {
        Some(Ok(Ok(code))) if !interrupted => Ok(code),
        Some(Ok(Ok(_))) | None => Ok(INTERRUPTED),
        Some(Ok(Err(error))) => Ok(fail(&error)),
        Some(Err(broken)) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Ok(fail(&cancelled)),
        },
    }
}

/// Runs what has a runtime of its own and ends with its client, and leaves at the first Ctrl-C:
/// a thread that reads standard input cannot be asked to stop.
pub fn watch(py: Python<'_>, work: impl FnOnce() -> i32 + Send + 'static) -> PyResult<i32> {
    let (sender, ended) = channel();
    let thread = std::thread::spawn(move || {
        // Nobody waits any more after a Ctrl-C.
        let _ = sender.send(work());
    });
    let ended = std::sync::Mutex::new(ended);
    loop {
        let next = py.detach(|| match ended.lock() {
            Ok(ended) => ended.recv_timeout(SIGNAL_CHECK),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        });
        match next {
            Ok(code) => return Ok(code),
            Err(RecvTimeoutError::Timeout) => {
                if py.check_signals().is_err() {
                    return Ok(INTERRUPTED);
                }
            }
            Err(RecvTimeoutError::Disconnected) => match py.detach(|| thread.join()) {
                Ok(()) => return Ok(0),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}
