//! The one table of the metrics that come with difftest. The engine, the editor's completion and
//! Python's classes all read their facts from here.

use serde::Serialize;

use super::{Category, Direction};
use Category::{Batch, PerSample, Reference};
use Direction::{HigherIsBetter, LowerIsBetter};

/// A metric that comes with difftest, and what a person asks about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Builtin {
    pub name: &'static str,
    pub direction: Direction,
    pub category: Category,
    /// The smallest and largest possible score; none where one of them does not exist.
    pub range: Option<(f64, f64)>,
    /// The loss, in the metric's own unit, that a reviewer would still accept.
    pub margin: f64,
    /// Fewer images than this have no score that means anything. Only for category `Batch`.
    pub min_samples: Option<u32>,
    /// One line: what the score is.
    pub meaning: &'static str,
    /// The paper or the implementation that defines it.
    pub source: &'static str,
}

const fn metric(
    name: &'static str,
    (direction, category): (Direction, Category),
    range: Option<(f64, f64)>,
    margin: f64,
    meaning: &'static str,
    source: &'static str,
) -> Builtin {
    Builtin { name, direction, category, range, margin, min_samples: None, meaning, source }
}

const UNIT: Option<(f64, f64)> = Some((0.0, 1.0));

/// Native ones first, then those that Python computes.
pub static METRICS: &[Builtin] = &[
    metric(
        "ssim",
        (HigherIsBetter, Reference),
        Some((-1.0, 1.0)),
        0.02,
        "structural similarity to the reference; 1 for equal images",
        "Wang et al. 2004, doi:10.1109/TIP.2003.819861; scikit-image's gaussian SSIM",
    ),
    metric(
        "ms_ssim",
        (HigherIsBetter, Reference),
        UNIT,
        0.02,
        "structural similarity to the reference over five scales; 1 for equal images",
        "Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216; torchmetrics' multiscale SSIM",
    ),
    metric(
        "psnr",
        (HigherIsBetter, Reference),
        Some((0.0, crate::native::PSNR_CAP)),
        0.5,
        "peak signal-to-noise ratio to the reference in dB, capped at 100",
        "10·log10(255² / mean squared error); scikit-image's peak_signal_noise_ratio",
    ),
    metric(
        "phash",
        (LowerIsBetter, Reference),
        Some((0.0, 64.0)),
        2.0,
        "bits of 64 in which the perceptual hashes of image and reference differ",
        "the DCT hash of pHash (Zauner 2010) as imagehash.phash computes it",
    ),
    metric(
        "color_histogram",
        (LowerIsBetter, Reference),
        UNIT,
        0.05,
        "distance of the colour distributions of image and reference; 0 for equal ones",
        "Hellinger distance of 8×8×8 RGB histograms; OpenCV's HISTCMP_BHATTACHARYYA",
    ),
    metric(
        "edge_similarity",
        (HigherIsBetter, Reference),
        UNIT,
        0.02,
        "how well the edges of image and reference coincide; 1 where they are equal",
        "cosine of the Sobel gradient magnitudes of the luma (Sobel and Feldman 1968)",
    ),
    metric(
        "sharpness",
        (HigherIsBetter, PerSample),
        None,
        10.0,
        "variance of the Laplacian of the luma; blur lowers it, noise raises it; no upper end",
        "Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548; cv2.Laplacian(luma).var()",
    ),
    metric(
        "centering",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "how near the middle the foreground's centre of mass is; 1 in the middle, 0 if there is \
         none",
        "difftest: 1 − distance to the middle / distance of a corner to the middle",
    ),
    metric(
        "white_background",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "share of the image's outer band that is white",
        "difftest: every channel at least 240, in a band of a sixteenth of the shorter side",
    ),
    metric(
        "single_object",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "share of the foreground that is one connected piece; 0 if there is none",
        "difftest: largest 8-connected component / all of at least a thousandth of the image",
    ),
    metric(
        "blank_image",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "0 for an image of one colour, 1 for one with content",
        "difftest: standard deviation of the liveliest channel / 16 levels, at most 1",
    ),
    metric(
        "clip_score",
        (HigherIsBetter, PerSample),
        UNIT,
        0.02,
        "cosine of CLIP's image and prompt features, 0 where it is negative",
        "CLIPScore without its factor, Hessel et al. 2021, arXiv 2104.08718",
    ),
    metric(
        "image_reward",
        (HigherIsBetter, PerSample),
        None,
        0.05,
        "people's preference for the image given its prompt, standardised: 0 is average",
        "ImageReward, Xu et al. 2023, arXiv 2304.05977",
    ),
    metric(
        "aesthetic_score",
        (HigherIsBetter, PerSample),
        None,
        0.1,
        "predicted rating of the image's looks, nominally 1 to 10, unbounded",
        "LAION's improved aesthetic predictor: five-layer head on CLIP ViT-L/14",
    ),
    metric(
        "pick_score",
        (HigherIsBetter, PerSample),
        None,
        0.2,
        "people's preference for the image given its prompt: the model's scaled cosine, about 20",
        "PickScore v1, Kirstain et al. 2023, arXiv 2305.01569: logit scale (100) × cosine",
    ),
    metric(
        "geneval",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "1 where a detector finds the prompt's objects, counts, colours and positions, else 0",
        "GenEval, Ghosh et al. 2023, arXiv 2310.11513",
    ),
    metric(
        "shapes_oracle",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "share of the five facts of a shapes prompt that the image shows; 0 where it shows no figure",
        "difftest: overlap with rendered templates and their colours",
    ),
    metric(
        "vlm_judge",
        (HigherIsBetter, PerSample),
        UNIT,
        0.05,
        "a vision language model's judgement of image and prompt",
        "difftest: the agents' layer",
    ),
    metric(
        "lpips",
        (LowerIsBetter, Reference),
        None,
        0.02,
        "learned perceptual distance to the reference; 0 for equal images, no upper end, mostly < 1",
        "Zhang et al. 2018, arXiv 1801.03924",
    ),
    metric(
        "dreamsim",
        (LowerIsBetter, Reference),
        // One minus a cosine.
        Some((0.0, 2.0)),
        0.02,
        "learned perceptual distance to the reference in layout and content; 0 for equal images",
        "Fu et al. 2023, arXiv 2306.09344",
    ),
    Builtin {
        min_samples: Some(50),
        ..metric(
            "fid",
            (LowerIsBetter, Batch),
            None,
            1.0,
            "Fréchet distance of Inception features between the images and the reference set; no \
             upper end, biased upwards at few images",
            "Heusel et al. 2017, arXiv 1706.08500; resizing of clean-fid, arXiv 2104.11222",
        )
    },
    Builtin {
        min_samples: Some(50),
        ..metric(
            "kid",
            (LowerIsBetter, Batch),
            None,
            0.001,
            "kernel distance of Inception features between the images and the reference set; \
             unbiased, may fall below 0, no upper end",
            "Bińkowski et al. 2018, arXiv 1801.01401",
        )
    },
];
