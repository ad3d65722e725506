//! Pixels to PNG.

use difftest_core::png_text::{PngTextError, with_text};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, RgbImage};

#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(transparent)]
    Pixels(#[from] ImageError),
    #[error(transparent)]
    Text(#[from] PngTextError),
}

/// The file of an image, with these keywords and texts in front of its pixels. Equal pixels and
/// texts give equal bytes on every machine: an image's name is their digest.
pub fn encode(image: &RgbImage, texts: &[(String, String)]) -> Result<Vec<u8>, EncodeError> {
    let bytes = encode_rgb(image.as_raw(), image.width(), image.height())?;
    if texts.is_empty() { Ok(bytes) } else { Ok(with_text(&bytes, texts)?) }
}

/// The file of bytes by row, red, green and blue, without text.
///
/// Each row gets the filter whose residuals are smallest, and these are Huffman-coded with one
/// table made for such residuals; only runs of zeros are matched (fdeflate). A photograph takes a
/// few hundredths more than with zlib and is ready many times sooner: `make bench` says how much.
pub fn encode_rgb(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::with_capacity(pixels.len() / 2);
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, width, height, image::ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::engine::decode::decode;

    /// Curved, smooth and noisy parts, of whole numbers: the same on every machine.
    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let noise = (x * 7919 + y * 10_473).wrapping_mul(2_654_435_761) >> 27;
            image::Rgb([
                ((x * x + 3 * y * y) / 64) as u8,
                (x * 5 + y) as u8,
                (y + noise * (x / 40)) as u8,
            ])
        })
    }

    #[test]
    fn pixels_survive() {
        for (width, height) in [(1, 1), (1, 40), (33, 17), (256, 3)] {
            let image = picture(width, height);
            assert_eq!(decode(&encode(&image, &[]).unwrap()).unwrap(), image);
        }
    }

    #[test]
    fn equal_pixels_are_equal_files_on_every_machine() {
        // The digest is of the file that another machine wrote. It changes with the encoder, and
        // then the release notes must say that images have new names.
        let bytes = encode(&picture(133, 71), &[]).unwrap();
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            "f9e4f26d0c6af2470ca6d744aa22013db691db379d8ee427f3823a77a4876c5e"
        );
    }

    #[test]
    fn text_is_carried_and_changes_no_pixel() {
        let image = picture(20, 20);
        let text = [("parameters".to_owned(), "a red cat\nSteps: 4".to_owned())];
        let bytes = encode(&image, &text).unwrap();
        let read = difftest_core::png_text::read(&bytes).unwrap();
        assert_eq!((read[0].keyword.as_str(), read[0].text.as_str()), (&*text[0].0, &*text[0].1));
        assert_eq!(decode(&bytes).unwrap(), image);
        assert!(encode(&image, &[(String::new(), String::new())]).is_err());
    }
}
