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
/// How far it reaches from its middle.
pub const RADIUS: usize = WINDOW / 2;
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
    let threads = rayon::current_num_threads();
    let bands = threads.div_ceil(strips).clamp(1, rows.div_ceil(LEAST_BAND));
    let band = rows.div_ceil(bands);
    let of_band = |task: usize| {
        let (strip, index) = (task / bands, task % bands);
        let first = strip * STRIP;
        let inside = STRIP.min(samples - first);
        let (top, end) = (index * band, rows.min((index + 1) * band));
        Arch::new().dispatch(Band { pair, factors, first, inside, top, end })
    };
    let tasks = 0..strips * bands;
    let sums: Vec<Vec<f64>> = if threads == 1 {
        // Handing the work to a pool of one thread would only cost the way there and back.
        tasks.map(of_band).collect()
    } else {
        tasks.into_par_iter().map(of_band).collect()
    };
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
struct Ring(Box<[[f32; READ]; 2 * WINDOW]>);

impl Ring {
    fn new() -> Self {
        Self(Box::new([[0.0; READ]; 2 * WINDOW]))
    }

    #[inline(always)]
    fn row(&mut self, y: usize) -> &mut [f32; READ] {
        &mut self.0[y % WINDOW]
    }

    /// The rows of the window whose last row is `y`, which has just been written.
    #[inline(always)]
    fn window(&mut self, y: usize) -> &[[f32; READ]; WINDOW] {
        let slot = y % WINDOW;
        self.0[slot + WINDOW] = self.0[slot];
        let (rows, _) = self.0[slot + 1..].as_chunks::<WINDOW>();
        &rows[0]
    }
}

/// The means down the columns of a row of windows.
struct Columns {
    sums: [f32; READ],
    differences: [f32; READ],
    squared_sums: [f32; READ],
    squared_differences: [f32; READ],
}

impl<P: Pair> WithSimd for Band<'_, P> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let mut weights = [simd.splat_f32s(0.0); RADIUS + 1];
        for (vector, weight) in weights.iter_mut().zip(self::weights()) {
            *vector = simd.splat_f32s(weight);
        }
        let (mut sums, mut differences) = (Ring::new(), Ring::new());
        let mut columns = Columns {
            sums: [0.0; READ],
            differences: [0.0; READ],
            squared_sums: [0.0; READ],
            squared_differences: [0.0; READ],
        };
        let mut values = [0.0; STRIP];
        let mut of_rows = Vec::with_capacity(self.end.saturating_sub(self.top));
        for y in self.top..self.end + WINDOW - 1 {
            self.pair.read(y, self.first, sums.row(y), differences.row(y));
            let (s, d) = (sums.window(y), differences.window(y));
            if y < self.top + WINDOW - 1 {
                continue;
            }
            down(simd, &weights, s, &mut columns.sums, &mut columns.squared_sums);
            down(simd, &weights, d, &mut columns.differences, &mut columns.squared_differences);
            match self.factors {
                Factors::All => along::<S, true>(simd, &weights, &columns, &mut values),
                Factors::Contrast => along::<S, false>(simd, &weights, &columns, &mut values),
            }
            of_rows.push(sum(&values[..self.inside]));
        }
        of_rows
    }
}

/// Filters down the columns: the means of the values and of their squares.
#[inline(always)]
fn down<S: Simd>(
    simd: S,
    weights: &[S::f32s; RADIUS + 1],
    window: &[[f32; READ]; WINDOW],
    means: &mut [f32; READ],
    squares: &mut [f32; READ],
) {
    let mut rows: [&[S::f32s]; WINDOW] = [&[]; WINDOW];
    for (vectors, row) in rows.iter_mut().zip(window) {
        *vectors = S::as_simd_f32s(row).0;
    }
    let means = S::as_mut_simd_f32s(means).0;
    let squares = S::as_mut_simd_f32s(squares).0;
    for (i, (mean, square)) in means.iter_mut().zip(squares).enumerate() {
        let middle = rows[RADIUS][i];
        let weighted = simd.mul_f32s(weights[0], middle);
        let mut first = weighted;
        let mut second = simd.mul_f32s(weighted, middle);
        for x in 1..=RADIUS {
            let (above, below) = (rows[RADIUS - x][i], rows[RADIUS + x][i]);
            let both = simd.mul_add_e_f32s(above, above, simd.mul_f32s(below, below));
            first = simd.mul_add_e_f32s(weights[x], simd.add_f32s(above, below), first);
            second = simd.mul_add_e_f32s(weights[x], both, second);
        }
        *mean = first;
        *square = second;
    }
}

/// A row under the window's taps, the leftmost first.
#[inline(always)]
fn taps<S: Simd>(row: &[f32; READ]) -> [&[S::f32s]; WINDOW] {
    let mut taps: [&[S::f32s]; WINDOW] = [&[]; WINDOW];
    for (k, tap) in taps.iter_mut().enumerate() {
        *tap = S::as_simd_f32s(&row[k * CHANNELS..k * CHANNELS + STRIP]).0;
    }
    taps
}

/// The weighted mean of the vectors at `i` of a row's taps.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    weights: &[S::f32s; RADIUS + 1],
    taps: &[&[S::f32s]; WINDOW],
    i: usize,
) -> S::f32s {
    let mut mean = simd.mul_f32s(weights[0], taps[RADIUS][i]);
    for x in 1..=RADIUS {
        let ends = simd.add_f32s(taps[RADIUS - x][i], taps[RADIUS + x][i]);
        mean = simd.mul_add_e_f32s(weights[x], ends, mean);
    }
    mean
}

/// Filters along the rows, and makes the similarity of each window of its four means.
#[inline(always)]
fn along<S: Simd, const LUMINANCE: bool>(
    simd: S,
    weights: &[S::f32s; RADIUS + 1],
    columns: &Columns,
    values: &mut [f32; STRIP],
) {
    let [s_taps, d_taps, ss_taps, dd_taps] = [
        taps::<S>(&columns.sums),
        taps::<S>(&columns.differences),
        taps::<S>(&columns.squared_sums),
        taps::<S>(&columns.squared_differences),
    ];
    let two = simd.splat_f32s(2.0);
    let c1 = simd.splat_f32s(2.0 * C1);
    let c2 = simd.splat_f32s(2.0 * C2);
    let white = simd.splat_f32s(255.0);
    for (i, value) in S::as_mut_simd_f32s(values).0.iter_mut().enumerate() {
        let s = weigh(simd, weights, &s_taps, i);
        let d = weigh(simd, weights, &d_taps, i);
        let ss = weigh(simd, weights, &ss_taps, i);
        let dd = weigh(simd, weights, &dd_taps, i);
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

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    struct Noise;

    impl Pair for Noise {
        fn width(&self) -> usize {
            331
        }

        fn height(&self) -> usize {
            40
        }

        fn read(&self, y: usize, first: usize, sums: &mut [f32], differences: &mut [f32]) {
            let byte = |i: usize, salt: usize| ((i * i * salt) >> 3) as u8;
            let places = first..self.width() * CHANNELS;
            let a: Vec<u8> = places.clone().map(|x| byte(x + y * 1009, 37)).collect();
            let b: Vec<u8> = places.map(|x| byte(x + y * 1013, 41)).collect();
            read_bytes(&a, &b, sums, differences);
        }
    }

    #[test]
    fn the_vector_unit_and_plain_arithmetic_agree() {
        for factors in [Factors::All, Factors::Contrast] {
            for (first, inside) in [(0, STRIP), (2 * STRIP, 321 * CHANNELS - 2 * STRIP)] {
                let band = || Band { pair: &Noise, factors, first, inside, top: 0, end: 30 };
                let vector = Arch::new().dispatch(band());
                let plain = band().with_simd(Scalar::new());
                assert_eq!((vector.len(), plain.len()), (30, 30));
                for (vector, plain) in vector.iter().zip(plain) {
                    assert!((vector - plain).abs() / (inside as f64) < 1e-6, "{vector} {plain}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_one_value_whatever_band_it_is_in() {
        let band = |top, end| {
            let (factors, first, inside) = (Factors::All, 0, STRIP);
            Arch::new().dispatch(Band { pair: &Noise, factors, first, inside, top, end })
        };
        assert_eq!([band(0, 7), band(7, 20), band(20, 30)].concat(), band(0, 30));
        assert!(band(12, 12).is_empty());
    }
}
