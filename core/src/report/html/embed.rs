//! Which images the file holds, and how large.

use std::collections::HashMap;
use std::io::Cursor;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageReader, Limits};
use rayon::prelude::*;

use super::Page;
use super::grid::Shown;
use crate::event::CellKey;
use crate::ids::ImageSha;
use crate::result::CellRun;

/// The longer edges of small copies, in pixels: the largest is taken that fits.
const THUMBNAILS: [u32; 3] = [768, 448, 256];
const THUMBNAIL_QUALITY: u8 = 82;
/// Of a picture from code that is not trusted.
const MOST_PIXELS_PER_EDGE: u32 = 16_384;
const MOST_DECODED_BYTES: u64 = 512 * 1024 * 1024;
/// Cells whose files are in memory at once.
const AT_ONCE: usize = 32;
/// The text of a cell, of the page around it: an upper estimate.
const BYTES_PER_CELL: usize = 2_500;
const BYTES_OF_PAGE: usize = 128 * 1024;

/// What the file holds of one cell, as data URLs.
pub enum Picture {
    Nothing,
    One { head: String, identical: bool, thumbnail: bool },
    Pair { base: String, head: String, thumbnail: bool },
}

impl Picture {
    pub fn identical(&self) -> bool {
        matches!(self, Self::One { identical: true, .. })
    }

    fn size(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One { head, .. } => head.len(),
            Self::Pair { base, head, .. } => base.len() + head.len(),
        }
    }
}

pub struct Embedded<'a> {
    pictures: HashMap<&'a CellKey, Picture>,
    pub thumbnails: usize,
    pub left_out: usize,
}

impl Embedded<'_> {
    pub fn of(&self, key: &CellKey) -> &Picture {
        self.pictures.get(key).unwrap_or(&Picture::Nothing)
    }

    pub fn any_pair(&self) -> bool {
        self.pictures.values().any(|p| matches!(p, Picture::Pair { .. }))
    }
}

/// Each cell may take an equal share of what is left, in the order of need; a cell whose files are
/// larger is shown by small copies, and one for which not even these fit is left out. So few large
/// images are whole, and of many each is seen.
pub fn embed<'a>(page: &Page<'a>, shown: &Shown<'a>) -> Embedded<'a> {
    let cells: Vec<(&CellKey, &CellRun)> =
        shown.by_need(page.run).filter(|(_, cell)| cell.image.is_some()).collect();
    let text = BYTES_OF_PAGE + cells.len() * BYTES_PER_CELL;
    let mut room = page.limit.saturating_sub(text);
    let mut embedded = Embedded { pictures: HashMap::new(), thumbnails: 0, left_out: 0 };
    let mut waiting = cells.len();
    for some in cells.chunks(AT_ONCE) {
        let share = room / waiting.max(1);
        // The small copies are made side by side; which form is taken is decided in order.
        let forms: Vec<Option<(Picture, bool)>> =
            some.par_iter().map(|(key, cell)| form(page, key, cell, share)).collect();
        for ((key, _), form) in some.iter().zip(forms) {
            waiting -= 1;
            match form {
                Some((picture, small)) if picture.size() <= room => {
                    room -= picture.size();
                    embedded.thumbnails += usize::from(small);
                    embedded.pictures.insert(key, picture);
                }
                _ => embedded.left_out += 1,
            }
        }
    }
    embedded
}

/// The cell's picture and whether it is a small copy; none where its file is lost or is no image.
fn form(page: &Page<'_>, key: &CellKey, cell: &CellRun, share: usize) -> Option<(Picture, bool)> {
    let head = page.images.head(cell.image.as_ref()?)?;
    let base = page.images.reference(key);
    let identical = base.as_ref().is_some_and(|base| ImageSha::of(base) == ImageSha::of(&head));
    let base = base.filter(|_| !identical);
    let picture = |head: String, base: Option<String>, thumbnail: bool| match base {
        Some(base) => Picture::Pair { base, head, thumbnail },
        None => Picture::One { head, identical, thumbnail },
    };
    let full = picture(whole(&head)?, base.as_deref().and_then(whole), false);
    if full.size() <= share {
        return Some((full, false));
    }
    let Some(head) = decode(&head) else { return Some((full, false)) };
    let base = base.as_deref().and_then(decode);
    let mut smallest = None;
    for edge in THUMBNAILS {
        let base = base.as_ref().and_then(|base| small(base, edge));
        let Some(copy) = small(&head, edge).map(|head| picture(head, base, true)) else { break };
        let fits = copy.size() <= share;
        smallest = Some(copy);
        if fits {
            break;
        }
    }
    match smallest {
        // A copy of an image that is small already saves nothing.
        Some(copy) if copy.size() < full.size() => Some((copy, true)),
        _ => Some((full, false)),
    }
}

/// None for bytes that are no raster image: an SVG could hold a script.
fn whole(bytes: &[u8]) -> Option<String> {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => return None,
    };
    Some(url(kind, bytes))
}

fn url(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// None for bytes that are no image, or of one that is too large to be true.
fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_PIXELS_PER_EDGE);
    limits.max_image_height = Some(MOST_PIXELS_PER_EDGE);
    limits.max_alloc = Some(MOST_DECODED_BYTES);
    reader.limits(limits);
    reader.decode().ok()
}

/// The image with its longer edge no longer than `edge` pixels; never enlarged.
fn small(image: &DynamicImage, edge: u32) -> Option<String> {
    let copy = match image.width().max(image.height()) > edge {
        true => image.thumbnail(edge, edge).into_rgb8(),
        false => image.to_rgb8(),
    };
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, THUMBNAIL_QUALITY).encode_image(&copy).ok()?;
    Some(url("jpeg", &out))
}
