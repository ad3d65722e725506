//! How much fine detail an image has.

use super::luma::{luma, neighbours};
use crate::pixels::Rgb;

/// The variance of the luma's Laplacian over all pixels, 0 and up
/// (Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548): `cv2.Laplacian(luma, CV_64F).var()`.
pub(super) fn score(image: &Rgb<'_>) -> f64 {
    let (width, height) = (image.width(), image.height());
    let luma = luma(image);
    let row = |y: usize| &luma[y * width..(y + 1) * width];
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for y in 0..height {
        let (above, below) = neighbours(y, height);
        let (above, middle, below) = (row(above), row(y), row(below));
        for x in 0..width {
            let (left, right) = neighbours(x, width);
            let around = [above[x], below[x], middle[left], middle[right]];
            let second = around.map(i32::from).iter().sum::<i32>() - 4 * i32::from(middle[x]);
            sum += i64::from(second);
            squares += i64::from(second * second);
        }
    }
    let pixels = (width * height) as f64;
    let mean = sum as f64 / pixels;
    (squares as f64 / pixels - mean * mean).max(0.0)
}
