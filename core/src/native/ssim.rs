//! Structural similarity of two RGB images (Wang et al. 2004, doi:10.1109/TIP.2003.819861).
//!
//! The result is scikit-image's `structural_similarity(a, b, gaussian_weights=True, sigma=1.5,
//! use_sample_covariance=False, channel_axis=-1, data_range=255)`.

use super::windows::{Factors, Pair, WINDOW, mean, read_bytes};
use crate::pixels::{PixelError, Rgb};

/// Two images of one size.
pub(super) struct Images<'a>(pub &'a Rgb<'a>, pub &'a Rgb<'a>);

impl Pair for Images<'_> {
    fn width(&self) -> usize {
        self.0.width()
    }

    fn height(&self) -> usize {
        self.0.height()
    }

    #[inline(always)]
    fn read(&self, y: usize, first: usize, sums: &mut [f32], differences: &mut [f32]) {
        read_bytes(&self.0.row(y)[first..], &self.1.row(y)[first..], sums, differences);
    }
}

/// The mean structural similarity over pixels and channels: 1 for equal images, never below −1.
/// Both sides must have at least [`WINDOW`] pixels.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    image.comparable(reference, "ssim", WINDOW)?;
    Ok(mean(&Images(image, reference), Factors::All))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// A picture without randomness, so that another program can draw the same.
    fn picture(width: usize, height: usize, phase: usize) -> Vec<u8> {
        (0..width * height * 3)
            .map(|i| {
                let (c, x, y) = (i % 3, i / 3 % width, i / 3 / width);
                ((x * 7 + y * 13 + c * 31 + (x * y) % 17 * phase) % 256) as u8
            })
            .collect()
    }

    fn of(a: &[u8], b: &[u8], width: usize, height: usize) -> f64 {
        let view = |p| Rgb::new(p, width, height).unwrap();
        score(&view(a), &view(b)).unwrap()
    }

    #[test]
    fn equals_scikit_image() {
        // From scikit-image 0.26; python/tests/native compares with it live.
        let reference = [
            (11, 11, 0.6564390341123084),
            (32, 32, 0.6281961954137244),
            (64, 48, 0.6511501762501298),
            (131, 257, 0.6615970298106674),
        ];
        for (width, height, expected) in reference {
            let value = of(&picture(width, height, 3), &picture(width, height, 5), width, height);
            assert!((value - expected).abs() < 1e-6, "{width}×{height}: {value}, not {expected}");
        }
    }

    #[test]
    fn a_flat_picture_a_level_off_loses_nothing_to_rounding() {
        // Without any structure the luminance is all there is, and the paper's formula gives it.
        for (a, b) in [(255, 254), (0, 1), (128, 127), (255, 128), (0, 255)] {
            let [u, v] = [f64::from(a), f64::from(b)];
            let c1 = (0.01 * 255.0_f64).powi(2);
            let expected = (2.0 * u * v + c1) / (u * u + v * v + c1);
            let value = of(&vec![a; 40 * 30 * 3], &vec![b; 40 * 30 * 3], 40, 30);
            assert!((value - expected).abs() < 2e-6, "{a} and {b}: {value}, not {expected}");
        }
    }
}
