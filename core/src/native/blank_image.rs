//! Whether the image shows anything at all.

use crate::pixels::{CHANNELS, Rgb};

/// The standard deviation, in levels, from which on an image is not blank.
const CONTENT: f64 = 16.0;

/// The standard deviation of the channel that varies most, in units of 16 levels, at most 1:
/// 0 for an image of one colour.
pub(super) fn score(image: &Rgb<'_>) -> f64 {
    let (mut sums, mut squares) = ([0_u64; CHANNELS], [0_u64; CHANNELS]);
    for pixel in image.pixels() {
        for c in 0..CHANNELS {
            let value = u64::from(pixel[c]);
            sums[c] += value;
            squares[c] += value * value;
        }
    }
    let pixels = (image.width() * image.height()) as u64;
    let variance = |c: usize| {
        // Whole numbers until the last step: the variance of one colour is exactly 0.
        let scaled = u128::from(pixels) * u128::from(squares[c]) - u128::from(sums[c]).pow(2);
        scaled as f64 / (pixels as f64 * pixels as f64)
    };
    ((0..CHANNELS).map(variance).fold(0.0, f64::max).sqrt() / CONTENT).min(1.0)
}
