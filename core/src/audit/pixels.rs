//! Two images of one recipe, pixel by pixel.

use serde::Serialize;

use crate::native;
use crate::pixels::Rgb;

/// In levels of 0 to 255, over all channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PixelDifference {
    pub largest: u8,
    pub mean: f64,
    /// None where the images are too small for it.
    pub ssim: Option<f64>,
}

/// What a pair of images is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Compared {
    Equal,
    Differ(PixelDifference),
    /// They have no pixels to lay over each other.
    SizesDiffer,
}

/// Compares the pixels, whatever their files are.
pub fn compare_pixels(reference: &Rgb<'_>, variant: &Rgb<'_>) -> Compared {
    if (reference.width(), reference.height()) != (variant.width(), variant.height()) {
        return Compared::SizesDiffer;
    }
    let (mut largest, mut sum) = (0_u8, 0_u64);
    for (a, b) in reference.bytes().iter().zip(variant.bytes()) {
        let difference = a.abs_diff(*b);
        largest = largest.max(difference);
        sum += u64::from(difference);
    }
    if largest == 0 {
        return Compared::Equal;
    }
    Compared::Differ(PixelDifference {
        largest,
        mean: sum as f64 / reference.bytes().len() as f64,
        ssim: native::score("ssim", variant, Some(reference)).ok(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_pair_is_equal_or_differs_by_what_it_differs() {
        let (a, mut b) = (vec![100; 16 * 16 * 3], vec![100; 16 * 16 * 3]);
        let of = |a: &[u8], b: &[u8]| {
            compare_pixels(&Rgb::new(a, 16, 16).unwrap(), &Rgb::new(b, 16, 16).unwrap())
        };
        assert_eq!(of(&a, &b), Compared::Equal);
        (b[0], b[5]) = (103, 99);
        let Compared::Differ(difference) = of(&a, &b) else { panic!("they differ") };
        assert_eq!((difference.largest, difference.mean), (3, 4.0 / 768.0));
        assert!(difference.ssim.unwrap() < 1.0);
        let small = [7; 12];
        let (wide, high) = (Rgb::new(&small, 4, 1).unwrap(), Rgb::new(&small, 1, 4).unwrap());
        assert_eq!(compare_pixels(&wide, &high), Compared::SizesDiffer);
    }
}
