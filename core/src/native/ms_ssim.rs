//! Structural similarity over five scales (Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216).
//!
//! Each scale is the one before, averaged over blocks of 2×2 pixels; an odd last row or column is
//! left out. Contrast and structure count at every scale, luminance at the last alone. There, where
//! the picture may be no larger than one window, its border is mirrored, so that every pixel has a
//! window around it. The means are over windows and channels, a negative one counts as 0, and the
//! result is their product, each to the power of its scale's weight: torchmetrics'
//! `multiscale_structural_similarity_index_measure(a, b, data_range=255)` with its defaults.

use super::ssim::Images;
use super::windows::{Factors, Pair, RADIUS, WINDOW, mean};
use crate::pixels::{CHANNELS, PixelError, Rgb};

/// The paper's weights of the scales, finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// The smallest side whose last scale still holds a window.
const LEAST: usize = WINDOW << (WEIGHTS.len() - 1);

/// The images of a scale as rows of sums and differences of samples.
struct Scale {
    sums: Vec<f32>,
    differences: Vec<f32>,
    width: usize,
    height: usize,
}

impl Pair for Scale {
    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    #[inline(always)]
    fn read(&self, y: usize, first: usize, sums: &mut [f32], differences: &mut [f32]) {
        let row = y * self.width * CHANNELS + first..(y + 1) * self.width * CHANNELS;
        for (from, to) in [(&self.sums, sums), (&self.differences, differences)] {
            let from = &from[row.clone()];
            let samples = from.len().min(to.len());
            to[..samples].copy_from_slice(&from[..samples]);
        }
    }
}

impl Scale {
    /// The scale below `finer`, of half its size. Sums of four bytes, and of four of those, are
    /// exact in 32-bit floats down to the last scale.
    fn below(finer: &impl Pair) -> Self {
        let (width, height) = (finer.width() / 2, finer.height() / 2);
        let mut scale = Self { sums: Vec::new(), differences: Vec::new(), width, height };
        let samples = finer.width() * CHANNELS;
        let [mut s0, mut s1, mut d0, mut d1] = [(); 4].map(|()| vec![0.0; samples]);
        for y in 0..height {
            finer.read(2 * y, 0, &mut s0, &mut d0);
            finer.read(2 * y + 1, 0, &mut s1, &mut d1);
            halve(&s0, &s1, width, &mut scale.sums);
            halve(&d0, &d1, width, &mut scale.differences);
        }
        scale
    }
}

/// A scale with as much of its mirrored self around it as a window reaches over its border.
struct Mirrored(Scale);

/// The place in `0..length` that `at`, counted from the border's outer end, shows.
fn mirrored(at: usize, length: usize) -> usize {
    let place = at.abs_diff(RADIUS);
    if place < length { place } else { 2 * (length - 1) - place }
}

impl Pair for Mirrored {
    fn width(&self) -> usize {
        self.0.width + 2 * RADIUS
    }

    fn height(&self) -> usize {
        self.0.height + 2 * RADIUS
    }

    fn read(&self, y: usize, first: usize, sums: &mut [f32], differences: &mut [f32]) {
        let row = mirrored(y, self.0.height) * self.0.width;
        let places = first..self.width() * CHANNELS;
        for ((at, sum), difference) in places.zip(sums).zip(differences) {
            let from = (row + mirrored(at / CHANNELS, self.0.width)) * CHANNELS + at % CHANNELS;
            *sum = self.0.sums[from];
            *difference = self.0.differences[from];
        }
    }
}

/// Appends the means of the 2×2 blocks of two rows.
fn halve(upper: &[f32], lower: &[f32], width: usize, out: &mut Vec<f32>) {
    let blocks = upper.as_chunks::<{ 2 * CHANNELS }>().0.iter();
    for (u, l) in blocks.zip(lower.as_chunks::<{ 2 * CHANNELS }>().0).take(width) {
        out.extend::<[f32; CHANNELS]>(std::array::from_fn(|c| {
            (u[c] + u[c + CHANNELS] + l[c] + l[c + CHANNELS]) * 0.25
        }));
    }
}

/// The structural similarity over five scales: 0 to 1, which equal images have. Both sides must
/// have at least 176 pixels.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    image.comparable(reference, "ms_ssim", LEAST)?;
    let images = Images(image, reference);
    let [finest, others @ .., coarsest] = WEIGHTS;
    let mut value = mean(&images, Factors::Contrast).max(0.0).powf(finest);
    let mut scale = Scale::below(&images);
    for weight in others {
        value *= mean(&scale, Factors::Contrast).max(0.0).powf(weight);
        scale = Scale::below(&scale);
    }
    Ok(value * mean(&Mirrored(scale), Factors::All).max(0.0).powf(coarsest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_shows_what_lies_inside_it() {
        let shown: Vec<usize> = (0..7 + 2 * RADIUS).map(|at| mirrored(at, 7)).collect();
        assert_eq!(shown, [5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]);
    }
}
