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

/// The pixels of an image file as 8-bit RGB; transparency is dropped. The format is read from the
/// bytes, whatever the file is called.
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
}
