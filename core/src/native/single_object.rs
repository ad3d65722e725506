//! Whether the image shows one thing.

use super::foreground::foreground;
use crate::pixels::Rgb;

/// A piece smaller than this part of the image is a speck, and no object.
const SPECK: usize = 1000;

/// The share of the foreground that its largest connected piece holds, specks left out: 1 for one
/// object, ½ for two of one size, 0 where nothing stands out. Pixels that touch at a corner are
/// connected.
pub(super) fn score(image: &Rgb<'_>) -> f64 {
    let sizes = pieces(foreground(image), image.width());
    let least = (image.width() * image.height()).div_ceil(SPECK);
    let objects = || sizes.iter().filter(|size| **size >= least);
    match objects().max() {
        Some(largest) => *largest as f64 / objects().sum::<usize>() as f64,
        None => 0.0,
    }
}

/// The sizes of the 8-connected pieces, by flooding each from its first pixel.
fn pieces(mut dry: Vec<bool>, width: usize) -> Vec<usize> {
    let height = dry.len() / width;
    let mut sizes = Vec::new();
    let mut shore = Vec::new();
    for start in 0..dry.len() {
        if !std::mem::take(&mut dry[start]) {
            continue;
        }
        let mut size = 0;
        shore.push(start);
        while let Some(at) = shore.pop() {
            size += 1;
            let (x, y) = (at % width, at / width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    if std::mem::take(&mut dry[y * width + x]) {
                        shore.push(y * width + x);
                    }
                }
            }
        }
        sizes.push(size);
    }
    sizes
}
