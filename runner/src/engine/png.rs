//! PNG to pixels and back. Decoding is limited: a baseline or another run's image may come from
//! code nobody trusts.

use std::io::Cursor;

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

/// The file of an image. Equal pixels give equal bytes: an image's name is their digest.
pub fn encode(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    encode_rgb(image.as_raw(), image.width(), image.height())
}

/// The same of bytes by row, red, green and blue.
pub fn encode_rgb(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(pixels, width, height, image::ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// The pixels of a PNG file as 8-bit RGB; transparency is dropped.
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
    use super::*;

    #[test]
    fn pixels_survive_and_equal_pixels_are_equal_files() {
        let image = RgbImage::from_fn(33, 17, |x, y| image::Rgb([x as u8, y as u8, 200]));
        let bytes = encode(&image).unwrap();
        assert_eq!(decode(&bytes).unwrap(), image);
        assert_eq!(encode(&image.clone()).unwrap(), bytes);
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_memory_is_taken() {
        let mut bytes = encode(&RgbImage::new(8, 8)).unwrap();
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
