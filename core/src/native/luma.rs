//! The brightness of pixels, as every metric here that wants one plane understands it: Pillow's
//! `convert("L")`, the luma of ITU-R 601-2 in 8 bits.

use pulp::Arch;

use crate::pixels::Rgb;

/// The luma of a row of interleaved red, green and blue.
#[inline(always)]
pub fn luma_row(row: &[u8], out: &mut [u8]) {
    for ([r, g, b], luma) in row.as_chunks().0.iter().zip(out) {
        // 0.299, 0.587 and 0.114 in 16 bits after the point, rounded.
        let weighted =
            u32::from(*r) * 19595 + u32::from(*g) * 38470 + u32::from(*b) * 7471 + 0x8000;
        *luma = (weighted >> 16) as u8;
    }
}

/// The luma of all pixels, by row.
pub fn luma(image: &Rgb<'_>) -> Vec<u8> {
    let mut out = vec![0; image.width() * image.height()];
    Arch::new().dispatch(|| luma_row(image.bytes(), &mut out));
    out
}

/// Where a filter of 3 taps looks beside position `at` of `length`: the border is mirrored
/// without repeating it, OpenCV's BORDER_REFLECT_101.
pub fn neighbours(at: usize, length: usize) -> (usize, usize) {
    let last = length - 1;
    let before = if at == 0 { 1.min(last) } else { at - 1 };
    let after = if at == last { last.saturating_sub(1) } else { at + 1 };
    (before, after)
}
