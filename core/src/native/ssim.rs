//! Structural similarity of two RGB images (Wang et al. 2004, doi:10.1109/TIP.2003.819861).
//!
//! The result is scikit-image's `structural_similarity(a, b, gaussian_weights=True, sigma=1.5,
//! use_sample_covariance=False, channel_axis=-1, data_range=255)`.

pub use super::windows::WINDOW;
use super::windows::{Factors, Pair, mean, read_bytes};
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
