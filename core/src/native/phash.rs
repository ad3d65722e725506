//! The perceptual hash of low frequencies (Zauner 2010, "Implementation and Benchmarking of
//! Perceptual Image Hash Functions"), bit by bit as `imagehash.phash(image, hash_size=8)` has it:
//! Pillow's luma, Pillow's Lanczos resizing to 32×32, a DCT, and of its 8×8 lowest coefficients
//! those above their median.

use std::f64::consts::PI;

use pulp::Arch;

use super::luma::luma_row;
use crate::pixels::{PixelError, Rgb};

/// Side of the picture that is transformed.
const SIDE: usize = 32;
/// Side of the block of low frequencies: their number is the number of bits.
const LOW: usize = 8;
/// Bits after the point of a resizing weight, as in Pillow.
const WEIGHT_BITS: u32 = 22;
/// A weight is cut in two here, so that 16-bit products make it up.
const LOW_BITS: u32 = 11;
/// A coefficient this small is rounding: the pixels' sum reaches 2²⁰.
const ROUNDING: f64 = 1e-6;

/// The bits of 64 in which the hashes of two images differ. They may differ in size.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    Ok(f64::from((hash(image) ^ hash(reference)).count_ones()))
}

/// The hash, its first bit the lowest frequency, then along the first row.
fn hash(image: &Rgb<'_>) -> u64 {
    let small = shrink(image);
    let low = low_frequencies(&small);
    let mut sorted = low;
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[LOW * LOW / 2 - 1] + sorted[LOW * LOW / 2]) / 2.0;
    low.iter().fold(0, |bits, coefficient| (bits << 1) | u64::from(*coefficient > median))
}

/// The weights of the pixels that one resized pixel is made of.
struct Taps {
    first: usize,
    /// Upper and lower part of each weight.
    weights: Vec<(i16, i16)>,
}

/// Lanczos of three lobes, widened by the reduction: Pillow's antialiasing.
fn taps(length: usize) -> Vec<Taps> {
    let scale = length as f64 / SIDE as f64;
    let widening = scale.max(1.0);
    let support = 3.0 * widening;
    let lanczos = |x: f64| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
    (0..SIDE)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(length);
            let raw: Vec<f64> =
                (first..end).map(|x| lanczos((x as f64 - centre + 0.5) / widening)).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: &f64| (w / sum * f64::from(1 << WEIGHT_BITS)).round() as i32;
            let split = |w: i32| ((w >> LOW_BITS) as i16, (w & ((1 << LOW_BITS) - 1)) as i16);
            Taps { first, weights: raw.iter().map(|w| split(fixed(w))).collect() }
        })
        .collect()
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The image's luma, resized along the rows and then down the columns, to 8 bits each time.
fn shrink(image: &Rgb<'_>) -> [[u8; SIDE]; SIDE] {
    let (across, down) = (taps(image.width()), taps(image.height()));
    let mut columns = vec![0_i16; image.height() * SIDE];
    let mut luma = vec![0_u8; image.width()];
    let mut row = vec![0_i16; image.width()];
    Arch::new().dispatch(|| {
        for y in 0..image.height() {
            luma_row(image.row(y), &mut luma);
            for (to, from) in row.iter_mut().zip(&luma) {
                *to = i16::from(*from);
            }
            for (x, taps) in across.iter().enumerate() {
                columns[x * image.height() + y] = i16::from(weighted(&row, taps));
            }
        }
    });
    std::array::from_fn(|y| {
        std::array::from_fn(|x| {
            let column = &columns[x * image.height()..(x + 1) * image.height()];
            weighted(column, &down[y])
        })
    })
}

#[inline(always)]
fn weighted(line: &[i16], taps: &Taps) -> u8 {
    let (mut upper, mut lower) = (0_i32, 0_i32);
    let pixels = &line[taps.first..taps.first + taps.weights.len()];
    for (pixel, (u, l)) in pixels.iter().zip(&taps.weights) {
        upper += i32::from(*pixel) * i32::from(*u);
        lower += i32::from(*pixel) * i32::from(*l);
    }
    let sum = (upper << LOW_BITS) + lower + (1 << (WEIGHT_BITS - 1));
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// The lowest frequencies of the DCT-II along both axes, not normalised.
fn low_frequencies(pixels: &[[u8; SIDE]; SIDE]) -> [f64; LOW * LOW] {
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
