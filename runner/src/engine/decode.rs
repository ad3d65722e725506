//! Images that people bring, as PNG, JPEG or WebP, to pixels: within limits, for nobody knows who
//! made them.

use std::io::Cursor;

use difftest_core::protocol::{MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};
use image::{ImageError, ImageFormat, ImageReader, Limits, RgbImage};

/// Memory one decoded image may take.
const MAX_DECODED_BYTES: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the file is larger than {} MiB", MAX_IMAGE_BYTES >> 20)]
    TooLarge,
    #[error("it is no PNG, JPEG or WebP image")]
    NoImage,
    #[error("it is a damaged image: {0}")]
    Damaged(#[from] ImageError),
}

/// The pixels of an image file as 8-bit RGB, as Pillow's `convert("RGB")` has them: grey and palette
/// colours are expanded, and transparency is dropped, not laid over a colour. The format is read
/// from the bytes, whatever the file is called.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    if bytes.len() > MAX_IMAGE_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) => format,
        Ok(_) | Err(_) => return Err(DecodeError::NoImage),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
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

    use super::*;

    #[test]
    fn three_formats_are_read_and_nothing_else() {
        let image = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 90]));
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Jpeg] {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            let bytes = bytes.into_inner();
            let read = decode(&bytes).unwrap();
            assert_eq!(read.dimensions(), (9, 7));
            assert_eq!(read == image, format != ImageFormat::Jpeg);
            assert!(matches!(decode(&bytes[..bytes.len() / 2]), Err(DecodeError::Damaged(_))));
        }
        assert!(matches!(decode(b"GIF89a and so on"), Err(DecodeError::NoImage)));
    }

    fn file(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
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
        let mut bytes = file(RgbImage::new(8, 8));
        // IHDR's width, and its checksum over the changed bytes.
        bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert!(decode(&bytes).unwrap_err().to_string().contains("damaged image"));
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
