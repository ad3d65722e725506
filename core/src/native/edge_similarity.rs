//! Whether the edges of two images lie in the same places and are as strong.

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
    let (mut dot, mut of_a, mut of_b) = (0.0, 0, 0);
    for y in 0..image.height() {
        let (a, b) = (a.row(y), b.row(y));
        // A pixel's squared magnitude is at most 2·1020², so their products are exact.
        dot += a.iter().zip(&b).map(|(a, b)| ((a * b) as f64).sqrt()).sum::<f64>();
        of_a += a.iter().sum::<u64>();
        of_b += b.iter().sum::<u64>();
    }
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

    /// The squared gradient magnitudes of a row.
    fn row(&self, y: usize) -> Vec<u64> {
        let row = |y: usize| &self.luma[y * self.width..(y + 1) * self.width];
        let (above, below) = neighbours(y, self.height);
        let (above, middle, below) = (row(above), row(y), row(below));
        let smooth =
            |x: usize| i32::from(above[x]) + 2 * i32::from(middle[x]) + i32::from(below[x]);
        let slope = |x: usize| i32::from(below[x]) - i32::from(above[x]);
        (0..self.width)
            .map(|x| {
                let (left, right) = neighbours(x, self.width);
                let across = smooth(right) - smooth(left);
                let down = slope(left) + 2 * slope(x) + slope(right);
                (across * across + down * down) as u64
            })
            .collect()
    }
}
