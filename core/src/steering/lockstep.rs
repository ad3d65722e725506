//! Two steered runs, base and head, in turns. Without I/O: events go in, commands come out.

use serde::{Deserialize, Serialize};

use super::{Round, Steering};
use crate::config::VerdictSettings;
use crate::event::{CellKey, Event};
use crate::protocol::Side;
use crate::result::Run;

/// A line to a steered run's standard input, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Make these images and score them, then say `round_finished`.
    Make { cells: Vec<CellKey> },
    /// Judge every test by what there is, and end.
    Finish,
}

impl Command {
    /// As its line, with the line feed.
    pub fn to_line(&self) -> String {
        // Texts and numbers only: serialisation is total.
        serde_json::to_string(self).map_or_else(|_| String::new(), |line| line + "\n")
    }
}

#[derive(Debug, Default)]
struct OneSide {
    run: Run,
    /// It has said that it waits.
    ready: bool,
    ended: bool,
}

impl OneSide {
    fn is_free(&self) -> bool {
        self.ready || self.ended
    }
}

/// The two sides, and whose turn it is.
#[derive(Debug)]
pub struct Lockstep {
    settings: VerdictSettings,
    steering: Steering,
    base: OneSide,
    head: OneSide,
    /// What the head makes once the base has made its share.
    then: Option<Vec<CellKey>>,
    finished: bool,
}

impl Lockstep {
    /// Both sides are steered.
    pub fn new(settings: VerdictSettings) -> Self {
        Self {
            settings,
            steering: Steering::default(),
            base: OneSide::default(),
            head: OneSide::default(),
            then: None,
            finished: false,
        }
    }

    pub fn run(&self, side: Side) -> &Run {
        &self.side(side).run
    }

    fn side(&self, side: Side) -> &OneSide {
        match side {
            Side::Base => &self.base,
            Side::Head => &self.head,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut OneSide {
        match side {
            Side::Base => &mut self.base,
            Side::Head => &mut self.head,
        }
    }

    /// A side has said something. Answers what to tell whom.
    pub fn heard(&mut self, side: Side, event: &Event) -> Vec<(Side, Command)> {
        let one = self.side_mut(side);
        one.run.apply(event);
        match event {
            Event::RoundFinished { .. } => {
                one.ready = true;
                self.advance()
            }
            _ => Vec::new(),
        }
    }

    /// A side's process is gone.
    pub fn ended(&mut self, side: Side) -> Vec<(Side, Command)> {
        let one = self.side_mut(side);
        (one.ready, one.ended) = (false, true);
        self.advance()
    }

    fn advance(&mut self) -> Vec<(Side, Command)> {
        if self.finished || !self.base.is_free() || !self.head.is_free() {
            return Vec::new();
        }
        if self.head.ended {
            return self.finish();
        }
        if let Some(cells) = self.then.take() {
            return vec![self.tell(Side::Head, Command::Make { cells })];
        }
        let base = (!self.base.run.id.is_empty()).then_some(&self.base.run);
        match self.steering.next(base, &self.head.run, &self.settings) {
            Round::Finish => self.finish(),
            Round::Make { base, head } if self.base.ended || base.is_empty() => {
                vec![self.tell(Side::Head, Command::Make { cells: head })]
            }
            Round::Make { base, head } => {
                self.then = Some(head);
                vec![self.tell(Side::Base, Command::Make { cells: base })]
            }
        }
    }

    fn finish(&mut self) -> Vec<(Side, Command)> {
        self.finished = true;
        Side::BOTH
            .into_iter()
            .filter(|side| self.side(*side).ready)
            .map(|side| (side, Command::Finish))
            .collect()
    }

    fn tell(&mut self, side: Side, command: Command) -> (Side, Command) {
        self.side_mut(side).ready = false;
        (side, command)
    }
}
