//! Recipes to images on Python's thread, a batch at a time; each image is handed on as it comes.

use std::time::Instant;

use difftest_core::recipe::Recipe;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use super::bridge::{CallError, Failure};
use super::error::EngineError;
use super::generator::{Generator, Item};
use super::plan::CellAt;
use super::stop::StopFlag;
use super::watchdog::Watchdog;

/// One image that is wanted.
pub struct Wanted {
    pub cell: CellAt,
    pub recipe: Recipe,
    /// Whether a metric of Python's will look at it.
    pub keep_array: bool,
}

/// What came of it.
pub struct Came {
    pub cell: CellAt,
    pub item: Item,
    pub duration_ms: f64,
}

pub struct Generation<'a> {
    pub generator: &'a Generator,
    pub watchdog: &'a Watchdog,
    pub stop: &'a StopFlag,
    /// `--image-timeout`, in seconds.
    pub image_timeout: Option<u64>,
    /// Whether batches came as a whole so far.
    whole: bool,
}

impl<'a> Generation<'a> {
    pub fn new(
        generator: &'a Generator,
        watchdog: &'a Watchdog,
        stop: &'a StopFlag,
        image_timeout: Option<u64>,
    ) -> Self {
        Self { generator, watchdog, stop, image_timeout, whole: true }
    }

    /// Generates one batch. If it breaks, each of the images that had not come is tried alone, so
    /// that one bad prompt does not take its neighbours. An error ends the run.
    pub fn batch(
        &mut self,
        py: Python<'_>,
        wanted: &[Wanted],
        hand_on: &mut dyn FnMut(Came) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut came = 0;
        let mut counted = |one: Came| {
            came += 1;
            hand_on(one)
        };
        let Some(failure) = self.attempt(py, wanted, &mut counted)? else { return Ok(()) };
        let left = &wanted[came..];
        if wanted.len() == 1 {
            return left.iter().try_for_each(|one| hand_on(failed(one, failure.clone())));
        }
        for one in left {
            let mut alone = None;
            let failure = self.attempt(py, std::slice::from_ref(one), &mut |one| {
                alone = Some(one);
                Ok(())
            })?;
            let came = match (failure, alone) {
                (None, Some(came)) => came,
                (Some(failure), _) => failed(one, failure),
                (None, None) => failed(one, self.generator.miscounted("no", 1)),
            };
            hand_on(came)?;
        }
        Ok(())
    }

    /// Calls the generator once. Answers why not all images came, if they did not.
    fn attempt(
        &mut self,
        py: Python<'_>,
        wanted: &[Wanted],
        hand_on: &mut dyn FnMut(Came) -> Result<(), EngineError>,
    ) -> Result<Option<Failure>, EngineError> {
        // Python delivers a signal only between its own instructions, and a generator may run few.
        py.check_signals().map_err(|_| EngineError::Interrupted)?;
        let recipes: Vec<Recipe> = wanted.iter().map(|one| one.recipe.clone()).collect();
        let cells: Vec<CellAt> = wanted.iter().map(|one| one.cell).collect();
        let mut since = Instant::now();
        let started = {
            let _watched = self.watchdog.images(&cells, self.image_timeout);
            self.generator.start(py, &recipes)
        };
        let mut items = match started {
            Ok(items) => items,
            Err(broken) => return self.broken(broken),
        };
        let mut pace = Pace::of(wanted.len(), self.whole);
        for (index, one) in wanted.iter().enumerate() {
            let next = {
                let _watched = self.watchdog.images(&cells[index..], self.image_timeout);
                self.generator.next(&mut items, one.keep_array)
            };
            let duration_ms = pace.share(since.elapsed().as_secs_f64() * 1000.0);
            let mut came = match next {
                Ok(Some(item)) => Came { cell: one.cell, item, duration_ms },
                Ok(None) => {
                    let given = if index == 0 { "no".to_owned() } else { index.to_string() };
                    return Ok(Some(self.generator.miscounted(&given, wanted.len())));
                }
                Err(broken) => return self.broken(broken),
            };
            if index + 1 == wanted.len()
                && let Some(failure) = self.end(&mut items, wanted.len())?
            {
                came = failed(one, failure);
            }
            hand_on(came)?;
            // What came after it, a full queue above all, is not the next one's time.
            since = Instant::now();
        }
        self.whole = pace.whole();
        Ok(None)
    }

    /// Asks once more, for what stands after a generator function's last `yield`. Who gives more
    /// images than there are recipes may have given them in any order: the last one fails.
    fn end(
        &self,
        items: &mut Bound<'_, PyIterator>,
        expected: usize,
    ) -> Result<Option<Failure>, EngineError> {
        let _watched = self.watchdog.call();
        match self.generator.next(items, false) {
            Ok(None) => Ok(None),
            Ok(Some(_)) => {
                Ok(Some(self.generator.miscounted(&format!("more than {expected}"), expected)))
            }
            Err(broken) => self.broken(broken),
        }
    }

    /// A call that ended because the run ends is no failure of its images.
    fn broken(&self, broken: CallError) -> Result<Option<Failure>, EngineError> {
        match (broken, self.stop.raised()) {
            (CallError::Interrupted, _) => Err(EngineError::Interrupted),
            (CallError::Failed(_), Some(stop)) => Err(EngineError::Stopped(stop.reason())),
            (CallError::Failed(failure), None) => Ok(Some(failure)),
        }
    }
}

fn failed(wanted: &Wanted, failure: Failure) -> Came {
    let retries = failure.retries;
    let item = Item { image: Err(failure), cost_usd: None, retries, text: Default::default() };
    Came { cell: wanted.cell, item, duration_ms: 0.0 }
}

/// How long each image of a batch took, said as it comes. A batch that is made as a whole and then
/// handed on gives all its time with the first image: whether it is one is taken from the batch
/// before.
#[derive(Debug)]
struct Pace {
    images: usize,
    expect_whole: bool,
    first_ms: Option<f64>,
    longest_after_ms: f64,
}

impl Pace {
    fn of(images: usize, expect_whole: bool) -> Self {
        Self { images, expect_whole, first_ms: None, longest_after_ms: 0.0 }
    }

    fn share(&mut self, ms: f64) -> f64 {
        let Some(first) = self.first_ms else {
            self.first_ms = Some(ms);
            return if self.expect_whole { ms / self.images as f64 } else { ms };
        };
        self.longest_after_ms = self.longest_after_ms.max(ms);
        let share = first / self.images as f64;
        if self.expect_whole && ms < share / 2.0 { share } else { ms }
    }

    fn whole(&self) -> bool {
        let share = self.first_ms.unwrap_or(0.0) / self.images as f64;
        match self.images {
            0 | 1 => self.expect_whole,
            _ => self.longest_after_ms < share / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_made_as_a_whole_is_shared_evenly() {
        let mut pace = Pace::of(4, true);
        let shares: Vec<f64> = [80.0, 0.1, 0.1, 0.1].map(|ms| pace.share(ms)).to_vec();
        assert_eq!(shares, [20.0; 4]);
        assert!(pace.whole());
    }

    #[test]
    fn images_that_come_one_by_one_have_their_own_time_from_the_second_batch_on() {
        let mut pace = Pace::of(2, true);
        assert_eq!([10.0, 12.0].map(|ms| pace.share(ms)), [5.0, 12.0]);
        assert!(!pace.whole());
        let mut pace = Pace::of(2, false);
        assert_eq!([10.0, 12.0].map(|ms| pace.share(ms)), [10.0, 12.0]);
    }
}
