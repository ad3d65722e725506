//! Structural similarity of two RGB images (Wang et al. 2004, doi:10.1109/TIP.2003.819861).
//!
//! The window is an 11×11 Gaussian of σ = 1.5, K₁ = 0.01, K₂ = 0.03, and the local statistics are
//! population ones, as in the paper. Only pixels whose window lies inside the image count. The
//! result is scikit-image's `structural_similarity(a, b, gaussian_weights=True, sigma=1.5,
//! use_sample_covariance=False, channel_axis=-1, data_range=255)`.

use rayon::prelude::*;

/// The window's side, in pixels: no image may be smaller.
pub const WINDOW: usize = 11;
const RADIUS: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;
const CHANNELS: usize = 3;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
/// Fewer rows than this are not worth another thread.
const ROWS_A_TASK: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SsimError {
    #[error("{bytes} bytes are not {width}×{height} RGB pixels")]
    NotRgb { bytes: usize, width: usize, height: usize },
    #[error(
        "the images differ in size: {}×{} and {}×{} pixels; SSIM compares pixel by pixel",
        .a.0, .a.1, .b.0, .b.1
    )]
    SizesDiffer { a: (usize, usize), b: (usize, usize) },
    #[error(
        "an image of {width}×{height} pixels is smaller than SSIM's window of {WINDOW}×{WINDOW}"
    )]
    TooSmall { width: usize, height: usize },
}

/// Pixels by row, red, green, blue, a byte each.
#[derive(Debug, Clone, Copy)]
pub struct Rgb<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Rgb<'a> {
    pub fn new(pixels: &'a [u8], width: usize, height: usize) -> Result<Self, SsimError> {
        if width.checked_mul(height).and_then(|n| n.checked_mul(CHANNELS)) == Some(pixels.len()) {
            Ok(Self { pixels, width, height })
        } else {
            Err(SsimError::NotRgb { bytes: pixels.len(), width, height })
        }
    }

    fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.width * CHANNELS..(y + 1) * self.width * CHANNELS]
    }
}

/// The window's weights along one axis. Their sum is 1.
fn kernel() -> [f64; WINDOW] {
    let mut weights = [0.0; WINDOW];
    for (i, weight) in weights.iter_mut().enumerate() {
        let x = i as f64 - RADIUS as f64;
        *weight = (-0.5 * x * x / (SIGMA * SIGMA)).exp();
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|w| w / sum)
}

/// The weighted moments of a row of windows: E[a], E[b], E[a² + b²], E[ab].
///
/// The formula needs the two variances only as their sum, so four moments are enough.
struct Moments([Vec<f64>; 4]);

impl Moments {
    fn new(length: usize) -> Self {
        Self([(); 4].map(|()| vec![0.0; length]))
    }

    /// Filters down the columns: `top` is the window's first row.
    fn columns(&mut self, a: &Rgb<'_>, b: &Rgb<'_>, top: usize, kernel: &[f64; WINDOW]) {
        let [ma, mb, squares, products] = &mut self.0;
        for moment in [&mut *ma, &mut *mb, &mut *squares, &mut *products] {
            moment.fill(0.0);
        }
        for (k, weight) in kernel.iter().enumerate() {
            let rows = a.row(top + k).iter().zip(b.row(top + k));
            let sums = ma.iter_mut().zip(mb.iter_mut()).zip(squares.iter_mut().zip(&mut *products));
            for ((x, y), ((ma, mb), (squares, products))) in rows.zip(sums) {
                let (x, y) = (i32::from(*x), i32::from(*y));
                *ma += weight * f64::from(x);
                *mb += weight * f64::from(y);
                *squares += weight * f64::from(x * x + y * y);
                *products += weight * f64::from(x * y);
            }
        }
    }
}

/// `out[i] = Σ kernel[k] · row[i + 3k]`: along a row of interleaved channels.
fn along(row: &[f64], kernel: &[f64; WINDOW], out: &mut [f64]) {
    out.fill(0.0);
    for (k, weight) in kernel.iter().enumerate() {
        for (out, value) in out.iter_mut().zip(&row[k * CHANNELS..]) {
            *out += weight * value;
        }
    }
}

/// The mean structural similarity of two images of one size, over pixels and channels: 1 for
/// equal images, never below −1. Both sides must have at least [`WINDOW`] pixels.
pub fn ssim(a: &Rgb<'_>, b: &Rgb<'_>) -> Result<f64, SsimError> {
    if (a.width, a.height) != (b.width, b.height) {
        return Err(SsimError::SizesDiffer { a: (a.width, a.height), b: (b.width, b.height) });
    }
    if a.width < WINDOW || a.height < WINDOW {
        return Err(SsimError::TooSmall { width: a.width, height: a.height });
    }
    let kernel = kernel();
    let rows = a.height - WINDOW + 1;
    let inside = (a.width - WINDOW + 1) * CHANNELS;
    let fresh = || (Moments::new(a.width * CHANNELS), Moments::new(inside));
    // Collected and then added in order: the sum must not depend on how the rows were shared out.
    let sums: Vec<f64> = (0..rows)
        .into_par_iter()
        .with_min_len(ROWS_A_TASK)
        .map_init(fresh, |(columns, windows), top| {
            columns.columns(a, b, top, &kernel);
            for (column, window) in columns.0.iter().zip(&mut windows.0) {
                along(column, &kernel, window);
            }
            let [ma, mb, squares, products] = &windows.0;
            (0..inside)
                .map(|i| {
                    let (ma2, mb2, mab) = (ma[i] * ma[i], mb[i] * mb[i], ma[i] * mb[i]);
                    let variances = squares[i] - ma2 - mb2;
                    let covariance = products[i] - mab;
                    ((2.0 * mab + C1) * (2.0 * covariance + C2))
                        / ((ma2 + mb2 + C1) * (variances + C2))
                })
                .sum()
        })
        .collect();
    Ok(sums.iter().sum::<f64>() / (rows * inside) as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    /// A picture without randomness, so that another program can draw the same.
    fn picture(width: usize, height: usize, phase: usize) -> Vec<u8> {
        (0..width * height * CHANNELS)
            .map(|i| {
                let (c, x, y) = (i % CHANNELS, i / CHANNELS % width, i / CHANNELS / width);
                ((x * 7 + y * 13 + c * 31 + (x * y) % 17 * phase) % 256) as u8
            })
            .collect()
    }

    fn of(a: &[u8], b: &[u8], width: usize, height: usize) -> f64 {
        let view = |p| Rgb::new(p, width, height).unwrap();
        ssim(&view(a), &view(b)).unwrap()
    }

    #[test]
    fn equals_scikit_image() {
        // From scikit-image 0.26; python/tests/test_ssim_reference.py compares with it live.
        let reference = [
            (11, 11, 0.6564390341123084),
            (32, 32, 0.6281961954137244),
            (64, 48, 0.6511501762501298),
            (131, 257, 0.6615970298106674),
        ];
        for (width, height, expected) in reference {
            let value = of(&picture(width, height, 3), &picture(width, height, 5), width, height);
            assert!((value - expected).abs() < 1e-9, "{width}×{height}: {value}, not {expected}");
        }
    }

    #[test]
    fn the_smallest_image_has_one_window() {
        assert_eq!(of(&picture(11, 11, 1), &picture(11, 11, 1), 11, 11), 1.0);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let (a, b) = (picture(32, 32, 1), picture(16, 64, 1));
        let (a, b) = (Rgb::new(&a, 32, 32).unwrap(), Rgb::new(&b, 16, 64).unwrap());
        assert!(ssim(&a, &b).unwrap_err().to_string().contains("32×32 and 16×64"));
        let thin = picture(64, 10, 1);
        let thin = Rgb::new(&thin, 64, 10).unwrap();
        assert!(ssim(&thin, &thin).unwrap_err().to_string().contains("11×11"));
        assert!(Rgb::new(&[0; 10], 2, 2).is_err());
        assert!(Rgb::new(&[], usize::MAX, usize::MAX).is_err());
    }

    proptest! {
        #[test]
        fn it_is_symmetric_bounded_and_one_for_equal_images(
            a in prop::collection::vec(any::<u8>(), 12 * 15 * 3),
            b in prop::collection::vec(any::<u8>(), 12 * 15 * 3),
        ) {
            let (ab, ba) = (of(&a, &b, 12, 15), of(&b, &a, 12, 15));
            prop_assert!((ab - ba).abs() < 1e-12);
            prop_assert!((-1.0..=1.0).contains(&ab));
            prop_assert!((of(&a, &a, 12, 15) - 1.0).abs() < 1e-12);
        }
    }
}
