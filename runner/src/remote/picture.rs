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
