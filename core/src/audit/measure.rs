//! Two runs of one suite, image by image and score by score.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pixels::Compared;
use crate::event::ImageRef;
use crate::metric::{Category, MetricInfo};
use crate::result::Run;
use crate::threshold;
use crate::verdict::moments::Moments;

/// How far a source of difference goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Images that both runs have.
    pub images: usize,
    /// Of them, those whose pixels differ.
    pub changed: usize,
    /// Of the changed ones, those that are of another size.
    pub resized: usize,
    /// Images of the reference run that the variant has not.
    pub missing: usize,
    /// The largest difference of a channel of a pixel, of 255.
    pub largest: u8,
    /// The mean absolute difference over all pixels of all images, of 255.
    pub mean: f64,
    /// The lowest SSIM of an image with its partner; 1 where none changed.
    pub lowest_ssim: f64,
    pub metrics: Vec<MetricShift>,
    /// Metrics that compare images.
    pub references: Vec<ReferenceScore>,
}

/// How far a metric moves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricShift {
    pub name: String,
    /// Images with a score in both runs.
    pub images: usize,
    /// Mean and largest |d| of an image.
    pub mean_abs: f64,
    pub largest_abs: f64,
    /// |mean d| over the images of a test, the largest of all tests: what a verdict looks at.
    pub largest_mean: f64,
    pub margin: f64,
    pub reach: Reach,
}

/// What a metric that compares images says of the variant's, each against the image of its own
/// seed of the reference run. It has no margin: its tests' thresholds decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReferenceScore {
    pub name: String,
    pub images: usize,
    pub mean: f64,
    pub worst: f64,
    /// Whether the threshold of a test is missed.
    pub missed: bool,
}

/// How a shift stands to the metric's margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No score moves.
    None,
    /// No image's score moves by more than the margin.
    Within,
    /// Single images move by more, no test's mean does.
    SingleImages,
    /// A test's mean moves by more.
    Mean,
}

/// Measures a variant against the reference. `pixels` compares an image of the reference with
/// its partner, and is asked only where their files differ.
pub fn measure<E>(
    reference: &Run,
    variant: &Run,
    margins: &BTreeMap<String, f64>,
    mut pixels: impl FnMut(&ImageRef, &ImageRef) -> Result<Compared, E>,
) -> Result<Measured, E> {
    let mut measured = Measured {
        images: 0,
        changed: 0,
        resized: 0,
        missing: 0,
        largest: 0,
        mean: 0.0,
        lowest_ssim: 1.0,
        metrics: Vec::new(),
        references: Vec::new(),
    };
    for test in &reference.tests {
        for (key, cell) in &test.cells {
            let Some(image) = &cell.image else { continue };
            let partner = variant.test(&test.spec.id).and_then(|t| t.cells.get(key));
            let Some(other) = partner.and_then(|cell| cell.image.as_ref()) else {
                measured.missing += 1;
                continue;
            };
            measured.images += 1;
            if image.sha256 == other.sha256 {
                continue;
            }
            match pixels(image, other)? {
                Compared::Equal => {}
                Compared::SizesDiffer => {
                    measured.changed += 1;
                    measured.resized += 1;
                }
                Compared::Differ(difference) => {
                    measured.changed += 1;
                    measured.largest = measured.largest.max(difference.largest);
                    measured.mean += difference.mean;
                    let ssim = difference.ssim.unwrap_or(1.0);
                    measured.lowest_ssim = measured.lowest_ssim.min(ssim);
                }
            }
        }
    }
    measured.mean /= (measured.images - measured.resized).max(1) as f64;
    for info in variant.metrics.values() {
        match info.category {
            Category::PerSample => {
                measured.metrics.extend(shift(reference, variant, info, margins));
            }
            Category::Reference => measured.references.extend(against_reference(variant, info)),
            Category::Batch => {}
        }
    }
    Ok(measured)
}

fn shift(
    reference: &Run,
    variant: &Run,
    info: &MetricInfo,
    margins: &BTreeMap<String, f64>,
) -> Option<MetricShift> {
    let mut all = Moments::default();
    let (mut largest_abs, mut largest_mean) = (0.0_f64, 0.0_f64);
    for test in &variant.tests {
        let mut of_test = Moments::default();
        let partner = reference.test(&test.spec.id);
        for (key, head) in test.scores(&info.name) {
            let base = partner.and_then(|t| t.cells.get(key)?.scores.get(&info.name).copied());
            let Some(difference) = base.map(|base| head - base).filter(|d| d.is_finite()) else {
                continue;
            };
            all.push(difference.abs());
            of_test.push(difference);
            largest_abs = largest_abs.max(difference.abs());
        }
        largest_mean = largest_mean.max(of_test.mean().abs());
    }
    let margin = margins.get(&info.name).copied().unwrap_or(info.margin);
    let reach = match () {
        () if largest_abs == 0.0 => Reach::None,
        () if largest_abs <= margin => Reach::Within,
        () if largest_mean <= margin => Reach::SingleImages,
        () => Reach::Mean,
    };
    (all.count() > 0).then(|| MetricShift {
        name: info.name.clone(),
        images: all.count() as usize,
        mean_abs: all.mean(),
        largest_abs,
        largest_mean,
        margin,
        reach,
    })
}

fn against_reference(variant: &Run, info: &MetricInfo) -> Option<ReferenceScore> {
    let mut all = Moments::default();
    let mut worst: Option<f64> = None;
    let mut missed = false;
    for test in &variant.tests {
        let scores: Vec<f64> = test.scores(&info.name).map(|(_, score)| score).collect();
        missed |= threshold::missed(&test.spec, info, &scores).is_some();
        for score in scores {
            all.push(score);
            let worse = |than: f64| info.direction.improvement(than, score) < 0.0;
            if worst.is_none_or(worse) {
                worst = Some(score);
            }
        }
    }
    let images = all.count() as usize;
    worst.map(|worst| ReferenceScore {
        name: info.name.clone(),
        images,
        mean: all.mean(),
        worst,
        missed,
    })
}
