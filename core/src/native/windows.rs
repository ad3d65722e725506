//! Structural similarity under every window of two pictures: what SSIM and its multi-scale form
//! have in common.
//!
//! The window is an 11×11 Gaussian of σ = 1.5, K₁ = 0.01, K₂ = 0.03, and the local statistics are
//! population ones (Wang et al. 2004, doi:10.1109/TIP.2003.819861). Only windows that lie inside
//! the picture count.
//!
//! Instead of the two pictures a and b, their sum s = a + b − 255 and their difference d = a − b
//! are filtered. With S the mean of s + 255, D that of d and V(·) the variances under a window,
//! the paper's two factors are
//!
//! ```text
//! luminance               (2 µₐµᵦ + C₁) / (µₐ² + µᵦ² + C₁) = 1 − 2D² / (S² + D² + 2C₁)
//! contrast and structure  (2 σₐᵦ + C₂) / (σₐ² + σᵦ² + C₂)  = 1 − 2V(d) / (V(s) + V(d) + 2C₂)
//! ```
//!
//! so that 32-bit floats are enough: where the pictures are alike d is small, and what V = E[x²] −
//! E[x]² loses by cancellation is multiplied with next to nothing. Equal pictures give exactly 1,
//! and swapping them changes no bit.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The window's side, in pixels.
pub const WINDOW: usize = 11;
const RADIUS: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;
const CHANNELS: usize = crate::pixels::CHANNELS;
const C1: f32 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f32 = (0.03 * 255.0) * (0.03 * 255.0);

/// Samples (a channel of a pixel) that a strip of the picture gives: a whole number of vectors of
/// every machine. What a strip keeps of its last rows stays in the processor's nearest caches.
const STRIP: usize = 448;
/// Samples that a strip reads: its windows reach over its end.
const READ: usize = STRIP + (WINDOW - 1) * CHANNELS + 2;
/// Fewer rows than this are not worth another thread: each band reads the rows above it again.
const LEAST_BAND: usize = 64;

/// Which of the two factors a mean is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Luminance, contrast and structure: SSIM.
    All,
    /// Contrast and structure alone.
    Contrast,
}

/// Two pictures of one size as rows of samples.
pub trait Pair: Sync {
    /// Pixels a row.
    fn width(&self) -> usize;
    fn height(&self) -> usize;
    /// Writes the samples from `first` on of row `y`, as sums and differences, as far as the row
    /// or the slices go.
    fn read(&self, y: usize, first: usize, sums: &mut [f32], differences: &mut [f32]);
}

/// The mean of `factors` over all windows and channels. Both sides have at least [`WINDOW`]
/// pixels.
pub fn mean(pair: &impl Pair, factors: Factors) -> f64 {
    let rows = pair.height() - WINDOW + 1;
    let samples = (pair.width() - WINDOW + 1) * CHANNELS;
    let strips = samples.div_ceil(STRIP);
    // How many threads share the work decides the bands, and only them: a row's sum is the same
    // in every band, and the sums are added in the picture's order.
    let bands = (rayon::current_num_threads().div_ceil(strips)).clamp(1, rows.div_ceil(LEAST_BAND));
    let band = rows.div_ceil(bands);
    let sums: Vec<Vec<f64>> = (0..strips * bands)
        .into_par_iter()
        .map(|task| {
            let (strip, band_index) = (task / bands, task % bands);
            let first = strip * STRIP;
            let (top, end) = (band_index * band, rows.min((band_index + 1) * band));
            let inside = STRIP.min(samples - first);
            Arch::new().dispatch(Band { pair, factors, first, inside, top, end })
        })
        .collect();
    sums.iter().flatten().sum::<f64>() / (rows * samples) as f64
}

/// The windows' weights along one axis, from the middle outwards. Over the whole window their sum
/// is 1.
fn weights() -> [f32; RADIUS + 1] {
    let gauss = |x: usize| (-0.5 * (x * x) as f64 / (SIGMA * SIGMA)).exp();
    let sum = gauss(0) + 2.0 * (1..=RADIUS).map(gauss).sum::<f64>();
    std::array::from_fn(|x| (gauss(x) / sum) as f32)
}

/// Rows `top..end` of windows, of the `inside` samples from `first` on.
struct Band<'a, P> {
    pair: &'a P,
    factors: Factors,
    first: usize,
    inside: usize,
    top: usize,
    end: usize,
}

/// The last rows that were read, each twice: a window's rows always lie one after the other.
type Ring = [[f32; READ]; 2 * WINDOW];

/// The means of s, d, s² and d² down the columns of a row of windows.
struct Columns([[f32; READ]; 4]);

impl<P: Pair> WithSimd for Band<'_, P> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let weights = weights().map(|weight| simd.splat_f32s(weight));
        let mut sums: Box<Ring> = Box::new([[0.0; READ]; 2 * WINDOW]);
        let mut differences: Box<Ring> = Box::new([[0.0; READ]; 2 * WINDOW]);
        let mut columns = Box::new(Columns([[0.0; READ]; 4]));
        let mut values = [0.0; STRIP];
        let mut of_rows = Vec::with_capacity(self.end.saturating_sub(self.top));
        for y in self.top..self.end + WINDOW - 1 {
            let slot = y % WINDOW;
            self.pair.read(y, self.first, &mut sums[slot], &mut differences[slot]);
            sums[slot + WINDOW] = sums[slot];
            differences[slot + WINDOW] = differences[slot];
            if y < self.top + WINDOW - 1 {
                continue;
            }
            let oldest = (y + 1) % WINDOW;
            down(
                simd,
                &weights,
                window_rows(&sums, oldest),
                window_rows(&differences, oldest),
                &mut columns,
            );
            match self.factors {
                Factors::All => along::<S, true>(simd, &weights, &columns, &mut values),
                Factors::Contrast => along::<S, false>(simd, &weights, &columns, &mut values),
            }
            of_rows.push(sum(&values[..self.inside]));
        }
        of_rows
    }
}

#[inline(always)]
fn window_rows(ring: &Ring, oldest: usize) -> &[[f32; READ]; WINDOW] {
    // The slice has exactly that many rows.
    ring[oldest..oldest + WINDOW].as_array().unwrap_or(&[[0.0; READ]; WINDOW])
}

/// Filters down the columns.
#[inline(always)]
fn down<S: Simd>(
    simd: S,
    weights: &[S::f32s; RADIUS + 1],
    sums: &[[f32; READ]; WINDOW],
    differences: &[[f32; READ]; WINDOW],
    columns: &mut Columns,
) {
    let sums = sums.each_ref().map(|row| S::as_simd_f32s(row).0);
    let differences = differences.each_ref().map(|row| S::as_simd_f32s(row).0);
    let [s, d, ss, dd] = columns.0.each_mut().map(|row| S::as_mut_simd_f32s(row).0);
    for i in 0..s.len() {
        for (rows, mean, square) in [(&sums, &mut *s, &mut *ss), (&differences, &mut *d, &mut *dd)]
        {
            let middle = rows[RADIUS][i];
            let weighted = simd.mul_f32s(weights[0], middle);
            let mut first = weighted;
            let mut second = simd.mul_f32s(weighted, middle);
            for (x, weight) in weights.iter().enumerate().skip(1) {
                let (above, below) = (rows[RADIUS - x][i], rows[RADIUS + x][i]);
                let squares = simd.mul_add_e_f32s(above, above, simd.mul_f32s(below, below));
                first = simd.mul_add_e_f32s(*weight, simd.add_f32s(above, below), first);
                second = simd.mul_add_e_f32s(*weight, squares, second);
            }
            mean[i] = first;
            square[i] = second;
        }
    }
}

/// Filters along the rows, and makes the similarity of each window of its four means.
#[inline(always)]
fn along<S: Simd, const LUMINANCE: bool>(
    simd: S,
    weights: &[S::f32s; RADIUS + 1],
    columns: &Columns,
    values: &mut [f32; STRIP],
) {
    let taps = columns.0.each_ref().map(|row| {
        std::array::from_fn::<_, WINDOW, _>(|k| {
            S::as_simd_f32s(&row[k * CHANNELS..k * CHANNELS + STRIP]).0
        })
    });
    let values = S::as_mut_simd_f32s(values).0;
    let [two, c1, c2, white] = [2.0, 2.0 * C1, 2.0 * C2, 255.0].map(|x| simd.splat_f32s(x));
    for (i, value) in values.iter_mut().enumerate() {
        let [s, d, ss, dd] = taps.each_ref().map(|taps| {
            let mut mean = simd.mul_f32s(weights[0], taps[RADIUS][i]);
            for (x, weight) in weights.iter().enumerate().skip(1) {
                let ends = simd.add_f32s(taps[RADIUS - x][i], taps[RADIUS + x][i]);
                mean = simd.mul_add_e_f32s(*weight, ends, mean);
            }
            mean
        });
        let d_squared = simd.mul_f32s(d, d);
        let of_sum = simd.sub_f32s(ss, simd.mul_f32s(s, s));
        let of_difference = simd.sub_f32s(dd, d_squared);
        let whole = simd.add_f32s(simd.add_f32s(of_sum, of_difference), c2);
        let part = simd.sub_f32s(whole, simd.mul_f32s(two, of_difference));
        *value = if LUMINANCE {
            let s = simd.add_f32s(s, white);
            let brightness = simd.add_f32s(simd.mul_add_e_f32s(s, s, d_squared), c1);
            let kept = simd.sub_f32s(brightness, simd.mul_f32s(two, d_squared));
            simd.div_f32s(simd.mul_f32s(kept, part), simd.mul_f32s(brightness, whole))
        } else {
            simd.div_f32s(part, whole)
        };
    }
}

/// Added in one order, whatever the vector unit.
#[inline(always)]
fn sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value)).sum::<f64>()
}

/// Sums and differences of two rows of bytes.
#[inline(always)]
pub fn read_bytes(a: &[u8], b: &[u8], sums: &mut [f32], differences: &mut [f32]) {
    let pixels = a.iter().zip(b);
    for ((a, b), (sum, difference)) in pixels.zip(sums.iter_mut().zip(differences)) {
        let (a, b) = (i32::from(*a), i32::from(*b));
        *sum = (a + b - 255) as f32;
        *difference = (a - b) as f32;
    }
}
