//! The picture that the native metrics look at: 8-bit RGB.
//!
//! The engine's images have no alpha channel. A file that has one is read as Pillow's
//! `convert("RGB")` reads it: alpha is dropped, nothing is laid under the colours.

use crate::metric::nearest;

/// Bytes a pixel.
pub const CHANNELS: usize = 3;

/// Why a picture has no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PixelError {
    #[error("{bytes} bytes are not {width}×{height} RGB pixels")]
    NotRgb { bytes: usize, width: usize, height: usize },
    #[error("an image of {width}×{height} pixels has no pixels")]
    Empty { width: usize, height: usize },
    #[error(
        "the images differ in size: {}×{} and {}×{} pixels; {metric} compares pixel by pixel",
        .a.0, .a.1, .b.0, .b.1
    )]
    SizesDiffer { metric: &'static str, a: (usize, usize), b: (usize, usize) },
    #[error(
        "an image of {width}×{height} pixels is too small for {metric}: both sides need at \
         least {least} pixels"
    )]
    TooSmall { metric: &'static str, width: usize, height: usize, least: usize },
    #[error("{metric} compares an image with a reference image, and there is none")]
    NoReference { metric: &'static str },
    #[error("no native metric is called {name:?}{}", suggestion(.name))]
    Unknown { name: String },
}

fn suggestion(name: &str) -> String {
    match nearest(name, crate::native::all().iter().map(|metric| metric.info.name.as_str())) {
        Some(meant) => format!("; did you mean {meant:?}?"),
        None => String::new(),
    }
}

/// Pixels by row, red, green, blue, a byte each. There is at least one.
#[derive(Debug, Clone, Copy)]
pub struct Rgb<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Rgb<'a> {
    pub fn new(pixels: &'a [u8], width: usize, height: usize) -> Result<Self, PixelError> {
        if width == 0 || height == 0 {
            return Err(PixelError::Empty { width, height });
        }
        if width.checked_mul(height).and_then(|n| n.checked_mul(CHANNELS)) == Some(pixels.len()) {
            Ok(Self { pixels, width, height })
        } else {
            Err(PixelError::NotRgb { bytes: pixels.len(), width, height })
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// All rows, one after the other.
    pub fn bytes(&self) -> &'a [u8] {
        self.pixels
    }

    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.width * CHANNELS..(y + 1) * self.width * CHANNELS]
    }

    pub fn pixels(&self) -> impl Iterator<Item = [u8; CHANNELS]> + 'a {
        self.pixels.as_chunks().0.iter().copied()
    }

    /// Whether `metric` can lay this image over `other` and has `least` pixels a side to work on.
    pub(crate) fn comparable(
        &self,
        other: &Rgb<'_>,
        metric: &'static str,
        least: usize,
    ) -> Result<(), PixelError> {
        let (a, b) = ((self.width, self.height), (other.width, other.height));
        if a != b {
            return Err(PixelError::SizesDiffer { metric, a, b });
        }
        let (width, height) = a;
        if width < least || height < least {
            return Err(PixelError::TooSmall { metric, width, height, least });
        }
        Ok(())
    }
}
