//! The perceptual hash of low frequencies (Zauner 2010, "Implementation and Benchmarking of
//! Perceptual Image Hash Functions"), bit by bit as `imagehash.phash(image, hash_size=8)` has it:
//! Pillow's luma, Pillow's Lanczos resizing to 32×32, a DCT, and of its 8×8 lowest coefficients
//! those above their median.

use std::f64::consts::PI;

use super::lanczos::{SIDE, Taps, shrink};
use crate::pixels::{PixelError, Rgb};

/// Side of the block of low frequencies: their number is the number of bits.
const LOW: usize = 8;
/// A coefficient this small is rounding: the pixels' sum reaches 2¹⁸.
const ROUNDING: f64 = 1e-6;

/// The bits of 64 in which the hashes of two images differ. They may differ in size.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    let taps = Taps::of(image);
    let image_hash = hash(image, &taps);
    let same_size = (image.width(), image.height()) == (reference.width(), reference.height());
    let reference_hash =
        if same_size { hash(reference, &taps) } else { hash(reference, &Taps::of(reference)) };
    Ok(f64::from((image_hash ^ reference_hash).count_ones()))
}

/// The hash, its first bit the lowest frequency, then along the first row.
fn hash(image: &Rgb<'_>, taps: &Taps) -> u64 {
    let low = low_frequencies(&shrink(image, taps));
    let mut sorted = low;
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[LOW * LOW / 2 - 1] + sorted[LOW * LOW / 2]) / 2.0;
    low.iter().fold(0, |bits, coefficient| (bits << 1) | u64::from(*coefficient > median))
}

/// The lowest frequencies of the DCT-II along both axes, not normalised.
fn low_frequencies(pixels: &[[f32; SIDE]; SIDE]) -> [f64; LOW * LOW] {
    let cosines: [[f64; SIDE]; LOW] = std::array::from_fn(|k| {
        std::array::from_fn(|n| (PI * k as f64 * (2 * n + 1) as f64 / (2 * SIDE) as f64).cos())
    });
    let transform = |line: [f64; SIDE], k: usize| -> f64 {
        2.0 * line.iter().zip(&cosines[k]).map(|(x, c)| x * c).sum::<f64>()
    };
    let down: [[f64; SIDE]; LOW] = std::array::from_fn(|k| {
        std::array::from_fn(|x| transform(std::array::from_fn(|y| f64::from(pixels[y][x])), k))
    });
    std::array::from_fn(|i| {
        let coefficient = transform(down[i / LOW], i % LOW);
        if coefficient.abs() < ROUNDING { 0.0 } else { coefficient }
    })
}
