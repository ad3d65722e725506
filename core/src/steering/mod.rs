//! Which images to make next, and when there are enough: the sequential side of a verdict.
//!
//! A steered run makes what it is told to, says when that is done, and waits. Between two rounds
//! the runs of base and head are compared as if they were over ([`crate::compare`]); tests that
//! more images would not change are left alone, the others get more, in ever larger rounds. Base
//! and head make the same prompts and seeds in turns, so that a stop at any moment leaves pairs.
//! All of it is values in and values out: [`lockstep`] has no pipe and no clock.

mod budget;
pub mod lockstep;

use std::collections::{BTreeMap, BTreeSet};

use crate::cell;
use crate::compare::{TestComparison, compare, planned_cells};
use crate::config::VerdictSettings;
use crate::event::CellKey;
use crate::result::{Run, TestRun};
use crate::suite::TestId;
use crate::verdict::asymptotic::MIN_UNITS;

pub use budget::Spent;
use budget::{Candidate, afford};

/// How many prompts of a test there are after the next round, from those that there are. A look
/// costs little, but the other side waits meanwhile; and what is made after a decision could stand
/// is made for nothing. First enough to see a disaster and the cost of an image, then as many as
/// the asymptotics are trusted with, then a sixteenth more each time, at least four.
pub fn next_target(prompts: usize) -> usize {
    let least = MIN_UNITS as usize;
    let first = [8, 16, least].into_iter().find(|target| prompts < *target);
    first.unwrap_or(prompts + (prompts / 16).max(4))
}

/// What is to be made next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// The base makes those that it knows; the head makes all of them.
    Make {
        base: Vec<CellKey>,
        head: Vec<CellKey>,
    },
    Finish,
}

/// What does not change from round to round, worked out once.
#[derive(Debug, Clone, Default)]
pub struct Steering {
    /// The cells of each test of the head, in the order they are made.
    planned: BTreeMap<TestId, Vec<CellKey>>,
    /// The cells that the base's own version of the test has.
    of_base: BTreeMap<TestId, BTreeSet<CellKey>>,
}

impl Steering {
    /// Decides from everything that both sides have said so far.
    pub fn next(&mut self, base: Option<&Run>, head: &Run, settings: &VerdictSettings) -> Round {
        let comparison = compare(base, head, settings);
        let candidates: Vec<Candidate> = comparison
            .tests
            .iter()
            .filter(|test| !test.settled)
            .filter_map(|judged| {
                let test = head.test(&judged.id)?;
                let partner = base.and_then(|base| base.test(&judged.id));
                let cells = self.batch(test, judged, settings);
                let both = partner.is_some();
                (!cells.is_empty()).then(|| Candidate::new(test, partner, judged, cells, both))
            })
            .collect();
        let spent = Spent::of(base.into_iter().chain([head]));
        let cells = afford(candidates, settings.budget, spent);
        if cells.is_empty() {
            return Round::Finish;
        }
        let base = base.map_or_else(Vec::new, |base| {
            cells.iter().filter(|cell| self.base_has(base, cell)).cloned().collect()
        });
        Round::Make { base, head: cells }
    }

    /// The next prompts of a test: more each time, or those of fresh seeds where a loss is to be
    /// confirmed.
    fn batch(
        &mut self,
        test: &TestRun,
        judged: &TestComparison,
        settings: &VerdictSettings,
    ) -> Vec<CellKey> {
        let spec = &test.spec;
        let planned = self
            .planned
            .entry(spec.id.clone())
            .or_insert_with(|| planned_cells(spec, settings).unwrap_or_default());
        let confirming = judged.metrics.iter().any(|metric| metric.confirming);
        let (made, open): (usize, Vec<CellKey>) = if confirming {
            let fresh = confirmation(spec, planned);
            let open = fresh.into_iter().filter(|cell| !test.confirmation.contains_key(cell));
            (test.confirmation.len(), open.collect())
        } else {
            let open = planned.iter().filter(|cell| !test.cells.contains_key(*cell));
            (test.cells.len(), open.cloned().collect())
        };
        let seeds = cell::seeds(spec).len().max(1);
        let prompts = made / seeds;
        let more = (next_target(prompts) - prompts).max(1) * seeds;
        open.into_iter().take(more).collect()
    }

    fn base_has(&mut self, base: &Run, cell: &CellKey) -> bool {
        let Some(test) = base.test(&cell.test) else { return false };
        let own = self.of_base.entry(cell.test.clone()).or_insert_with(|| {
            let spec = &test.spec;
            let cells = cell::expand(spec).unwrap_or_default();
            let fresh = confirmation(spec, &cells);
            cells.into_iter().chain(fresh).collect()
        });
        own.contains(cell)
    }
}

/// The same prompts in the same order, with seeds that the test does not name.
fn confirmation(spec: &crate::suite::TestSpec, planned: &[CellKey]) -> Vec<CellKey> {
    let seeds = cell::confirmation_seeds(spec);
    let mut seen = BTreeSet::new();
    planned
        .iter()
        .filter(|cell| seen.insert(&cell.prompt))
        .flat_map(|cell| seeds.iter().map(move |seed| CellKey { seed: *seed, ..cell.clone() }))
        .collect()
}
