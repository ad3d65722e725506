//! PNG to pixels and back. Decoding is limited: a baseline or another run's image may come from
//! code nobody trusts.

use std::io::Cursor;

use difftest_core::png_text::{PngTextError, with_text};
use difftest_core::protocol::{MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

/// Memory one decoded image may take.
const MAX_DECODED_BYTES: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum PngError {
    #[error("the file is larger than {} MiB", MAX_IMAGE_BYTES >> 20)]
    TooLarge,
    #[error("it is not a PNG image that can be read: {0}")]
    Unreadable(#[from] ImageError),
}

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

/// The pixels of a PNG file as 8-bit RGB, as Pillow's `convert("RGB")` has them: grey and palette
/// colours are expanded, and transparency is dropped, not laid over a colour.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, PngError> {
    if bytes.len() > MAX_IMAGE_BYTES {
        return Err(PngError::TooLarge);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    Ok(reader.decode()?.into_rgb8())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use image::{DynamicImage, GrayAlphaImage, RgbaImage};
    use sha2::{Digest as _, Sha256};

    use super::*;

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

    fn file(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
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

    #[test]
    fn transparency_is_dropped_and_grey_is_expanded() {
        let alpha = RgbaImage::from_fn(9, 5, |x, y| image::Rgba([200, x as u8, y as u8, x as u8]));
        let opaque = RgbImage::from_fn(9, 5, |x, y| image::Rgb([200, x as u8, y as u8]));
        assert_eq!(decode(&file(alpha)).unwrap(), opaque);
        let grey = GrayAlphaImage::from_pixel(2, 2, image::LumaA([77, 0]));
        assert_eq!(decode(&file(grey)).unwrap(), RgbImage::from_pixel(2, 2, image::Rgb([77; 3])));
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_memory_is_taken() {
        let mut bytes = encode(&RgbImage::new(8, 8), &[]).unwrap();
        // IHDR's width, and its checksum over the changed bytes.
        bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert!(decode(&bytes).unwrap_err().to_string().contains("not a PNG image"));
        assert!(decode(b"not an image").is_err());
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            })
        })
    }
}
