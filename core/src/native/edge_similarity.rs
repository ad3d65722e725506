//! Whether the edges of two images lie in the same places and are as strong.

use pulp::Arch;

use super::luma::{luma, neighbours};
use crate::pixels::{PixelError, Rgb};

/// The cosine of the angle between the two images' Sobel gradient magnitudes, over all pixels of
/// the luma: 0 to 1, which equal images have. Two images without any edge are alike (1), one
/// with and one without are not (0).
///
/// The magnitude is √(gₓ² + gᵧ²) of OpenCV's `Sobel(luma, CV_64F, …, ksize=3)` with its default
/// border.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    image.comparable(reference, "edge_similarity", 1)?;
    let (a, b) = (Gradients::new(image), Gradients::new(reference));
    let mut rows = [(); 2].map(|()| vec![0_i32; image.width()]);
    let (mut dot, mut of_a, mut of_b) = (0.0, 0_i64, 0_i64);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let [in_a, in_b] = &mut rows;
            for y in 0..image.height() {
                a.row(y, in_a);
                b.row(y, in_b);
                dot += products(in_a, in_b);
                of_a += in_a.iter().map(|a| i64::from(*a)).sum::<i64>();
                of_b += in_b.iter().map(|b| i64::from(*b)).sum::<i64>();
            }
        },
    );
    Ok(match (of_a, of_b) {
        (0, 0) => 1.0,
        (0, _) | (_, 0) => 0.0,
        _ => (dot / ((of_a as f64).sqrt() * (of_b as f64).sqrt())).min(1.0),
    })
}

struct Gradients {
    luma: Vec<u8>,
    width: usize,
    height: usize,
}

impl Gradients {
    fn new(image: &Rgb<'_>) -> Self {
        Self { luma: luma(image), width: image.width(), height: image.height() }
    }

    /// The squared gradient magnitudes of a row, at most 2·1020².
    #[inline(always)]
    fn row(&self, y: usize, out: &mut [i32]) {
        let row = |y: usize| &self.luma[y * self.width..(y + 1) * self.width];
        let (above, below) = neighbours(y, self.height);
        let rows = [row(above), row(y), row(below)];
        let last = self.width - 1;
        for (x, out) in out.iter_mut().enumerate().take(last).skip(1) {
            *out = magnitude(rows, x - 1, x, x + 1);
        }
        for x in [0, last] {
            let (left, right) = neighbours(x, self.width);
            out[x] = magnitude(rows, left, x, right);
        }
    }
}

#[inline(always)]
fn magnitude([above, middle, below]: [&[u8]; 3], left: usize, x: usize, right: usize) -> i32 {
    let smooth = |x: usize| i32::from(above[x]) + 2 * i32::from(middle[x]) + i32::from(below[x]);
    let slope = |x: usize| i32::from(below[x]) - i32::from(above[x]);
    let across = smooth(right) - smooth(left);
    let down = slope(left) + 2 * slope(x) + slope(right);
    across * across + down * down
}

/// Σ √a·√b. The products of squared magnitudes are exact; the sum's order is the same for every
/// vector unit.
#[inline(always)]
fn products(a: &[i32], b: &[i32]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (f64::from(*a) * f64::from(*b)).sqrt();
        }
    }
    lanes.iter().sum()
}
