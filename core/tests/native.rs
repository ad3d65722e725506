//! What holds of every native metric, and what each promises of pictures one can see through.
//! Whether the values are the reference implementations' is asked in `python/tests/native`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use difftest_core::metric::{self, Category, Direction};
use difftest_core::native::{self, NativeMetric};
use difftest_core::pixels::{PixelError, Rgb};
use proptest::prelude::*;

#[derive(Debug)]
struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn new(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let pixels = (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
        Self { pixels, width, height }
    }

    fn rgb(&self) -> Rgb<'_> {
        Rgb::new(&self.pixels, self.width, self.height).unwrap()
    }
}

fn score(name: &str, image: &Picture) -> f64 {
    native::score(name, &image.rgb(), None).unwrap()
}

fn compare(name: &str, image: &Picture, reference: &Picture) -> Result<f64, PixelError> {
    native::score(name, &image.rgb(), Some(&reference.rgb()))
}

/// White, with rectangles of a colour given by their left, top, width and height.
fn white_with(rectangles: &[[usize; 4]]) -> Picture {
    Picture::new(100, 80, |x, y| {
        let covers = |[left, top, width, height]: &[usize; 4]| {
            (*left..left + width).contains(&x) && (*top..top + height).contains(&y)
        };
        if rectangles.iter().any(covers) { [200, 40, 30] } else { [255; 3] }
    })
}

fn waves(width: usize, height: usize, phase: f64) -> Picture {
    Picture::new(width, height, |x, y| {
        let wave = |speed: f64| {
            let (x, y) = (x as f64 / 9.0, y as f64 / 7.0);
            (128.0 + 120.0 * (x * speed + phase).sin() * (y - phase).cos()) as u8
        };
        [wave(1.0), wave(1.3), wave(0.4)]
    })
}

#[test]
fn every_native_metric_is_in_the_table() {
    let native = native::all();
    let names: Vec<&str> = native.iter().map(|m| m.info.name.as_str()).collect();
    let table: Vec<String> = metric::builtin().into_iter().map(|m| m.name).collect();
    assert_eq!(names, table[..11], "native ones come first, in one order");
    assert!(native.iter().all(|m| Some(&m.info) == metric::find(&m.info.name).as_ref()));
    assert!(native::find("clip_score").is_none());
}

#[test]
fn the_table_is_sound() {
    let mut seen = std::collections::BTreeSet::new();
    for metric in metric::METRICS {
        assert!(seen.insert(metric.name), "{} stands twice", metric.name);
        assert!(metric.margin > 0.0, "{}", metric.name);
        assert!(metric.range.is_none_or(|(low, high)| low < high), "{}", metric.name);
        assert_eq!(metric.min_samples.is_some(), metric.category == Category::Batch);
        assert!(!metric.meaning.contains('\n') && !metric.source.is_empty(), "{}", metric.name);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_said() {
    let (a, b) = (waves(200, 180, 0.0), waves(180, 200, 0.0));
    for name in ["ssim", "ms_ssim", "psnr", "edge_similarity"] {
        let message = compare(name, &a, &b).unwrap_err().to_string();
        assert!(message.contains("200×180 and 180×200") && message.contains(name), "{message}");
    }
    let thin = waves(400, 10, 0.0);
    let message = compare("ssim", &thin, &thin).unwrap_err().to_string();
    assert!(message.contains("400×10") && message.contains("at least 11"), "{message}");
    let small = waves(175, 400, 0.0);
    let message = compare("ms_ssim", &small, &small).unwrap_err().to_string();
    assert!(message.contains("175×400") && message.contains("at least 176"), "{message}");
    assert_eq!(compare("ms_ssim", &a, &a).map(|v| v > 0.99), Ok(true));
    let message = native::score("psnr", &a.rgb(), None).unwrap_err().to_string();
    assert!(message.contains("psnr") && message.contains("reference image"), "{message}");
    let message = native::score("ms_sim", &a.rgb(), None).unwrap_err().to_string();
    assert!(message.contains("did you mean \"ms_ssim\""), "{message}");
    assert_eq!(
        Rgb::new(&[0; 10], 2, 2).unwrap_err().to_string(),
        "10 bytes are not 2×2 RGB pixels"
    );
    assert!(matches!(Rgb::new(&[], 0, 4), Err(PixelError::Empty { .. })));
    assert!(Rgb::new(&[], usize::MAX, usize::MAX).is_err());
}

#[test]
fn a_distance_of_colours_or_bits_needs_no_equal_sizes() {
    let small = waves(160, 150, 0.3);
    let large = Picture::new(320, 300, |x, y| {
        let at = (y / 2 * 160 + x / 2) * 3;
        [small.pixels[at], small.pixels[at + 1], small.pixels[at + 2]]
    });
    assert_eq!(compare("color_histogram", &large, &small), Ok(0.0));
    assert!(compare("phash", &large, &small).unwrap() <= 6.0);
}

#[test]
fn psnr_of_equal_images_is_the_cap() {
    let a = waves(300, 300, 0.0);
    assert_eq!(compare("psnr", &a, &a), Ok(native::PSNR_CAP));
    // One level in one sample of 270,000 would be 102 dB.
    let mut b = waves(300, 300, 0.0);
    b.pixels[77] ^= 1;
    assert_eq!(compare("psnr", &a, &b), Ok(native::PSNR_CAP));
    let (black, white) = (Picture::new(9, 9, |_, _| [0; 3]), Picture::new(9, 9, |_, _| [255; 3]));
    assert_eq!(compare("psnr", &black, &white), Ok(0.0));
}

#[test]
fn a_distance_sees_what_it_is_for() {
    let (red, blue) =
        (Picture::new(64, 64, |_, _| [220, 20, 20]), Picture::new(64, 64, |_, _| [20, 20, 220]));
    assert_eq!(compare("color_histogram", &red, &blue), Ok(1.0));
    let (left, right) = (white_with(&[[10, 20, 20, 20]]), white_with(&[[70, 40, 20, 20]]));
    assert!(compare("edge_similarity", &left, &right).unwrap() < 0.01);
    assert!(compare("color_histogram", &left, &right).unwrap() < 1e-6);
    assert!(compare("phash", &left, &right).unwrap() > 8.0);
    let flat = white_with(&[]);
    assert_eq!(compare("edge_similarity", &flat, &flat), Ok(1.0));
    assert_eq!(compare("edge_similarity", &flat, &left), Ok(0.0));
}

#[test]
fn sharpness_falls_with_blur() {
    let sharp = white_with(&[[20, 20, 30, 30]]);
    let soft = waves(100, 80, 0.2);
    assert!(score("sharpness", &sharp) > 20.0 * score("sharpness", &soft));
    assert_eq!(score("sharpness", &white_with(&[])), 0.0);
}

#[test]
fn centering_is_one_in_the_middle_and_falls_towards_a_corner() {
    assert_eq!(score("centering", &white_with(&[[40, 30, 20, 20]])), 1.0);
    let off = score("centering", &white_with(&[[60, 30, 20, 20]]));
    // 20 of 49.5 pixels to the right, of a corner's √2.
    assert!((off - (1.0 - 20.0 / 49.5 / 2_f64.sqrt())).abs() < 1e-12, "{off}");
    assert!(score("centering", &white_with(&[[2, 2, 10, 10]])) < 0.2);
    assert_eq!(score("centering", &white_with(&[])), 0.0);
}

#[test]
fn white_background_is_the_share_of_the_band_that_is_white() {
    assert_eq!(score("white_background", &white_with(&[[40, 30, 20, 20]])), 1.0);
    assert_eq!(score("white_background", &Picture::new(50, 50, |_, _| [239, 255, 255])), 0.0);
    let half = Picture::new(64, 64, |x, _| if x < 32 { [255; 3] } else { [90; 3] });
    assert_eq!(score("white_background", &half), 0.5);
}

#[test]
fn single_object_counts_pieces_by_their_size() {
    assert_eq!(score("single_object", &white_with(&[[10, 10, 20, 20]])), 1.0);
    assert_eq!(score("single_object", &white_with(&[[10, 10, 20, 20], [60, 40, 20, 20]])), 0.5);
    assert_eq!(
        score("single_object", &white_with(&[[10, 10, 20, 20], [60, 40, 20, 10]])),
        2.0 / 3.0
    );
    // They touch at a corner; and a speck of 4 of 8,000 pixels is none.
    assert_eq!(score("single_object", &white_with(&[[10, 10, 20, 20], [30, 30, 20, 20]])), 1.0);
    assert_eq!(score("single_object", &white_with(&[[10, 10, 20, 20], [70, 70, 2, 2]])), 1.0);
    assert_eq!(score("single_object", &white_with(&[])), 0.0);
}

#[test]
fn a_blank_image_is_one_of_one_colour() {
    assert_eq!(score("blank_image", &Picture::new(31, 7, |_, _| [17, 200, 3])), 0.0);
    let faint = Picture::new(64, 64, |x, _| [100 + (x % 2 * 4) as u8; 3]);
    assert_eq!(score("blank_image", &faint), 2.0 / 16.0);
    assert_eq!(score("blank_image", &waves(64, 64, 0.0)), 1.0);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (a, b) = (waves(331, 517, 0.1), waves(331, 517, 0.4));
    let scores = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let score = |m: NativeMetric| m.score(&a.rgb(), Some(&b.rgb())).unwrap().to_bits();
            native::all().into_iter().map(score).collect()
        })
    };
    let one = scores(1);
    for threads in [2, 3, 8] {
        assert_eq!(scores(threads), one, "{threads} threads");
    }
}

fn pair(sides: std::ops::Range<usize>) -> impl Strategy<Value = (Picture, Picture)> {
    (sides.clone(), sides, any::<u64>(), 0..3_u32).prop_map(|(width, height, seed, kind)| {
        let random = |salt: u64| {
            move |x: usize, y: usize| {
                let mixed = (seed ^ salt).wrapping_add((x * 7919 + y * 104_729) as u64);
                let mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
                [mixed as u8, (mixed >> 8) as u8, (mixed >> 16) as u8]
            }
        };
        let near = |x: usize, y: usize| random(1)(x, y).map(|v| v.saturating_add(3));
        let saturated = |x: usize, y: usize| random(2)(x, y).map(|v| if v > 128 { 255 } else { 0 });
        let first = Picture::new(width, height, random(1));
        let second = match kind {
            0 => Picture::new(width, height, random(2)),
            1 => Picture::new(width, height, near),
            _ => Picture::new(width, height, saturated),
        };
        (first, second)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scores_are_bounded_symmetric_and_best_for_equal_images((a, b) in pair(1..60)) {
        for metric in native::all() {
            let Ok(value) = metric.score(&a.rgb(), Some(&b.rgb())) else {
                prop_assert!(["ssim", "ms_ssim"].contains(&metric.info.name.as_str()));
                continue;
            };
            let name = &metric.info.name;
            prop_assert!(value.is_finite() && value >= -1.0, "{name}: {value}");
            if let Some((low, high)) = metric.info.range {
                prop_assert!((low..=high).contains(&value), "{name}: {value}");
            }
            if metric.info.category == Category::Reference {
                let back = metric.score(&b.rgb(), Some(&a.rgb())).unwrap();
                prop_assert_eq!(value.to_bits(), back.to_bits(), "{}: {} and {}", name, value, back);
                let (worst, best) = metric.info.range.unwrap();
                let best = match metric.info.direction {
                    Direction::HigherIsBetter => best,
                    Direction::LowerIsBetter => worst,
                };
                let same = metric.score(&a.rgb(), Some(&a.rgb())).unwrap();
                prop_assert!((same - best).abs() < 1e-12, "{name} of equal images: {same}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn ms_ssim_is_bounded_symmetric_and_one_for_equal_images((a, b) in pair(176..230)) {
        let value = compare("ms_ssim", &a, &b).unwrap();
        prop_assert!((0.0..=1.0).contains(&value));
        prop_assert_eq!(compare("ms_ssim", &b, &a), Ok(value));
        prop_assert_eq!(compare("ms_ssim", &a, &a), Ok(1.0));
    }
}
