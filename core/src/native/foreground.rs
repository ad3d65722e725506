//! What stands out from an image's background: the quality checks' idea of "the object".

use crate::pixels::{CHANNELS, Rgb};

/// A pixel is foreground where a channel is further than this from the background's.
const TOLERANCE: u8 = 32;

/// Which pixels differ from the background, by row. The background's colour is the median of each
/// channel over the image's outermost pixels: of an even number the lower of the middle two.
pub fn foreground(image: &Rgb<'_>) -> Vec<bool> {
    let background = border_median(image);
    let away = |pixel: [u8; CHANNELS]| {
        pixel.iter().zip(&background).any(|(value, usual)| value.abs_diff(*usual) > TOLERANCE)
    };
    image.pixels().map(away).collect()
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
    image.pixels().enumerate().filter_map(move |(i, pixel)| {
        let (x, y) = (i % columns, i / columns);
        let inside = (width..columns.saturating_sub(width)).contains(&x)
            && (width..rows.saturating_sub(width)).contains(&y);
        (!inside).then_some(pixel)
    })
}
