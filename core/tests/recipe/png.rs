//! Text in PNG files, from anybody.

use std::io::Write as _;

use difftest_core::png_text::{self, MAX_TEXT, read, with_text};
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use proptest::prelude::*;

pub(super) fn image() -> Vec<u8> {
    let mut png = Vec::new();
    let pixels: Vec<u8> = (0..5 * 3 * 3).map(|n| (n * 7) as u8).collect();
    PngEncoder::new(&mut png).write_image(&pixels, 5, 3, ExtendedColorType::Rgb8).unwrap();
    png
}

pub(super) fn pixels(png: &[u8]) -> Vec<u8> {
    image::load_from_memory(png).unwrap().to_rgb8().into_raw()
}

fn pair(keyword: &str, text: &str) -> (String, String) {
    (keyword.into(), text.into())
}

/// A chunk with a right check sum.
pub(super) fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(content);
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes(), &kind[..], content, &crc.sum().to_be_bytes()].concat()
}

/// The chunk right behind IHDR.
pub(super) fn with_chunk(chunk: &[u8]) -> Vec<u8> {
    let png = image();
    let (header, rest) = png.split_at(8 + 12 + 13);
    [header, chunk, rest].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn error(png: &[u8]) -> String {
    read(png).unwrap_err().to_string()
}

#[test]
fn the_pixels_stay_and_the_texts_come_back() {
    let png = image();
    let texts = [pair("parameters", "a cat\nSteps: 3"), pair("difftest", "{\"ä\": \"猫\"}")];
    let out = with_text(&png, &texts).unwrap();
    assert_eq!(pixels(&out), pixels(&png));
    let back: Vec<_> = read(&out).unwrap().into_iter().map(|t| (t.keyword, t.text)).collect();
    assert_eq!(back, texts);
    assert_eq!(with_text(&png, &texts).unwrap(), out, "the same texts give the same bytes");
    assert_eq!(png_text::size(&out).unwrap(), (5, 3));
}

#[test]
fn a_text_is_replaced_and_others_stay() {
    let first = with_text(&image(), &[pair("a", "1"), pair("b", "2")]).unwrap();
    let second = with_text(&first, &[pair("a", "3")]).unwrap();
    let back: Vec<_> = read(&second).unwrap().into_iter().map(|t| (t.keyword, t.text)).collect();
    assert_eq!(back, [pair("a", "3"), pair("b", "2")]);
    assert_eq!(with_text(&second, &[pair("a", "3")]).unwrap(), second);
}

#[test]
fn all_three_kinds_are_read() {
    let texts = |chunk: Vec<u8>| {
        let [text] = read(&with_chunk(&chunk)).unwrap().try_into().unwrap();
        (text.keyword, text.text)
    };
    assert_eq!(texts(chunk(b"tEXt", b"Comment\0caf\xe9")), pair("Comment", "café"));
    assert_eq!(texts(chunk(b"tEXt", "parameters\0café".as_bytes())), pair("parameters", "café"));
    let packed = [b"k\0\0".as_slice(), &zlib(b"packed")].concat();
    assert_eq!(texts(chunk(b"zTXt", &packed)), pair("k", "packed"));
    let plain = "k\0\0\0de\0Schl\u{fc}ssel\0größer\0x";
    assert_eq!(texts(chunk(b"iTXt", plain.as_bytes())), pair("k", "größer\0x"));
    let packed = [b"k\0\x01\0\0\0".as_slice(), &zlib("größer".as_bytes())].concat();
    assert_eq!(texts(chunk(b"iTXt", &packed)), pair("k", "größer"));
    // Where Pillow's users ask for it, the text is behind the pixels.
    let png = image();
    let (pixels, end) = png.split_at(png.len() - 12);
    let behind = [pixels, &chunk(b"tEXt", b"parameters\0x"), end].concat();
    assert_eq!(read(&behind).unwrap()[0].text, "x");
}

/// A gigabyte of zeros packs into a megabyte, and into some kilobytes twice packed.
#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = zlib(&vec![0; 100 << 20]);
    assert!(bomb.len() < 200_000);
    for (kind, head) in [(b"zTXt", b"k\0\0".as_slice()), (b"iTXt", b"k\0\x01\0\0\0")] {
        let png = with_chunk(&chunk(kind, &[head, &bomb].concat()));
        assert_eq!(error(&png), format!("the PNG file's text `k` is larger than {MAX_TEXT} bytes"));
    }
    let many = chunk(b"zTXt", &[b"k\0\0".as_slice(), &zlib(&vec![b'x'; MAX_TEXT])].concat());
    assert!(error(&with_chunk(&many.repeat(5))).contains("texts are more than"));
    assert!(
        error(&with_chunk(&chunk(b"tEXt", b"k\0").repeat(1001))).contains("texts are more than")
    );
}

#[test]
fn a_damaged_file_is_an_error_with_its_place() {
    assert_eq!(error(b"\xff\xd8\xff\xe0 a JPEG"), "it is no PNG file: it does not begin as one");
    assert_eq!(error(b""), "it is no PNG file: it does not begin as one");
    let png = image();
    assert!(error(&png[..png.len() - 1]).contains("longer than the file"));
    assert!(error(&png[..40]).contains("cut short or damaged at byte 33"));
    let mut flipped = with_text(&png, &[pair("k", "text")]).unwrap();
    flipped[45] ^= 1;
    assert!(error(&flipped).contains("check sum is wrong"));
    assert!(with_text(&flipped, &[]).is_err());
    // A length that no file has.
    let mut long = png.clone();
    long[33..37].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(error(&long).contains("longer than the file"));
    for broken in [
        chunk(b"tEXt", b"no end of the keyword"),
        chunk(b"zTXt", b"k\0"),
        chunk(b"zTXt", b"k\0\x07abc"),
        chunk(b"zTXt", b"k\0\0no zlib"),
        chunk(b"iTXt", b"k\0\0"),
        chunk(b"iTXt", b"k\0\0\0de\0"),
        chunk(b"iTXt", b"k\0\0\0\0\0\xff\xfe"),
        chunk(b"iTXt", b"k\0\x05\0\0\0x"),
    ] {
        assert!(error(&with_chunk(&broken)).contains("damaged at byte 33"));
    }
    assert!(error(&[&png[..8], &png[33..]].concat()).contains("the first chunk is not IHDR"));
}

#[test]
fn a_keyword_must_be_one() {
    for keyword in ["", " x", "x ", "a  b", "ä", "a\0b", &"x".repeat(80)] {
        assert!(with_text(&image(), &[pair(keyword, "x")]).is_err(), "{keyword:?}");
    }
    let zero = with_text(&image(), &[pair("k", "a\0b")]).unwrap();
    assert_eq!(read(&zero).unwrap()[0].text, "a\u{fffd}b");
}

proptest! {
    #[test]
    fn any_text_comes_back(text in any::<String>(), repeat in 1usize..200) {
        let text = text.replace('\0', "").repeat(repeat);
        let png = with_text(&image(), &[("k".to_owned(), text.clone())]).unwrap();
        prop_assert_eq!(&read(&png).unwrap()[0].text, &text);
        prop_assert_eq!(pixels(&png), pixels(&image()));
    }

    #[test]
    fn no_file_breaks_it(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
        let mut png = with_text(&image(), &[("k".to_owned(), "ä".repeat(700))]).unwrap();
        let at = at.min(png.len() - 1);
        png[at] = byte;
        png.truncate(png.len().saturating_sub(cut));
        let _ = read(&png);
        let _ = with_text(&png, &[("k".to_owned(), "x".to_owned())]);
    }
}
