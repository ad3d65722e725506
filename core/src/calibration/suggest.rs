//! From the measured null to a margin δ and a drop τ. The formulas stand in docs/calibration.md.

use serde::Serialize;
use statrs::function::erf::erf_inv;

use super::null::Null;
use crate::metric::MetricInfo;
use crate::suite::TestId;

/// Fewer units than this say too little of a spread to build a margin on.
pub const MIN_UNITS: usize = 10;
/// How often a change that is nothing but the null shall pass.
pub const POWER: f64 = 0.9;
/// A verdict that may stop early needs more than one look at a fixed n does (docs/verdict.md).
pub const SEQUENTIAL: f64 = 1.3;
/// A margin is at least so many times the numerical null.
const NUMERICAL: f64 = 2.0;
/// A drop is at least so many times the largest loss that the null showed, …
const WORST: f64 = 1.25;
/// … and so many standard deviations.
const DEVIATIONS: f64 = 4.0;

/// κ of δ = κ·σ/√n, for a verdict at the error rate `alpha`.
pub fn kappa(alpha: f64) -> f64 {
    SEQUENTIAL * (z(1.0 - alpha) + z(POWER))
}

/// The quantile of the standard normal distribution.
fn z(p: f64) -> f64 {
    std::f64::consts::SQRT_2 * erf_inv(2.0 * p - 1.0)
}

/// What a margin or a drop was taken from, the largest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The spread that other seeds make.
    Seeds,
    /// The largest loss that other seeds made in one unit.
    WorstLoss,
    /// Another batch size, another device, the same again.
    Numerical,
    /// The least that the mean can move.
    Resolution,
    /// A drop is never below the margin.
    Margin,
}

impl Basis {
    pub fn words(self) -> &'static str {
        match self {
            Self::Seeds => "other seeds",
            Self::WorstLoss => "worst loss",
            Self::Numerical => "numerical null",
            Self::Resolution => "resolution",
            Self::Margin => "margin",
        }
    }
}

/// A margin and a drop, in the metric's own unit, each rounded up to two digits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// δ.
    pub margin: f64,
    pub margin_basis: Basis,
    /// τ.
    pub drop: f64,
    pub drop_basis: Basis,
    /// The test that asked for the largest margin.
    pub test: TestId,
    /// The units of that test, and the spread of its differences under other seeds.
    pub units: usize,
    pub sd: f64,
    /// The drop is as large as the whole range of the metric: no loss can exceed it, and the
    /// tail guard sees nothing.
    pub blind: bool,
}

/// Why there is no suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refused {
    #[error(
        "{most} {} too few to measure a spread; give a test that scores it at least {MIN_UNITS} prompts",
        if *most == 1 { "unit is" } else { "units are" }
    )]
    TooFew { most: usize },
    #[error(
        "every score is the same, whatever the seed: this says nothing about what a loss is; keep its margin, or give prompts that it can fail"
    )]
    Constant,
    #[error(
        "it compares an image with its reference, and its threshold decides: a verdict uses no margin of it"
    )]
    ComparesImages,
    #[error("it is one score of a whole set of images: there are no pairs to calibrate with")]
    ScoresSets,
    #[error("no image has a score of it in both runs")]
    NoScores,
}

/// The margin and the drop that hold for every test: the largest that one of them asks for.
///
/// `seeds` are the nulls under other seeds, `numerical` those under other batch sizes and devices,
/// of all variants together.
pub fn suggest(
    metric: &MetricInfo,
    seeds: &[Null],
    numerical: &[Null],
    alpha: f64,
) -> Result<Suggestion, Refused> {
    let most = seeds.iter().map(|null| null.units).max().ok_or(Refused::NoScores)?;
    let enough: Vec<&Null> = seeds.iter().filter(|null| null.units >= MIN_UNITS).collect();
    let spread = |null: &Null| kappa(alpha) * null.sd / (null.units as f64).sqrt();
    let Some(widest) =
        enough.iter().max_by(|a, b| spread(a).total_cmp(&spread(b)).then(b.units.cmp(&a.units)))
    else {
        return Err(Refused::TooFew { most });
    };
    let floor = numerical
        .iter()
        .filter(|null| null.units >= MIN_UNITS)
        .map(|null| NUMERICAL * null.mean.abs())
        .fold(0.0, f64::max);
    let Some(resolution) = enough.iter().filter_map(|null| null.resolution).max_by(f64::total_cmp)
    else {
        return Err(Refused::Constant);
    };
    let (margin, margin_basis) = largest([
        (spread(widest), Basis::Seeds),
        (floor, Basis::Numerical),
        (resolution, Basis::Resolution),
    ]);
    let margin = round_up(margin);
    let over = |of: fn(&Null) -> f64| enough.iter().map(|null| of(null)).fold(0.0, f64::max);
    let (drop, drop_basis) = largest([
        (DEVIATIONS * over(|null| null.sd), Basis::Seeds),
        (WORST * over(|null| null.worst_loss), Basis::WorstLoss),
        (margin, Basis::Margin),
    ]);
    let drop = round_up(drop);
    Ok(Suggestion {
        margin,
        margin_basis,
        drop,
        drop_basis,
        test: widest.test.clone(),
        units: widest.units,
        sd: widest.sd,
        blind: metric.range.is_some_and(|(low, high)| drop >= high - low),
    })
}

/// The first of the largest.
fn largest<const N: usize>(of: [(f64, Basis); N]) -> (f64, Basis) {
    let mut most = of[0];
    for one in of {
        if one.0 > most.0 {
            most = one;
        }
    }
    most
}

/// To two digits, never down: a margin that was rounded down would pass less often than promised.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 1 - value.log10().floor() as i32;
    // By way of the decimal text: 31 · 10⁻³ is not the nearest number to 0.031.
    let scaled = (value * 10_f64.powi(digits) * (1.0 - 1e-12)).ceil();
    format!("{scaled}e{}", -digits).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::metric;
    use proptest::prelude::*;

    fn null(units: usize, sd: f64, mean: f64, worst_loss: f64) -> Null {
        Null {
            test: TestId("t.py::t".into()),
            units,
            images: units,
            mean,
            sd,
            quantiles: [0.0; 5],
            worst_loss,
            resolution: Some(1e-6),
        }
    }

    fn clip() -> MetricInfo {
        metric::find("clip_score").unwrap()
    }

    #[test]
    fn kappa_is_that_of_the_page() {
        assert!((kappa(0.05) - 1.3 * (1.644_853_6 + 1.281_551_6)).abs() < 1e-6);
        assert!(kappa(0.01) > kappa(0.05));
    }

    #[test]
    fn the_margin_is_the_largest_of_what_asks_for_one() {
        let of = |seeds: &Null, numerical: &[Null]| {
            suggest(&clip(), std::slice::from_ref(seeds), numerical, 0.05).unwrap()
        };
        let seeds = of(&null(67, 0.058, 0.001, 0.1), &[]);
        // 3.8043 · 0.058 / √67 = 0.02696
        assert_eq!((seeds.margin, seeds.margin_basis), (0.027, Basis::Seeds));
        assert_eq!((seeds.drop, seeds.drop_basis), (0.24, Basis::Seeds));
        let worst = of(&null(67, 0.058, 0.0, 0.3), &[]);
        assert_eq!((worst.drop, worst.drop_basis), (0.38, Basis::WorstLoss));
        let numerical = of(&null(67, 0.058, 0.0, 0.1), &[null(67, 0.0, -0.05, 0.0)]);
        assert_eq!((numerical.margin, numerical.margin_basis), (0.1, Basis::Numerical));
        let still = of(&Null { resolution: Some(0.0075), ..null(67, 0.0, 0.0, 0.0) }, &[]);
        assert_eq!((still.margin, still.margin_basis), (0.0075, Basis::Resolution));
        assert_eq!((still.drop, still.drop_basis), (0.0075, Basis::Margin));
        assert!(!seeds.blind && of(&null(67, 0.5, 0.0, 1.0), &[]).blind);
    }

    #[test]
    fn too_little_is_refused_and_said() {
        let refused = |seeds: &[Null]| suggest(&clip(), seeds, &[], 0.05).unwrap_err().to_string();
        let few = refused(&[null(4, 0.1, 0.0, 0.1), null(9, 0.1, 0.0, 0.1)]);
        assert!(few.starts_with("9 units are too few") && few.contains("at least 10"), "{few}");
        assert!(refused(&[null(1, 0.0, 0.0, 0.0)]).starts_with("1 unit is"));
        let same = Null { resolution: None, ..null(20, 0.0, 0.0, 0.0) };
        assert!(refused(&[same]).contains("every score is the same"));
        assert!(refused(&[]).contains("no image has a score"));
    }

    #[test]
    fn a_margin_is_rounded_up_and_written_as_a_person_would() {
        for (value, rounded) in [
            (0.031_01, 0.032),
            (0.031, 0.031),
            (0.1, 0.1),
            (12.34, 13.0),
            (999.0, 1000.0),
            (0.0, 0.0),
        ] {
            assert_eq!(round_up(value), rounded, "{value}");
        }
    }

    proptest! {
        #[test]
        fn it_scales_with_the_metric_and_never_rounds_down(
            sd in 0.001..1.0f64, units in 10usize..400, mean in -0.1..0.1f64,
        ) {
            let at = |scale: f64| suggest(
                &MetricInfo { range: None, ..clip() },
                &[null(units, sd * scale, 0.0, sd * scale)],
                &[null(units, 0.0, mean * scale, 0.0)],
                0.05,
            ).unwrap();
            let (one, thousand) = (at(1.0), at(1000.0));
            prop_assert!((one.margin * 1000.0 / thousand.margin - 1.0).abs() < 0.11);
            prop_assert_eq!(one.margin_basis, thousand.margin_basis);
            let exact = (kappa(0.05) * sd / (units as f64).sqrt()).max(2.0 * mean.abs());
            prop_assert!(one.margin >= exact * (1.0 - 1e-9) && one.margin < exact * 1.11);
        }

        #[test]
        fn more_prompts_never_make_a_margin_larger(sd in 0.001..1.0f64, units in 10usize..400) {
            let at = |n: usize| suggest(&clip(), &[null(n, sd, 0.0, sd)], &[], 0.05).unwrap();
            prop_assert!(at(4 * units).margin <= at(units).margin);
            prop_assert_eq!(at(4 * units).drop, at(units).drop);
        }

        #[test]
        fn another_test_never_makes_a_margin_smaller(
            sds in prop::collection::vec(0.001..1.0f64, 1..6), more in 0.001..1.0f64,
        ) {
            let mut nulls: Vec<Null> = sds.iter().map(|sd| null(20, *sd, 0.0, *sd)).collect();
            let before = suggest(&clip(), &nulls, &[], 0.05).unwrap();
            nulls.push(null(30, more, 0.0, more));
            let after = suggest(&clip(), &nulls, &[], 0.05).unwrap();
            prop_assert!(after.margin >= before.margin && after.drop >= before.drop);
        }
    }
}
