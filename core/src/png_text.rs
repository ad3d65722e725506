//! Text in PNG files (`tEXt`, `zTXt`, `iTXt`; PNG specification, third edition, 11.3.3), read and
//! written without decoding a pixel.
//!
//! A file may come from anybody: lengths are checked against what is there, check sums are
//! compared, and what a compressed text unpacks to is limited before it is unpacked.

use std::io::{self, Read, Write as _};

use flate2::Compression;
use flate2::Crc;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use thiserror::Error;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Length, type, check sum.
const AROUND: usize = 12;
/// The largest text, unpacked. Large ComfyUI workflows are some megabytes.
pub const MAX_TEXT: usize = 8 << 20;
/// All texts of a file together, unpacked.
pub const MAX_TEXTS: usize = 32 << 20;
/// Chunks of text in a file.
const MAX_COUNT: usize = 1_000;
/// From this size on, an international text is stored compressed.
const COMPRESS_FROM: usize = 1_024;

#[derive(Debug, Error)]
pub enum PngTextError {
    #[error("it is no PNG file: it does not begin as one")]
    NotPng,
    #[error("the PNG file is cut short or damaged at byte {at}: {what}")]
    Damaged { at: usize, what: &'static str },
    #[error("the PNG file's text `{keyword}` is larger than {MAX_TEXT} bytes")]
    TextTooLarge { keyword: String },
    #[error("the PNG file's texts are more than {MAX_COUNT} or larger than {MAX_TEXTS} bytes")]
    TextsTooLarge,
    #[error("`{keyword}` is no PNG keyword: 1 to 79 printable Latin-1 characters")]
    Keyword { keyword: String },
    #[error("the text could not be compressed")]
    Compress(#[from] io::Error),
}

/// One text of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    pub keyword: String,
    pub text: String,
}

/// One chunk of a file, its check sum found right.
struct Chunk<'a> {
    /// Where it begins in the file.
    at: usize,
    kind: [u8; 4],
    content: &'a [u8],
}

impl Chunk<'_> {
    fn is_text(&self) -> bool {
        matches!(&self.kind, b"tEXt" | b"zTXt" | b"iTXt")
    }

    fn end(&self) -> usize {
        self.at + AROUND + self.content.len()
    }
}

/// Walks a file's chunks up to and with `IEND`. Ends after the first error.
struct Chunks<'a> {
    png: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Chunks<'a> {
    fn of(png: &'a [u8]) -> Result<Self, PngTextError> {
        if !png.starts_with(&SIGNATURE) {
            return Err(PngTextError::NotPng);
        }
        Ok(Self { png, at: SIGNATURE.len(), done: false })
    }

    fn read(&mut self) -> Result<Chunk<'a>, PngTextError> {
        let at = self.at;
        let damaged = |what| PngTextError::Damaged { at, what };
        let rest = &self.png[at..];
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(damaged("no IEND chunk"))?;
        let length = u32::from_be_bytes(*length) as usize;
        if rest.len() < length.saturating_add(8) {
            return Err(damaged("a chunk is longer than the file"));
        }
        let (covered, rest) = rest.split_at(4 + length);
        let (stored, _) = rest.split_first_chunk::<4>().ok_or(damaged("no check sum"))?;
        if crc(covered) != u32::from_be_bytes(*stored) {
            return Err(damaged("a chunk's check sum is wrong"));
        }
        let (kind, content) = covered.split_first_chunk::<4>().ok_or(damaged("no type"))?;
        if at == SIGNATURE.len() && kind != b"IHDR" {
            return Err(damaged("the first chunk is not IHDR"));
        }
        Ok(Chunk { at, kind: *kind, content })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, PngTextError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let chunk = self.read();
        match &chunk {
            Ok(chunk) => {
                self.at = chunk.end();
                self.done = &chunk.kind == b"IEND";
            }
            Err(_) => self.done = true,
        }
        Some(chunk)
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Width and height in pixels, as the file's header says.
///
/// # Errors
/// Bytes that are no PNG, a damaged header.
pub fn size(png: &[u8]) -> Result<(u32, u32), PngTextError> {
    let header = Chunks::of(png)?.read()?;
    let damaged = PngTextError::Damaged { at: header.at, what: "its header is too short" };
    match header.content.split_first_chunk::<4>() {
        Some((width, rest)) if rest.len() == 9 => {
            let height = [rest[0], rest[1], rest[2], rest[3]];
            Ok((u32::from_be_bytes(*width), u32::from_be_bytes(height)))
        }
        _ => Err(damaged),
    }
}

/// All texts of a file in their order. What follows `IEND` is not looked at.
///
/// # Errors
/// Bytes that are no PNG, a damaged chunk, texts beyond [`MAX_TEXT`] or [`MAX_TEXTS`].
pub fn read(png: &[u8]) -> Result<Vec<Text>, PngTextError> {
    let mut texts = Vec::new();
    let mut size = 0;
    for chunk in Chunks::of(png)? {
        let chunk = chunk?;
        if !chunk.is_text() {
            continue;
        }
        let text = text_of(&chunk)?;
        size += text.text.len() + text.keyword.len();
        if size > MAX_TEXTS || texts.len() >= MAX_COUNT {
            return Err(PngTextError::TextsTooLarge);
        }
        texts.push(text);
    }
    Ok(texts)
}

/// The file with these texts in front of its pixels. Texts that it has by the same keywords are
/// replaced; every other chunk stays byte for byte. The same file and texts give the same bytes.
///
/// # Errors
/// As [`read`], and for a keyword that PNG does not allow.
pub fn with_text(png: &[u8], texts: &[(String, String)]) -> Result<Vec<u8>, PngTextError> {
    let mut added = Vec::new();
    for (keyword, text) in texts {
        append(&mut added, keyword, text)?;
    }
    let mut out = Vec::with_capacity(png.len() + added.len());
    out.extend_from_slice(&SIGNATURE);
    for chunk in Chunks::of(png)? {
        let chunk = chunk?;
        if chunk.is_text() && texts.iter().any(|(keyword, _)| keyword_of(chunk.content) == *keyword)
        {
            continue;
        }
        out.extend_from_slice(&png[chunk.at..chunk.end()]);
        if &chunk.kind == b"IHDR" {
            out.append(&mut added);
        }
    }
    Ok(out)
}

/// Latin-1: a byte is a character.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// By the specification `tEXt` and `zTXt` are Latin-1, but many tools write UTF-8 into them.
/// Latin-1 text with accents is hardly ever also valid UTF-8.
fn decoded(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| latin1(bytes), str::to_owned)
}

fn keyword_of(content: &[u8]) -> String {
    latin1(content.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn text_of(chunk: &Chunk<'_>) -> Result<Text, PngTextError> {
    let damaged = |what| PngTextError::Damaged { at: chunk.at, what };
    let keyword = keyword_of(chunk.content);
    let too_large = || PngTextError::TextTooLarge { keyword: keyword.clone() };
    let rest = chunk.content.get(keyword.chars().count() + 1..);
    let rest = rest.ok_or(damaged("a text has no end of its keyword"))?;
    let text = match &chunk.kind {
        b"tEXt" => {
            if rest.len() > MAX_TEXT {
                return Err(too_large());
            }
            decoded(rest)
        }
        b"zTXt" => {
            let (method, packed) = rest.split_first().ok_or(damaged("a text has no method"))?;
            if *method != 0 {
                return Err(damaged("a text is compressed in an unknown way"));
            }
            decoded(&unpacked(packed, damaged, too_large)?)
        }
        _ => {
            let [flag, method, rest @ ..] = rest else {
                return Err(damaged("a text has no compression flag"));
            };
            // A language tag and a translated keyword come first, each ended by a zero.
            let mut parts = rest.splitn(3, |byte| *byte == 0);
            let text = parts.nth(2).ok_or(damaged("a text has no end of its language"))?;
            let bytes = match (flag, method) {
                (0, _) if text.len() > MAX_TEXT => return Err(too_large()),
                (0, _) => text.to_vec(),
                (1, 0) => unpacked(text, damaged, too_large)?,
                _ => return Err(damaged("a text is compressed in an unknown way")),
            };
            String::from_utf8(bytes).map_err(|_| damaged("an international text is not UTF-8"))?
        }
    };
    Ok(Text { keyword, text })
}

/// At most [`MAX_TEXT`] bytes are ever unpacked, whatever a text of zeros would become.
fn unpacked(
    packed: &[u8],
    damaged: impl Fn(&'static str) -> PngTextError,
    too_large: impl Fn() -> PngTextError,
) -> Result<Vec<u8>, PngTextError> {
    let mut text = Vec::new();
    let limit = MAX_TEXT as u64 + 1;
    ZlibDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|_| damaged("a compressed text cannot be unpacked"))?;
    if text.len() > MAX_TEXT { Err(too_large()) } else { Ok(text) }
}

/// ASCII as `tEXt`, as A1111 writes it; anything else as `iTXt`, which is UTF-8.
fn append(out: &mut Vec<u8>, keyword: &str, text: &str) -> Result<(), PngTextError> {
    let printable = |c: char| c == ' ' || ('!'..='~').contains(&c);
    if !(1..=79).contains(&keyword.len())
        || !keyword.chars().all(printable)
        || keyword != keyword.trim()
        || keyword.contains("  ")
    {
        return Err(PngTextError::Keyword { keyword: keyword.to_owned() });
    }
    if text.len() > MAX_TEXT {
        return Err(PngTextError::TextTooLarge { keyword: keyword.to_owned() });
    }
    // No text may hold a zero.
    let text = text.replace('\0', "\u{fffd}");
    let mut content = keyword.as_bytes().to_vec();
    if text.is_ascii() {
        content.push(0);
        content.extend_from_slice(text.as_bytes());
        chunk(out, *b"tEXt", &content);
        return Ok(());
    }
    let compressed = text.len() >= COMPRESS_FROM;
    // Flag, method, no language tag, no translated keyword.
    content.extend_from_slice(&[0, u8::from(compressed), 0, 0, 0]);
    if compressed {
        let mut encoder = ZlibEncoder::new(&mut content, Compression::default());
        encoder.write_all(text.as_bytes())?;
        encoder.finish()?;
    } else {
        content.extend_from_slice(text.as_bytes());
    }
    chunk(out, *b"iTXt", &content);
    Ok(())
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    // At most MAX_TEXT and a keyword.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    let start = out.len();
    out.extend_from_slice(&kind);
    out.extend_from_slice(content);
    let sum = crc(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}
