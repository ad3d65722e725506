//! A limit on what a verdict costs, shared out by who needs it most.

use std::fmt;

use crate::cell;
use crate::compare::TestComparison;
use crate::config::Budget;
use crate::event::CellKey;
use crate::report::figures::{dollars, duration};
use crate::result::{CellRun, Run, TestRun};

/// What runs took so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    pub images: u64,
    /// Of generation.
    pub seconds: f64,
    /// As far as back ends said.
    pub dollars: f64,
}

impl Spent {
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Self {
        runs.into_iter()
            .flat_map(|run| &run.tests)
            .map(Self::of_test)
            .fold(Self::default(), Self::plus)
    }

    fn of_test(test: &TestRun) -> Self {
        let cells = test.cells.values().chain(test.confirmation.values());
        cells.map(Self::of_cell).fold(Self::default(), Self::plus)
    }

    fn of_cell(cell: &CellRun) -> Self {
        Self {
            images: 1,
            seconds: cell.duration_ms / 1000.0,
            dollars: cell.cost_usd.unwrap_or(0.0),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            images: self.images + other.images,
            seconds: self.seconds + other.seconds,
            dollars: self.dollars + other.dollars,
        }
    }

    /// As much as the budget counts of it.
    fn counted(self, budget: Budget) -> f64 {
        match budget {
            Budget::Seconds(_) => self.seconds,
            Budget::Images(_) => self.images as f64,
            Budget::Dollars(_) => self.dollars,
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images, {} of generation", self.images, duration(self.seconds * 1000.0))?;
        if self.dollars > 0.0 {
            write!(f, ", {}", dollars(self.dollars))?;
        }
        Ok(())
    }
}

/// A test that more images could decide, and the next of them, whole prompts.
#[derive(Debug, Clone)]
pub struct Candidate {
    cells: Vec<CellKey>,
    seeds: usize,
    /// Of one prompt on both sides, as far as that is known.
    prompt: Spent,
    /// Units until it may be decided; none where no number of them seems enough.
    forecast: Option<f64>,
    /// Nothing is known of it yet.
    is_new: bool,
}

impl Candidate {
    pub fn new(
        test: &TestRun,
        partner: Option<&TestRun>,
        judged: &TestComparison,
        cells: Vec<CellKey>,
        both: bool,
    ) -> Self {
        let seeds = cell::seeds(&test.spec).len().max(1);
        let made = [Some(test), partner].into_iter().flatten().map(Spent::of_test);
        let made = made.fold(Spent::default(), Spent::plus);
        let images = (seeds * if both { 2 } else { 1 }) as f64;
        let per_image = |total: f64| total / (made.images.max(1)) as f64;
        let mut forecasts = judged.metrics.iter().filter(|m| !m.settled).map(|m| m.forecast);
        // The slowest of its metrics decides when the test is done.
        let forecast = forecasts.try_fold(0.0, |worst: f64, next| Some(worst.max(next?)));
        Self {
            cells,
            seeds,
            prompt: Spent {
                images: images as u64,
                seconds: images * per_image(made.seconds),
                dollars: images * per_image(made.dollars),
            },
            forecast,
            is_new: test.cells.is_empty(),
        }
    }

    /// Expected information per cost: one decision, over what it will take to reach it.
    fn worth(&self, budget: Budget) -> f64 {
        let cost = self.prompt.counted(budget).max(f64::MIN_POSITIVE);
        self.forecast.map_or(0.0, |units| 1.0 / (units.max(1.0) * cost))
    }
}

/// The cells that the budget allows, test by test: as many as there are without one. Tests of
/// which nothing is known yet take turns, a prompt each; of the others, those that give most
/// decisions for what they cost come first.
pub fn afford(
    mut candidates: Vec<Candidate>,
    budget: Option<Budget>,
    spent: Spent,
) -> Vec<CellKey> {
    let Some(budget) = budget else {
        return candidates.into_iter().flat_map(|c| c.cells).collect();
    };
    let limit = match budget {
        Budget::Seconds(seconds) => seconds as f64,
        Budget::Images(images) => images as f64,
        Budget::Dollars(dollars) => dollars,
    };
    let mut left = limit - spent.counted(budget);
    if left <= 0.0 {
        return Vec::new();
    }
    candidates
        .sort_by(|a, b| b.is_new.cmp(&a.is_new).then(b.worth(budget).total_cmp(&a.worth(budget))));
    let mut granted = vec![0; candidates.len()];
    let mut grant = |granted: &mut usize, candidate: &Candidate| {
        let cost = candidate.prompt.counted(budget);
        let room = *granted * candidate.seeds < candidate.cells.len() && cost <= left;
        if room {
            *granted += 1;
            left -= cost;
        }
        room
    };
    let new = candidates.iter().filter(|c| c.is_new).count();
    // In turns, until nobody can have one more.
    while granted
        .iter_mut()
        .zip(&candidates[..new])
        .map(|(granted, candidate)| grant(granted, candidate))
        .fold(false, |any, one| any | one)
    {}
    for (granted, candidate) in granted.iter_mut().zip(&candidates).skip(new) {
        while grant(granted, candidate) {}
    }
    candidates
        .into_iter()
        .zip(granted)
        .flat_map(|(candidate, prompts)| {
            let seeds = candidate.seeds;
            candidate.cells.into_iter().take(prompts * seeds)
        })
        .collect()
}
