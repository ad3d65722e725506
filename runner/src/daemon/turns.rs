//! Base and head in turns: [`Lockstep`] between the pipes of two sandboxes.
//!
//! What a sandbox says may be a lie. It can only choose among images that the other side's own
//! tests declare, and only until the job's time limit; the App judges the events itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use difftest_core::config::VerdictSettings;
use difftest_core::event::Event;
use difftest_core::protocol::Side;
use difftest_core::steering::lockstep::{Command, Lockstep};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::debug;

/// A side has one command at a time, and `finish` behind it.
const WAITING: usize = 4;

#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
    commands: [tokio::sync::Mutex<Receiver<Command>>; 2],
}

#[derive(Debug)]
struct State {
    lockstep: Lockstep,
    /// None once the side has nothing more to be told.
    to: [Option<Sender<Command>>; 2],
}

fn at(side: Side) -> usize {
    usize::from(side == Side::Head)
}

impl Turns {
    pub fn new(settings: VerdictSettings) -> Self {
        let ((to_base, of_base), (to_head, of_head)) = (channel(WAITING), channel(WAITING));
        Self {
            state: Mutex::new(State {
                lockstep: Lockstep::new(settings),
                to: [Some(to_base), Some(to_head)],
            }),
            commands: [of_base, of_head].map(tokio::sync::Mutex::new),
        }
    }

    /// A side has said something.
    pub fn heard(&self, side: Side, event: &Event) {
        let mut state = self.lock();
        let commands = state.lockstep.heard(side, event);
        state.send(commands);
    }

    /// A side's output has ended: it is told nothing more.
    pub fn ended(&self, side: Side) {
        let mut state = self.lock();
        let commands = state.lockstep.ended(side);
        state.send(commands);
        state.to[at(side)] = None;
    }

    /// Writes what a side is told to its standard input, until there is nothing more.
    pub async fn write(&self, side: Side, mut stdin: pipe::Sender) {
        let mut commands = self.commands[at(side)].lock().await;
        while let Some(command) = commands.recv().await {
            // One that does not listen any more is said by its end.
            if let Err(error) = stdin.write_all(command.to_line().as_bytes()).await {
                debug!(side = side.as_str(), %error, "a side does not read its commands");
                return;
            }
        }
    }

    /// Each field is whole whatever the last holder was doing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&self, commands: Vec<(Side, Command)>) {
        for (side, command) in commands {
            if let Some(to) = &self.to[at(side)]
                && let Err(error) = to.try_send(command)
            {
                debug!(side = side.as_str(), %error, "a side was told too much at once");
            }
        }
    }
}
