//! Pillow's antialiased resizing of a picture's luma to 32×32, value for value:
//! `image.convert("L").resize((32, 32), Image.Resampling.LANCZOS)`.
//!
//! Pillow works in whole numbers: weights of 22 bits after the point, rows first, each pass
//! rounded to 8 bits. (Since its version 13 tall images go columns first, which moves a few values
//! by one; here the order is always that of the versions before.) Here a sum is made of 32-bit floats, which hold pixels and weights exactly
//! and go through every machine's vector unit, and only where that leaves the rounding open the
//! sum is made again in whole numbers.

use std::f64::consts::PI;

use pulp::{Arch, Simd, WithSimd};

use super::luma::luma_floats;
use crate::pixels::Rgb;

/// Side of the resized picture.
pub const SIDE: usize = 32;
/// Bits after the point of a weight.
const WEIGHT_BITS: u32 = 22;
const ONE: f32 = (1 << WEIGHT_BITS) as f32;
/// The widest vector, in floats: weights are padded to whole vectors.
const LANES: usize = 8;
/// Added and taken away again, it leaves a 32-bit float below 2²² as a whole number.
const WHOLE: f32 = 12_582_912.0;
/// Lines that are worked on together, so that a weight is loaded once for all of them.
const LINES: usize = 8;

/// The weights of the pixels that one resized pixel is made of.
struct Tap {
    first: usize,
    /// In units of 2⁻²².
    weights: Vec<f32>,
    /// No sum of weighted pixels, nor a part of it, is larger.
    reach: f32,
}

/// The weights along a picture's rows and columns.
pub struct Taps {
    across: Vec<Tap>,
    /// Where they are not those along the rows.
    down: Option<Vec<Tap>>,
}

impl Taps {
    pub fn of(image: &Rgb<'_>) -> Self {
        let (width, height) = (image.width(), image.height());
        Self { across: taps(width), down: (width != height).then(|| taps(height)) }
    }
}

/// Lanczos of three lobes, widened by the reduction.
fn taps(length: usize) -> Vec<Tap> {
    let scale = length as f64 / SIDE as f64;
    let widening = scale.max(1.0);
    let support = 3.0 * widening;
    let mut taps: Vec<Tap> = Vec::with_capacity(SIDE);
    // Where the last tap's pixels lie about its centre: those that lie alike weigh alike.
    let mut last = None;
    for i in 0..SIDE {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(length);
        let lies = (first as f64 - centre, end - first);
        let (weights, reach) = match taps.last() {
            Some(tap) if last == Some(lies) => (tap.weights.clone(), tap.reach),
            _ => weights((first..end).map(|x| lanczos((x as f64 - centre + 0.5) / widening))),
        };
        last = Some(lies);
        taps.push(Tap { first, weights, reach });
    }
    taps
}

/// Whole weights, padded to whole vectors, and the reach of their sums.
fn weights(raw: impl Iterator<Item = f64>) -> (Vec<f32>, f32) {
    let raw: Vec<f64> = raw.collect();
    let sum: f64 = raw.iter().sum();
    let mut weights = vec![0.0; raw.len().next_multiple_of(LANES)];
    for (fixed, weight) in weights.iter_mut().zip(raw) {
        *fixed = (weight / sum * f64::from(ONE)).round() as f32;
    }
    let reach = 255.0 * weights.iter().map(|weight| weight.abs()).sum::<f32>() / ONE;
    (weights, reach)
}

/// sinc(x)·sinc(x/3) within three lobes. The sine of x follows from that of x/3.
fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x.abs() >= 3.0 {
        return 0.0;
    }
    let third = (PI * x / 3.0).sin();
    let whole = third * (3.0 - 4.0 * third * third);
    3.0 * whole * third / (PI * x).powi(2)
}

/// The luma of `image` in 32×32 pixels, by row: whole numbers from 0 to 255.
pub fn shrink(image: &Rgb<'_>, taps: &Taps) -> [[f32; SIDE]; SIDE] {
    let arch = Arch::new();
    let (width, height) = (image.width(), image.height());
    // Turned by the first pass, so that the second reads along rows too.
    let turned = arch.dispatch(Squeeze {
        lines: &LumaRows(image),
        length: width,
        count: height,
        taps: &taps.across,
    });
    let down = taps.down.as_ref().unwrap_or(&taps.across);
    let back = arch.dispatch(Squeeze {
        lines: &Columns(&turned),
        length: height,
        count: SIDE,
        taps: down,
    });
    std::array::from_fn(|y| std::array::from_fn(|x| back[y * SIDE + x]))
}

trait Lines {
    /// Writes line `i`.
    fn read(&self, i: usize, line: &mut [f32]);
}

struct LumaRows<'a>(&'a Rgb<'a>);

impl Lines for LumaRows<'_> {
    #[inline(always)]
    fn read(&self, i: usize, line: &mut [f32]) {
        luma_floats(self.0.row(i), line);
    }
}

struct Columns<'a>(&'a [f32]);

impl Lines for Columns<'_> {
    #[inline(always)]
    fn read(&self, i: usize, line: &mut [f32]) {
        line.copy_from_slice(&self.0[i * line.len()..(i + 1) * line.len()]);
    }
}

/// Resizes `count` lines of `length` pixels. The result has a row for each resized pixel, and a
/// column for each line.
struct Squeeze<'a, L> {
    lines: &'a L,
    length: usize,
    count: usize,
    taps: &'a [Tap],
}

impl<L: Lines> WithSimd for Squeeze<'_, L> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut out = vec![0.0; SIDE * self.count];
        // A tap may read past the end of its line, and weighs nothing there.
        let stride = self.length + LANES;
        let mut block = vec![0.0; LINES * stride];
        for top in (0..self.count).step_by(LINES) {
            let lines = LINES.min(self.count - top);
            for (i, line) in block.chunks_exact_mut(stride).take(lines).enumerate() {
                self.lines.read(top + i, &mut line[..self.length]);
            }
            for (x, tap) in self.taps.iter().enumerate() {
                let sums = sums(simd, &block, stride, tap);
                // A rounding a vector, one a step of adding the vector's lanes, and the last.
                let steps = tap.weights.len() / S::F32_LANES + S::F32_LANES + 1;
                let doubt = steps as f32 * f32::EPSILON / 2.0 * tap.reach;
                let (mut values, mut distances) = ([0.0; LINES], [0.0; LINES]);
                for ((sum, value), distance) in sums.iter().zip(&mut values).zip(&mut distances) {
                    let scaled = sum * (1.0 / ONE);
                    let whole = (scaled + WHOLE) - WHOLE;
                    *distance = (scaled - whole).abs();
                    *value = whole.clamp(0.0, 255.0);
                }
                let limit = 0.5 - doubt;
                if distances.iter().fold(false, |open, distance| open | (*distance > limit)) {
                    for i in (0..lines).filter(|i| distances[*i] > limit) {
                        values[i] = exact(&block[i * stride + tap.first..], &tap.weights);
                    }
                }
                let at = x * self.count + top;
                out[at..at + lines].copy_from_slice(&values[..lines]);
            }
        }
        out
    }
}

/// The weighted sums of a tap in every line of a block.
#[inline(always)]
fn sums<S: Simd>(simd: S, block: &[f32], stride: usize, tap: &Tap) -> [f32; LINES] {
    let weights = S::as_simd_f32s(&tap.weights).0;
    let mut lines: [&[S::f32s]; LINES] = [&[]; LINES];
    for (i, line) in lines.iter_mut().enumerate() {
        let start = i * stride + tap.first;
        *line = S::as_simd_f32s(&block[start..start + tap.weights.len()]).0;
    }
    let mut vectors = [simd.splat_f32s(0.0); LINES];
    for (k, weight) in weights.iter().enumerate() {
        for (vector, line) in vectors.iter_mut().zip(lines) {
            *vector = simd.mul_add_e_f32s(*weight, line[k], *vector);
        }
    }
    let mut sums = [0.0; LINES];
    for (sum, vector) in sums.iter_mut().zip(vectors) {
        *sum = simd.reduce_sum_f32s(vector);
    }
    sums
}

/// The sum of products of whole numbers, rounded to 8 bits.
fn exact(pixels: &[f32], weights: &[f32]) -> f32 {
    let products = pixels.iter().zip(weights).map(|(pixel, weight)| *pixel as i64 * *weight as i64);
    let rounded = (products.sum::<i64>() + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    rounded.clamp(0, 255) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::Scalar;

    use super::*;

    #[derive(Debug)]
    struct Table(Vec<Vec<u8>>);

    impl Lines for Table {
        fn read(&self, i: usize, line: &mut [f32]) {
            for (to, from) in line.iter_mut().zip(&self.0[i]) {
                *to = f32::from(*from);
            }
        }
    }

    fn table() -> impl Strategy<Value = Table> {
        (1..150_usize, 1..20_usize).prop_flat_map(|(length, count)| {
            let line = prop::collection::vec(any::<u8>(), length);
            prop::collection::vec(line, count).prop_map(Table)
        })
    }

    proptest! {
        #[test]
        fn floats_round_as_whole_numbers_do(table in table()) {
            let (length, count) = (table.0[0].len(), table.0.len());
            let taps = taps(length);
            let squeeze = || Squeeze { lines: &table, length, count, taps: &taps };
            let vector = Arch::new().dispatch(squeeze());
            prop_assert_eq!(&vector, &squeeze().with_simd(Scalar::new()));
            for (x, tap) in taps.iter().enumerate() {
                for (y, line) in table.0.iter().enumerate() {
                    let line: Vec<f32> = line[tap.first..].iter().map(|p| f32::from(*p)).collect();
                    prop_assert_eq!(vector[x * count + y], exact(&line, &tap.weights));
                }
            }
        }
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_touched() {
        let pixels: Vec<u8> = (0..32 * 32 * 3).map(|i| (i / 3 * 7 % 256) as u8).collect();
        let Ok(image) = Rgb::new(&pixels, 32, 32) else { panic!("32×32") };
        let small = shrink(&image, &Taps::of(&image));
        assert_eq!(
            small.as_flattened()[..40],
            std::array::from_fn::<_, 40, _>(|i| (i * 7 % 256) as f32)
        );
    }
}
