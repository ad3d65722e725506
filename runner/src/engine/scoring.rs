//! Images to files, scores and events, on a thread of its own: generation never waits for it
//! longer than the bounded queue between them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use difftest_core::event::{CellKey, Event, ImageRef};
use difftest_core::ids::ImageSha;
use difftest_core::metric::{Category, MetricInfo};
use difftest_core::native;
use difftest_core::pixels::Rgb;
use image::RgbImage;
use pyo3::Python;
use rayon::prelude::*;

use super::bridge::{BodyOutcome, CallError, Failure, Metric, Picture};
use super::error::EngineError;
use super::generation::Batch;
use super::judgement;
use super::plan::{PlannedTest, ReferenceKind, compares};
use super::png;
use super::progress::count;
use super::reference::{Found, IMAGES_DIR, ReferenceSource};
use super::sink::Sink;

/// The metric that is computed here and never goes to Python.
pub const SSIM: &str = "ssim";

/// What the generating thread hands over, in order.
pub enum Work {
    Start(usize),
    Images(usize, Batch),
    Finish(usize, BodyOutcome),
}

pub struct Scorer<'a> {
    pub tests: &'a [PlannedTest],
    pub known: &'a BTreeMap<String, MetricInfo>,
    /// Those that Python computes.
    pub metrics: &'a BTreeMap<String, Metric>,
    pub reference: &'a ReferenceSource,
    pub sink: &'a mut Sink,
}

/// An image on disk, with what the native side found out about it.
struct Stored {
    cell: CellKey,
    picture: Picture,
    image: ImageRef,
    reference: Option<Arc<RgbImage>>,
    /// It should have been compared, and there was nothing to compare it with.
    alone: bool,
    ssim: Option<f64>,
    failure: Option<Failure>,
}

impl Scorer<'_> {
    /// Works until the other side hangs up.
    pub fn drain(&mut self, work: Receiver<Work>) -> Result<(), EngineError> {
        let mut started = Instant::now();
        for item in work {
            match item {
                Work::Start(test) => {
                    started = Instant::now();
                    let test = self.tests[test].spec.id.clone();
                    self.sink.emit(&Event::TestStarted { test })?;
                }
                Work::Images(test, batch) => self.batch(&self.tests[test], batch)?,
                Work::Finish(test, body) => {
                    let id = &self.tests[test].spec.id;
                    let Some(run) = self.sink.run().test(id) else { continue };
                    let (outcome, reasons) = judgement::outcome(run, self.known, &body);
                    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
                    let test = id.clone();
                    self.sink.emit(&Event::TestFinished { test, outcome, reasons, duration_ms })?;
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self, test: &PlannedTest, batch: Batch) -> Result<(), EngineError> {
        let compares = compares(&test.spec, self.known);
        let mut pictures = Vec::new();
        for (cell, image) in batch.cells {
            match image {
                Ok(picture) => pictures.push((cell, picture)),
                Err(failure) => self.cell_failed(cell, failure)?,
            }
        }
        let images_dir = self.sink.images_dir();
        let wants_ssim = test.spec.metrics().iter().any(|m| m == SSIM);
        let reference = self.reference;
        let mut stored = pictures
            .into_par_iter()
            .map(|(cell, picture)| {
                let image = store(&picture.pixels, &images_dir)?;
                let found =
                    if compares { reference.find(&test.spec, &cell) } else { Found::Nothing };
                let mut stored = Stored {
                    cell,
                    picture,
                    image,
                    reference: None,
                    alone: false,
                    ssim: None,
                    failure: None,
                };
                match found {
                    Found::Image(reference) => stored.compare(reference, wants_ssim),
                    Found::Missing(reason) => stored.failure = Some(Failure::new(reason)),
                    Found::Nothing => {
                        stored.alone = compares && reference.kind() != ReferenceKind::None
                    }
                }
                Ok(stored)
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        for image in &stored {
            let (cell, image) = (image.cell.clone(), image.image.clone());
            let duration_ms = batch.ms_per_image;
            self.sink.emit(&Event::CellGenerated {
                cell,
                image,
                duration_ms,
                cost_usd: None,
                retries: 0,
                cached: false,
            })?;
        }
        for image in &stored {
            if let Some(value) = image.ssim {
                self.scored(&image.cell, SSIM, value)?;
            }
        }
        let alone = stored.iter().filter(|image| image.alone).count();
        if alone > 0 {
            self.sink.warn(format!(
                "{}: {} not in the other run, and not compared",
                test.spec.id,
                count(alone as u64, "image")
            ))?;
        }
        for name in test.spec.metrics() {
            if let Some(metric) = self.metrics.get(&name) {
                self.score(metric, &mut stored)?;
            }
        }
        for image in stored {
            if let Some(failure) = image.failure {
                self.cell_failed(image.cell, failure)?;
            }
        }
        Ok(())
    }

    /// One metric on a batch, and image by image where the batch breaks.
    fn score(&mut self, metric: &Metric, stored: &mut [Stored]) -> Result<(), EngineError> {
        let needs_reference = metric.info.category == Category::Reference;
        let wanted: Vec<&mut Stored> =
            stored.iter_mut().filter(|s| !needs_reference || s.reference.is_some()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let scores = Python::attach(|py| {
            let one = |images: &[&&mut Stored]| {
                let arrays: Vec<_> = images.iter().map(|s| &s.picture.array).collect();
                let prompts: Vec<_> = images.iter().map(|s| s.cell.prompt.as_str()).collect();
                let references: Vec<_> = images.iter().map(|s| s.reference.clone()).collect();
                metric.compute(py, &arrays, &prompts, &references)
            };
            match one(&wanted.iter().collect::<Vec<_>>()) {
                Ok(scores) => scores.into_iter().map(Some).collect(),
                Err(CallError::Interrupted) => Vec::new(),
                Err(CallError::Failed(failure)) if wanted.len() == 1 => vec![Some(Err(failure))],
                Err(CallError::Failed(_)) => wanted
                    .iter()
                    .map(|image| match one(&[image]) {
                        Ok(mut scores) => scores.pop(),
                        Err(CallError::Failed(failure)) => Some(Err(failure)),
                        Err(CallError::Interrupted) => None,
                    })
                    .collect(),
            }
        });
        for (image, score) in wanted.into_iter().zip(scores) {
            match score {
                Some(Ok(value)) => self.scored(&image.cell, &metric.info.name, value)?,
                Some(Err(failure)) => drop(image.failure.get_or_insert(failure)),
                None => {}
            }
        }
        Ok(())
    }

    fn scored(&mut self, cell: &CellKey, metric: &str, value: f64) -> Result<(), EngineError> {
        let (cell, metric) = (cell.clone(), metric.to_owned());
        self.sink.emit(&Event::CellScored { cell, metric, value })
    }

    fn cell_failed(&mut self, cell: CellKey, failure: Failure) -> Result<(), EngineError> {
        let Failure { reason, trace } = failure;
        self.sink.emit(&Event::CellFailed { cell, reason, trace, retries: 0 })
    }
}

impl Stored {
    fn compare(&mut self, reference: RgbImage, wants_ssim: bool) {
        if wants_ssim {
            match similarity(&self.picture.pixels, &reference) {
                Ok(value) => self.ssim = Some(value),
                Err(reason) => self.failure = Some(Failure::new(reason)),
            }
        }
        self.reference = Some(Arc::new(reference));
    }
}

/// SSIM of two images; the reason where they cannot be compared.
pub fn similarity(image: &RgbImage, reference: &RgbImage) -> Result<f64, String> {
    let rgb = |i| Rgb::new(RgbImage::as_raw(i), i.width() as usize, i.height() as usize);
    let score = || native::score(SSIM, &rgb(image)?, Some(&rgb(reference)?));
    score().map_err(|e| format!("no SSIM of the image (first) and its reference: {e}"))
}

/// Writes an image under its digest. It is there whole or not at all.
fn store(pixels: &RgbImage, dir: &Path) -> Result<ImageRef, EngineError> {
    let bytes = png::encode(pixels).map_err(EngineError::Encode)?;
    let sha256 = ImageSha::of(&bytes);
    let name = format!("{sha256}.png");
    let path = dir.join(&name);
    if !path.exists() {
        write_whole(&path, &bytes)?;
    }
    Ok(ImageRef {
        path: format!("{IMAGES_DIR}/{name}"),
        sha256,
        width: pixels.width(),
        height: pixels.height(),
    })
}

/// Writes a file beside its place and moves it there: a reader never sees half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(EngineError::file("write", path))
}
