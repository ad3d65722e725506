//! What stands out from an image's background: the quality checks' idea of "the object".

use pulp::Arch;

use crate::pixels::{CHANNELS, Rgb};

/// A pixel is foreground where a channel is further than this from the background's.
const TOLERANCE: u8 = 32;

/// Which pixels differ from the background, by row. The background's colour is the median of each
/// channel over the image's outermost pixels: of an even number the lower of the middle two.
pub fn foreground(image: &Rgb<'_>) -> Vec<bool> {
    let background = border_median(image);
    let mut out = vec![false; image.width() * image.height()];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (stands_out, pixel) in out.iter_mut().zip(image.bytes().as_chunks().0) {
                *stands_out = away(pixel, &background);
            }
        },
    );
    out
}

#[inline(always)]
fn away(pixel: &[u8; CHANNELS], background: &[u8; CHANNELS]) -> bool {
    // No short cuts: they would keep the loop from being vectorised.
    (pixel[0].abs_diff(background[0]) > TOLERANCE)
        | (pixel[1].abs_diff(background[1]) > TOLERANCE)
        | (pixel[2].abs_diff(background[2]) > TOLERANCE)
}

fn border_median(image: &Rgb<'_>) -> [u8; CHANNELS] {
    let mut counts = [[0_usize; 256]; CHANNELS];
    let mut total = 0;
    for pixel in band(image, 1) {
        total += 1;
        for (counts, value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    counts.map(|counts| {
        let mut seen = 0;
        let median = counts.iter().position(|count| {
            seen += count;
            seen > (total - 1) / 2
        });
        median.map_or(u8::MAX, |value| value as u8)
    })
}

/// The pixels less than `width` from an edge of the image, each once.
pub fn band(image: &Rgb<'_>, width: usize) -> impl Iterator<Item = [u8; CHANNELS]> {
    let (columns, rows) = (image.width(), image.height());
    (0..rows).flat_map(move |y| {
        let row = image.row(y).as_chunks().0;
        let at_an_end = y < width || y + width >= rows;
        let (left, right) = if at_an_end || columns <= 2 * width {
            (row, &[][..])
        } else {
            (&row[..width], &row[columns - width..])
        };
        left.iter().chain(right).copied()
    })
}
