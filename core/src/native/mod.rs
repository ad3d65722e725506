//! The metrics that are computed here, without Python: one file each, named as users name them.
//!
//! Their direction, range and meaning stand in the one table of all metrics ([`crate::metric`]).
//! Scores are pure functions of the pixels: neither the number of threads nor the machine's vector
//! unit moves them by more than rounding.

mod blank_image;
mod centering;
mod color_histogram;
mod edge_similarity;
mod foreground;
mod lanczos;
mod luma;
mod ms_ssim;
mod phash;
mod psnr;
mod sharpness;
mod single_object;
mod ssim;
mod white_background;
mod windows;

use crate::metric::{self, MetricInfo};
use crate::pixels::{PixelError, Rgb};

pub use psnr::CAP as PSNR_CAP;

/// What a metric looks at.
#[derive(Debug, Clone, Copy)]
enum Score {
    Alone(fn(&Rgb<'_>) -> f64),
    Compared(fn(&Rgb<'_>, &Rgb<'_>) -> Result<f64, PixelError>),
}

/// A metric that needs no Python.
#[derive(Debug, Clone)]
pub struct NativeMetric {
    pub info: MetricInfo,
    name: &'static str,
    score: Score,
}

impl NativeMetric {
    /// The score of `image`. A metric of category `Reference` needs `reference`, the others do
    /// not look at it. Safe to call from many threads at once.
    pub fn score(&self, image: &Rgb<'_>, reference: Option<&Rgb<'_>>) -> Result<f64, PixelError> {
        match (self.score, reference) {
            (Score::Alone(score), _) => Ok(score(image)),
            (Score::Compared(score), Some(reference)) => score(image, reference),
            (Score::Compared(_), None) => Err(PixelError::NoReference { metric: self.name }),
        }
    }
}

const METRICS: [(&str, Score); 11] = [
    ("ssim", Score::Compared(ssim::score)),
    ("ms_ssim", Score::Compared(ms_ssim::score)),
    ("psnr", Score::Compared(psnr::score)),
    ("phash", Score::Compared(phash::score)),
    ("color_histogram", Score::Compared(color_histogram::score)),
    ("edge_similarity", Score::Compared(edge_similarity::score)),
    ("sharpness", Score::Alone(sharpness::score)),
    ("centering", Score::Alone(centering::score)),
    ("white_background", Score::Alone(white_background::score)),
    ("single_object", Score::Alone(single_object::score)),
    ("blank_image", Score::Alone(blank_image::score)),
];

/// The native metric of this name.
pub fn find(name: &str) -> Option<NativeMetric> {
    let (name, score) = METRICS.into_iter().find(|(known, _)| *known == name)?;
    Some(NativeMetric { info: metric::find(name)?, name, score })
}

/// The score that the native metric `name` gives `image`.
pub fn score(name: &str, image: &Rgb<'_>, reference: Option<&Rgb<'_>>) -> Result<f64, PixelError> {
    find(name).ok_or_else(|| PixelError::Unknown { name: name.to_owned() })?.score(image, reference)
}

/// All native metrics, in the order of the table of metrics.
pub fn all() -> Vec<NativeMetric> {
    METRICS.into_iter().filter_map(|(name, _)| find(name)).collect()
}
