//! What is done to an image without Python, on many threads at once: its file, its digest, its
//! reference, and the native metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use difftest_core::event::ImageRef;
use difftest_core::ids::ImageSha;
use difftest_core::metric::Category;
use difftest_core::native::NativeMetric;
use difftest_core::pixels::Rgb;
use difftest_core::recipe::{self, Recipe};
use image::RgbImage;
use pyo3::{Py, PyAny};

use super::asked::Asked;
use super::bridge::Failure;
use super::cache::CacheKey;
use super::error::EngineError;
use super::files::write_whole;
use super::picture::Picture;
use super::plan::PlannedTest;
use super::png;
use super::reference::{Found, IMAGES_DIR, ReferenceSource};
use super::shelf::Shelf;
use super::slots::Slot;

/// What came of one cell, on its way to its file.
pub struct Made<'a> {
    pub test: usize,
    /// Of the test's cells.
    pub cell: usize,
    pub source: Result<Source, Failure>,
    pub duration_ms: f64,
    pub cost_usd: Option<f64>,
    pub retries: u32,
    pub slot: Slot<'a>,
}

pub enum Source {
    Fresh {
        picture: Picture,
        /// PNG text that the back end gave with it.
        text: BTreeMap<String, String>,
        /// Where it is kept for later runs.
        key: Option<CacheKey>,
    },
    /// The file of an earlier run.
    Kept(Kept),
}

/// An image that need not be made.
pub struct Kept {
    pub bytes: Vec<u8>,
    pub pixels: RgbImage,
    /// Of the run that is gone on with: its image is in the stream already, and these scores.
    pub resumed: Option<(ImageRef, BTreeSet<String>)>,
}

/// An image on disk, with what the native side found out about it.
pub struct Stored<'a> {
    pub test: usize,
    pub cell: usize,
    pub still: Result<Still, Failure>,
    pub duration_ms: f64,
    pub cost_usd: Option<f64>,
    pub retries: u32,
    pub slot: Slot<'a>,
}

pub struct Still {
    pub image: ImageRef,
    pub cached: bool,
    /// What of it is in the stream already.
    pub resumed: Option<BTreeSet<String>>,
    pub pixels: Arc<RgbImage>,
    pub array: Option<Py<PyAny>>,
    pub reference: Option<Arc<RgbImage>>,
    /// It should have been compared, and the other run has nothing to compare it with.
    pub alone: bool,
    pub scores: Vec<(String, f64)>,
    pub failure: Option<Failure>,
}

/// What the stage works with; the same for every image.
pub struct NativeStage<'a> {
    pub tests: &'a [PlannedTest],
    pub asked: &'a [Asked<'a>],
    pub reference: &'a ReferenceSource,
    pub shelf: &'a Shelf<'a>,
}

impl NativeStage<'_> {
    /// Stores and measures one image. What breaks is the cell's failure.
    pub fn work(
        &self,
        test: usize,
        cell: usize,
        source: Result<Source, Failure>,
    ) -> Result<Still, Failure> {
        let failed = |e: EngineError| Failure::new(e.to_string());
        let (pixels, array, image, cached, resumed) = match source? {
            Source::Fresh { picture: Picture { pixels, array }, text, key } => {
                let recipe = self.shelf.recipe(test, cell);
                let bytes = file_of(&pixels, &recipe, self.shelf.model, text).map_err(failed)?;
                let image = self.store(&bytes, &pixels).map_err(failed)?;
                if let (Some(of), Some(key)) = (self.shelf.cache, key) {
                    // A cache that cannot be written to is no fault of the image's: the next run
                    // makes it again.
                    let mut cache = of.cache.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(cache.put(&key, &bytes));
                }
                (pixels, array, image, false, None)
            }
            Source::Kept(Kept { bytes, pixels, resumed }) => {
                let (image, resumed) = match resumed {
                    Some((image, scores)) => (image, Some(scores)),
                    None => (self.store(&bytes, &pixels).map_err(failed)?, None),
                };
                (Arc::new(pixels), None, image, resumed.is_none(), resumed)
            }
        };
        let mut still = Still {
            image,
            cached,
            resumed,
            pixels,
            array,
            reference: None,
            alone: false,
            scores: Vec::new(),
            failure: None,
        };
        self.measure(test, cell, &mut still);
        Ok(still)
    }

    fn measure(&self, test: usize, cell: usize, still: &mut Still) {
        let asked = &self.asked[test];
        if asked.wants_reference {
            match self.reference.find(&self.tests[test], cell) {
                Found::Image(reference) => still.reference = Some(Arc::new(reference)),
                Found::Missing(reason) if asked.needs_reference => {
                    still.failure = Some(Failure::new(reason));
                }
                Found::Missing(_) => {}
                Found::Nothing => still.alone = asked.needs_reference,
            }
        }
        for metric in &asked.native {
            let name = &metric.info.name;
            let known = still.resumed.as_ref().is_some_and(|scores| scores.contains(name));
            let compares = metric.info.category == Category::Reference;
            if known || (compares && still.reference.is_none()) {
                continue;
            }
            match score(metric, &still.pixels, still.reference.as_deref()) {
                Ok(value) => still.scores.push((name.clone(), value)),
                Err(reason) => drop(still.failure.get_or_insert(Failure::new(reason))),
            }
        }
        // The next stage is Python's.
        if !asked.python_looks() {
            still.reference = None;
        }
    }

    /// Writes an image under its digest. It is there whole or not at all.
    fn store(&self, bytes: &[u8], pixels: &RgbImage) -> Result<ImageRef, EngineError> {
        let sha256 = ImageSha::of(bytes);
        let name = format!("{sha256}.png");
        let path = self.shelf.images_dir.join(&name);
        if !path.exists() {
            write_whole(&path, bytes)?;
        }
        Ok(ImageRef {
            path: format!("{IMAGES_DIR}/{name}"),
            sha256,
            width: pixels.width(),
            height: pixels.height(),
        })
    }
}

/// The file of an image, which carries its recipe as text. What a back end wrote into its own file
/// stays, but for what we say ourselves. Equal pixels of equal recipes are equal bytes.
pub fn file_of(
    pixels: &RgbImage,
    recipe: &Recipe,
    model: &str,
    text: BTreeMap<String, String>,
) -> Result<Vec<u8>, EngineError> {
    let own = recipe::texts(recipe, model, pixels.dimensions());
    let theirs = || text.iter().filter(|(keyword, _)| *keyword != recipe::KEYWORD);
    let ours = own.iter().filter(|(keyword, _)| theirs().all(|(theirs, _)| theirs != keyword));
    let all: Vec<(String, String)> =
        theirs().map(|(k, t)| (k.clone(), t.clone())).chain(ours.cloned()).collect();
    // A back end's keyword may be one that PNG does not allow.
    png::encode(pixels, &all).or_else(|_| png::encode(pixels, &own)).map_err(EngineError::Encode)
}

/// The score of a native metric; the reason where there is none.
pub fn score(
    metric: &NativeMetric,
    image: &RgbImage,
    reference: Option<&RgbImage>,
) -> Result<f64, String> {
    let rgb = |i: &'_ RgbImage| (i.width() as usize, i.height() as usize);
    let name = &metric.info.name;
    let (width, height) = rgb(image);
    let scored = Rgb::new(image.as_raw(), width, height).and_then(|image| match reference {
        None => metric.score(&image, None),
        Some(reference) => {
            let (width, height) = rgb(reference);
            metric.score(&image, Some(&Rgb::new(reference.as_raw(), width, height)?))
        }
    });
    match scored {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) => Err(format!("the metric `{name}` gave {value}")),
        Err(e) if reference.is_some() => {
            Err(format!("no {name} of the image (first) and its reference: {e}"))
        }
        Err(e) => Err(format!("no {name} of the image: {e}")),
    }
}
