//! Images that need not be made: those that a resumed run has already, and those in the cache.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use difftest_core::event::{Environment, ImageRef};
use difftest_core::recipe::{Recipe, RecipeSettings};

use super::cache::{Cache, CacheKey};
use super::decode::decode;
use super::error::EngineError;
use super::native_stage::Kept;
use super::plan::PlannedTest;

/// A cell to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct CellJob {
    /// Of the test's cells.
    pub cell: usize,
    /// The image that an earlier part of this run made, and the metrics it was scored by.
    pub resumed: Option<(ImageRef, BTreeSet<String>)>,
}

/// The cache, and what a key is made of beside the recipe.
#[derive(Clone, Copy)]
pub struct CacheUse<'a> {
    pub cache: &'a Mutex<Cache>,
    pub model: &'a str,
    pub generator: &'a str,
    pub fingerprint: &'a str,
    pub environment: &'a Environment,
}

pub struct Shelf<'a> {
    pub tests: &'a [PlannedTest],
    pub model: &'a str,
    /// Those of the run's recipe.
    pub settings: &'a RecipeSettings,
    pub images_dir: &'a Path,
    pub cache: Option<CacheUse<'a>>,
}

/// What is known of a cell before anything is made.
pub struct Looked {
    pub kept: Option<Kept>,
    /// Where its image belongs in the cache.
    pub key: Option<CacheKey>,
}

impl Shelf<'_> {
    /// What decides the image of a cell.
    pub fn recipe(&self, test: usize, cell: usize) -> Recipe {
        let test = &self.tests[test];
        let cell = &test.cells[cell];
        Recipe {
            prompt: cell.prompt.clone(),
            negative_prompt: test.spec.negative_prompt.clone(),
            seed: cell.seed,
            settings: self.settings.clone(),
        }
    }

    /// Whether a look would read no file.
    pub fn is_bare(&self, job: &CellJob) -> bool {
        self.cache.is_none() && job.resumed.is_none()
    }

    pub fn look(&self, test: usize, job: &CellJob) -> Result<Looked, EngineError> {
        let key = match self.cache {
            None => None,
            Some(of) => {
                let recipe = self.recipe(test, job.cell);
                let (generator, fingerprint) = (of.generator, of.fingerprint);
                let key = CacheKey::new(of.model, generator, fingerprint, of.environment, &recipe)?;
                Some(key)
            }
        };
        let kept = self.resumed(job).or_else(|| self.cached(key.as_ref()?));
        Ok(Looked { kept, key })
    }

    /// The image that the run had before it ended early. One that is lost is made again.
    fn resumed(&self, job: &CellJob) -> Option<Kept> {
        let (image, scores) = job.resumed.as_ref()?;
        let bytes = std::fs::read(self.images_dir.join(format!("{}.png", image.sha256))).ok()?;
        let pixels = decode(&bytes).ok()?;
        Some(Kept { bytes, pixels, resumed: Some((image.clone(), scores.clone())) })
    }

    fn cached(&self, key: &CacheKey) -> Option<Kept> {
        let cache = self.cache?.cache;
        let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = lock().get(key)?;
        match decode(&bytes) {
            Ok(pixels) => Some(Kept { bytes, pixels, resumed: None }),
            Err(_) => {
                lock().forget(key);
                None
            }
        }
    }
}
