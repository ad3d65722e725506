//! Drives two steered runs in turns: [`Lockstep`] with processes and pipes.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use difftest_core::config::VerdictSettings;
use difftest_core::event::Event;
use difftest_core::protocol::Side;
use difftest_core::result::Run;
use difftest_core::steering::lockstep::{Command, Lockstep};
use pyo3::prelude::*;

use super::child::{Heard, RunChild};
use crate::engine::error::EngineError;

/// How often Python's signal flag is looked at.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Both runs to their end. Ctrl-C ends them too.
pub fn drive(
    py: Python<'_>,
    verdict: VerdictSettings,
    mut children: [RunChild; 2],
    heard: Receiver<(Side, Heard)>,
) -> Result<[Run; 2], EngineError> {
    let mut lockstep = Lockstep::new(verdict);
    let heard = Mutex::new(heard);
    let mut ended = [false; 2];
    let mut rounds = 0;
    while ended != [true; 2] {
        let next = py.detach(|| {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.recv_timeout(SIGNAL_CHECK)
        });
        let (side, heard) = match next {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().map_err(|_| EngineError::Interrupted)?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let commands = match &heard {
            Heard::Event(event) => lockstep.heard(side, event),
            Heard::Ended => {
                ended[at(side)] = true;
                lockstep.ended(side)
            }
        };
        for (to, command) in commands {
            if let (Side::Head, Command::Make { cells }) = (to, &command) {
                rounds += 1;
                progress(rounds, cells.len(), lockstep.run(Side::Head));
            }
            children[at(to)].tell(&command.to_line());
        }
        if let Heard::Event(event) = &heard {
            warn(side, event);
        }
    }
    // Why a side said nothing at all is in its standard error alone.
    for side in Side::BOTH {
        let errors = children[at(side)].last_words();
        if lockstep.run(side).id.is_empty() {
            return Err(EngineError::Child { what: side.as_str().to_owned(), errors });
        }
    }
    Ok(Side::BOTH.map(|side| lockstep.run(side).clone()))
}

fn at(side: Side) -> usize {
    usize::from(side == Side::Head)
}

/// On a terminal alone: elsewhere a line for every round is noise.
fn progress(round: u32, images: usize, head: &Run) {
    if std::io::stderr().is_terminal() {
        let line =
            format!("round {round}: {images} images a side, {} are there\n", head.cells_done);
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
}

fn warn(side: Side, event: &Event) {
    use difftest_core::event::LogLevel;
    if let Event::Log { level: LogLevel::Warning | LogLevel::Error, message } = event {
        super::super::complain(&format!("warning: {}: {message}", side.as_str()));
    }
}
