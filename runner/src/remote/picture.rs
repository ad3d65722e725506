//! Bytes of an image, as they came from somewhere, to pixels. Half an image is no image: what is
//! cut short is refused even where its decoder would fill the rest with grey.

use std::collections::BTreeMap;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use difftest_core::png_text;
use difftest_core::protocol::{MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};
use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbImage};

use super::fault::PictureError;

/// Memory that decoding one image may take: 16-bit RGBA at 8192x8192.
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// An image and the text that its file carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub pixels: RgbImage,
    /// PNG text by keyword; empty for other formats.
    pub text: BTreeMap<String, String>,
}

/// Decodes PNG, JPEG or WebP by its first bytes, whatever it was called. Transparent pixels are
/// laid over white.
pub fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    let (format, name) = format(bytes)?;
    if !is_whole(bytes, format) {
        return Err(PictureError::Truncated { format: name, bytes: bytes.len() });
    }
    let broken = |e: image::ImageError| match e {
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format: name, bytes: bytes.len() }
        }
        other => PictureError::Broken { format: name, cause: other.to_string() },
    };
    let (width, height) =
        ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(broken)?;
    if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE {
        return Err(PictureError::TooLarge { width, height, limit: MAX_IMAGE_SIDE });
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(broken)?;
    let text = match format {
        ImageFormat::Png => text(bytes),
        _ => BTreeMap::new(),
    };
    Ok(Picture { pixels: over_white(image), text })
}

/// The bytes of base64, of a `data:` URI too. Line breaks are left out (RFC 2045 has them).
pub fn from_base64(text: &str) -> Result<Vec<u8>, PictureError> {
    let text = match text.trim().strip_prefix("data:") {
        Some(uri) => match uri.split_once(";base64,") {
            Some((_, data)) => data,
            None => return Err(PictureError::Base64("a data: URI without `;base64,`".into())),
        },
        None => text.trim(),
    };
    if text.len() / 4 * 3 > MAX_IMAGE_BYTES {
        return Err(PictureError::Base64(format!("more than {MAX_IMAGE_BYTES} bytes")));
    }
    let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    BASE64.decode(packed).map_err(|e| PictureError::Base64(e.to_string()))
}

fn format(bytes: &[u8]) -> Result<(ImageFormat, &'static str), PictureError> {
    match bytes {
        [] => Err(PictureError::Empty),
        [0x89, b'P', b'N', b'G', ..] => Ok((ImageFormat::Png, "PNG")),
        [0xff, 0xd8, 0xff, ..] => Ok((ImageFormat::Jpeg, "JPEG")),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            Ok((ImageFormat::WebP, "WebP"))
        }
        other => {
            let start: String = String::from_utf8_lossy(&other[..other.len().min(40)])
                .chars()
                .map(|c| if c.is_control() || c == '\u{fffd}' { '.' } else { c })
                .collect();
            Err(PictureError::Format(format!("`{start}`")))
        }
    }
}

fn is_whole(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Png => png_has_its_end(bytes),
        // Some writers pad after the end-of-image marker; none may end without it.
        ImageFormat::Jpeg => {
            let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            bytes[..end].ends_with(&[0xff, 0xd9])
        }
        // The size in a RIFF header counts what follows its own eight bytes.
        _ => bytes.get(4..8).and_then(|s| s.try_into().ok()).is_some_and(|size: [u8; 4]| {
            u64::from(u32::from_le_bytes(size)) + 8 <= bytes.len() as u64
        }),
    }
}

/// Walks the chunks (PNG specification, 5.3) up to `IEND`.
fn png_has_its_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((header, tail)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(tail) = length.checked_add(4).and_then(|skip| tail.get(skip..)) else {
            return false;
        };
        if &header[4..8] == b"IEND" {
            return true;
        }
        rest = tail;
    }
    false
}

/// Text that cannot be read is no reason to lose the image.
fn text(png: &[u8]) -> BTreeMap<String, String> {
    match png_text::read(png) {
        Ok(texts) => texts.into_iter().map(|t| (t.keyword, t.text)).collect(),
        Err(error) => {
            tracing::warn!(%error, "the text of an image is left out");
            BTreeMap::new()
        }
    }
}

fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let blend = |colour: u8, alpha: u8| -> u8 {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise, so that no format compresses it to nothing.
    fn noise(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let n = (x * 7919 + y * 104_729) % 251;
            image::Rgb([n as u8, (n * 3 % 256) as u8, (n * 7 % 256) as u8])
        })
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn png_jpeg_and_webp_are_read_by_their_first_bytes() {
        let image = DynamicImage::from(noise(33, 17));
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(decode(&encoded(&image, format)).unwrap().pixels, noise(33, 17));
        }
        let lossy = decode(&encoded(&image, ImageFormat::Jpeg)).unwrap().pixels;
        assert_eq!(lossy.dimensions(), (33, 17));
    }

    #[test]
    fn no_cut_of_an_image_is_an_image() {
        let image = DynamicImage::from(noise(33, 17));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let whole = encoded(&image, format);
            for length in 0..whole.len() {
                let cut = decode(&whole[..length]);
                assert!(cut.is_err(), "{format:?} cut to {length} of {}", whole.len());
            }
        }
        let png = encoded(&image, ImageFormat::Png);
        let message = decode(&png[..png.len() / 2]).unwrap_err().to_string();
        assert_eq!(message, format!("the PNG image of {} bytes is cut short", png.len() / 2));
    }

    #[test]
    fn a_small_file_of_a_huge_image_is_refused() {
        // 65,535 x 65,535 of one colour would be 12 GiB.
        let mut png = encoded(&DynamicImage::from(noise(4, 4)), ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let mut crc = flate_crc(&png[12..29]);
        png[29..33].swap_with_slice(&mut crc);
        let error = decode(&png).unwrap_err();
        assert_eq!(
            error,
            PictureError::TooLarge { width: 65_535, height: 65_535, limit: MAX_IMAGE_SIDE }
        );
    }

    /// The check sum of a PNG chunk (PNG specification, annex D).
    fn flate_crc(bytes: &[u8]) -> [u8; 4] {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        (!crc).to_be_bytes()
    }

    #[test]
    fn transparency_lies_over_white() {
        let mut image = image::RgbaImage::from_pixel(3, 1, image::Rgba([0, 0, 0, 0]));
        image.put_pixel(1, 0, image::Rgba([10, 20, 30, 255]));
        image.put_pixel(2, 0, image::Rgba([0, 0, 0, 128]));
        let pixels = decode(&encoded(&image.into(), ImageFormat::Png)).unwrap().pixels;
        assert_eq!(pixels.as_raw(), &[255, 255, 255, 10, 20, 30, 127, 127, 127]);
    }

    #[test]
    fn the_text_of_a_png_stays_with_it() {
        let png = encoded(&noise(4, 4).into(), ImageFormat::Png);
        let texts =
            [("parameters".into(), "a cat\nSteps: 20".into()), ("prompt".into(), "{}".into())];
        let picture = decode(&png_text::with_text(&png, &texts).unwrap()).unwrap();
        assert_eq!(picture.text, BTreeMap::from(texts));
        assert_eq!(picture.pixels, noise(4, 4));
    }

    #[test]
    fn what_is_no_image_shows_how_it_begins() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert!(message(b"<html><body>Sign in").contains("`<html><body>Sign in`"));
        assert!(message(b"GIF89a\x01\x00").contains("not a PNG, JPEG or WebP image"));
        assert_eq!(message(b""), "the image is empty");
    }

    #[test]
    fn base64_may_be_wrapped_and_in_a_data_uri() {
        assert_eq!(from_base64("aGVs\nbG8=").unwrap(), b"hello");
        assert_eq!(from_base64("data:image/png;base64,aGVsbG8=").unwrap(), b"hello");
        assert!(from_base64("data:image/png,hello").is_err());
        assert!(
            from_base64("a cat!").unwrap_err().to_string().starts_with("the image is not base64")
        );
    }
}
