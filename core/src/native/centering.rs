//! Whether what the image shows stands in its middle.

use super::foreground::foreground;
use crate::pixels::Rgb;

/// 1 − the distance of the foreground's centre of mass to the image's middle, as a share of a
/// corner's, each axis measured in half its length. 0 to 1; 0 where nothing stands out.
pub(super) fn score(image: &Rgb<'_>) -> f64 {
    let (width, height) = (image.width(), image.height());
    let (mut count, mut sum_x, mut sum_y) = (0_u64, 0_u64, 0_u64);
    for (y, row) in (0_u64..).zip(foreground(image).chunks_exact(width)) {
        let in_row: u64 = row.iter().map(|stands_out| u64::from(*stands_out)).sum();
        count += in_row;
        sum_y += in_row * y;
        sum_x += (0_u64..).zip(row).map(|(x, stands_out)| x * u64::from(*stands_out)).sum::<u64>();
    }
    if count == 0 {
        return 0.0;
    }
    let offset = |sum: u64, length: usize| {
        let middle = (length - 1) as f64 / 2.0;
        if length == 1 { 0.0 } else { (sum as f64 / count as f64 - middle) / middle }
    };
    1.0 - offset(sum_x, width).hypot(offset(sum_y, height)) / 2_f64.sqrt()
}
