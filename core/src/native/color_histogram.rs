//! How far the colours of two images are apart, wherever in the image they are.

use crate::pixels::{PixelError, Rgb};

/// Bins of each channel.
const BINS: usize = 8;
const SHIFT: u32 = 8 - BINS.ilog2();

type Histogram = Vec<u64>;

/// The Hellinger distance of the joint 8×8×8 RGB histograms, 0 to 1: OpenCV's
/// `compareHist(a, b, HISTCMP_BHATTACHARYYA)`. The images may differ in size.
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    let (a, b) = (histogram(image), histogram(reference));
    let pixels = |image: &Rgb<'_>| (image.width() * image.height()) as f64;
    // Square roots of whole products: equal histograms add up to exactly their number of pixels.
    let shared: f64 = a.iter().zip(&b).map(|(a, b)| ((a * b) as f64).sqrt()).sum();
    Ok((1.0 - shared / (pixels(image) * pixels(reference)).sqrt()).max(0.0).sqrt())
}

fn histogram(image: &Rgb<'_>) -> Histogram {
    let mut counts = vec![0; BINS * BINS * BINS];
    for [r, g, b] in image.pixels() {
        let bin = |channel: u8| usize::from(channel >> SHIFT);
        counts[(bin(r) * BINS + bin(g)) * BINS + bin(b)] += 1;
    }
    counts
}
