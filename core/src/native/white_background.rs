//! Whether the image stands on white, as a catalogue wants its products.

use super::foreground::band;
use crate::pixels::Rgb;

/// A pixel is white from this value on, in every channel.
const WHITE: u8 = 240;
/// The band is this part of the shorter side, and at least a pixel wide.
const BAND: usize = 16;

/// The share of white pixels in the image's outer band, 0 to 1.
pub(super) fn score(image: &Rgb<'_>) -> f64 {
    let width = (image.width().min(image.height()) / BAND).max(1);
    let (mut white, mut all) = (0_u64, 0_u64);
    for pixel in band(image, width) {
        all += 1;
        white += u64::from(pixel.iter().all(|value| *value >= WHITE));
    }
    white as f64 / all as f64
}
