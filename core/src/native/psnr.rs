//! Peak signal-to-noise ratio: scikit-image's `peak_signal_noise_ratio(a, b, data_range=255)`,
//! capped so that equal images have a score one can average.

use pulp::Arch;

use crate::pixels::{PixelError, Rgb};

/// The score in dB of equal images, and of what differs by less than one level in one of 154,000
/// samples.
pub const CAP: f64 = 100.0;

/// Bytes whose squared errors fit 32 bits together.
const CHUNK: usize = 1 << 16;

/// 10·log₁₀(255² / mean squared error) in dB, 0 to [`CAP`].
pub(super) fn score(image: &Rgb<'_>, reference: &Rgb<'_>) -> Result<f64, PixelError> {
    image.comparable(reference, "psnr", 1)?;
    let (a, b) = (image.bytes(), reference.bytes());
    // On one thread: a pool would take longer to wake than a megapixel takes.
    let error = Arch::new().dispatch(
        #[inline(always)]
        || {
            let chunks = a.chunks(CHUNK).zip(b.chunks(CHUNK));
            chunks.map(|(a, b)| u64::from(squared_error(a, b))).sum::<u64>()
        },
    );
    if error == 0 {
        return Ok(CAP);
    }
    let peak = 255.0 * 255.0 * a.len() as f64;
    Ok((10.0 * (peak / error as f64).log10()).min(CAP))
}

#[inline(always)]
fn squared_error(a: &[u8], b: &[u8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            let d = i32::from(i16::from(*a) - i16::from(*b));
            (d * d) as u32
        })
        .sum()
}
