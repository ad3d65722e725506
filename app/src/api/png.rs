//! Whether bytes from a stranger are a PNG of a size that a browser can show. Only the header is
//! read: nothing is unpacked for a file that nobody has looked at.

use std::io::Cursor;

use difftest_core::protocol::MAX_IMAGE_SIDE;
use image::ImageDecoder;
use image::codecs::png::PngDecoder;

/// The most memory that the decoder may take for the header and what stands before the pixels.
const MAX_HEADER_BYTES: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnImage {
    #[error("the bytes are not a PNG: {0}")]
    NotPng(image::ImageError),
    #[error("the image has {width} × {height} pixels; at most {MAX_IMAGE_SIDE} a side are taken")]
    TooLarge { width: u32, height: u32 },
}

/// Width and height in pixels.
pub(super) fn dimensions(bytes: &[u8]) -> Result<(u32, u32), NotAnImage> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_HEADER_BYTES);
    let decoder =
        PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(NotAnImage::NotPng)?;
    let (width, height) = decoder.dimensions();
    if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE {
        return Err(NotAnImage::TooLarge { width, height });
    }
    Ok((width, height))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn a_png_of_a_fair_size_is_taken() {
        assert_eq!(dimensions(&png(32, 16)).unwrap(), (32, 16));
        assert_eq!(dimensions(&png(MAX_IMAGE_SIDE, 1)).unwrap(), (MAX_IMAGE_SIDE, 1));
    }

    #[test]
    fn what_is_no_png_or_too_large_is_not() {
        let cut = &png(8, 8)[..20];
        for bytes in [b"".as_slice(), b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", cut] {
            assert!(matches!(dimensions(bytes), Err(NotAnImage::NotPng(_))));
        }
        let error = dimensions(&png(1, MAX_IMAGE_SIDE + 1)).unwrap_err();
        assert!(matches!(error, NotAnImage::TooLarge { width: 1, .. }), "{error}");
    }
}
