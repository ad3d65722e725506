//! The brightness of pixels, as every metric here that wants one plane understands it: Pillow's
//! `convert("L")`, the luma of ITU-R 601-2 in 8 bits.

use pulp::Arch;

use crate::pixels::Rgb;

/// Red's, green's and blue's parts in 16 bits after the point: 0.299, 0.587 and 0.114.
const PARTS: [u16; 3] = [19_595, 38_470, 7_471];
const HALF: u32 = 1 << 15;

/// The luma of a row of interleaved red, green and blue: whole numbers from 0 to 255.
#[inline(always)]
pub fn luma_row(row: &[u8], out: &mut [u8]) {
    for (pixel, luma) in row.as_chunks().0.iter().zip(out) {
        *luma = luma_of(pixel);
    }
}

#[inline(always)]
fn luma_of([r, g, b]: &[u8; 3]) -> u8 {
    let [r, g, b] = [(r, PARTS[0]), (g, PARTS[1]), (b, PARTS[2])]
        .map(|(value, part)| u32::from(*value) * u32::from(part));
    ((r + g + b + HALF) >> 16) as u8
}

/// The same as floats, for filters that multiply them.
#[inline(always)]
pub fn luma_floats(row: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    let done = avx2::leading_pixels(row, out);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (pixel, luma) in row.as_chunks().0.iter().zip(out).skip(done) {
        *luma = f32::from(luma_of(pixel));
    }
}

/// Interleaved bytes are what a compiler's own vectors are slow at: they are sorted here by one
/// shuffle each for red with green and green with blue, and added in pairs.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::cast;
    use pulp::x86::V3;

    use super::{HALF, PARTS};

    /// Pixels a step.
    const STEP: usize = 8;
    /// Bytes that a step reads: two loads of 16, of which 12 count.
    const READ: usize = 12 + 16;
    const NONE: u8 = 0x80;
    /// Of four pixels, red and green as 16-bit numbers.
    const RED_GREEN: [u8; 16] =
        [0, NONE, 1, NONE, 3, NONE, 4, NONE, 6, NONE, 7, NONE, 9, NONE, 10, NONE];
    const GREEN_BLUE: [u8; 16] =
        [1, NONE, 2, NONE, 4, NONE, 5, NONE, 7, NONE, 8, NONE, 10, NONE, 11, NONE];
    /// Green counts in both pairs: its part as a whole is too large for a signed 16-bit number.
    const HALF_GREEN: i16 = (PARTS[1] / 2) as i16;

    /// Does the pixels in front, as many as whole steps reach, and answers how many.
    #[inline(always)]
    pub fn leading_pixels(row: &[u8], out: &mut [f32]) -> usize {
        let Some(simd) = V3::try_new() else { return 0 };
        let steps = row.len().saturating_sub(READ - STEP * 3) / (STEP * 3);
        let twice = |order: [u8; 16]| -> __m256i { cast([order; 2]) };
        let (red_green, green_blue) = (twice(RED_GREEN), twice(GREEN_BLUE));
        let first_parts: __m256i = cast([[PARTS[0] as i16, HALF_GREEN]; STEP]);
        let second_parts: __m256i = cast([[HALF_GREEN, PARTS[2] as i16]; STEP]);
        let half: __m256i = cast([HALF; STEP]);
        let lumas = out.as_chunks_mut::<STEP>().0.iter_mut().take(steps);
        for (i, lumas) in lumas.enumerate() {
            let bytes = &row[i * STEP * 3..][..READ];
            let mut halves = [[0; 16]; 2];
            halves[0].copy_from_slice(&bytes[..16]);
            halves[1].copy_from_slice(&bytes[12..]);
            let pixels: __m256i = cast(halves);
            let pairs = |order| simd.avx2._mm256_shuffle_epi8(pixels, order);
            let sum = simd.avx2._mm256_add_epi32(
                simd.avx2._mm256_madd_epi16(pairs(red_green), first_parts),
                simd.avx2._mm256_madd_epi16(pairs(green_blue), second_parts),
            );
            let rounded = simd.avx2._mm256_add_epi32(sum, half);
            let luma = simd.avx2._mm256_srli_epi32::<16>(rounded);
            *lumas = cast(simd.avx._mm256_cvtepi32_ps(luma));
        }
        steps.min(out.len() / STEP) * STEP
    }
}

/// The luma of all pixels, by row.
pub fn luma(image: &Rgb<'_>) -> Vec<u8> {
    let mut out = vec![0; image.width() * image.height()];
    Arch::new().dispatch(
        #[inline(always)]
        || luma_row(image.bytes(), &mut out),
    );
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_border_is_mirrored() {
        assert_eq!(
            (neighbours(0, 5), neighbours(2, 5), neighbours(4, 5)),
            ((1, 1), (1, 3), (3, 3))
        );
        assert_eq!(
            (neighbours(0, 1), neighbours(0, 2), neighbours(1, 2)),
            ((0, 0), (1, 1), (0, 0))
        );
    }

    proptest! {
        #[test]
        fn shuffled_and_plain_luma_are_equal(row in prop::collection::vec(any::<[u8; 3]>(), 0..70)) {
            let row = row.as_flattened();
            let (mut plain, mut floats) = (vec![0; row.len() / 3], vec![0.0; row.len() / 3]);
            luma_row(row, &mut plain);
            luma_floats(row, &mut floats);
            prop_assert_eq!(plain.iter().map(|l| f32::from(*l)).collect::<Vec<_>>(), floats);
        }
    }
}
