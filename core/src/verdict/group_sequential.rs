//! A group-sequential test: a few looks on the way to a known maximum of units.
//!
//! Where the maximum is known and looks are few, it needs fewer units than an e-process: at each
//! look z is compared with a boundary that spends a part of α, very little at first (O'Brien and
//! Fleming, Biometrics 35, 1979), at looks that need not be planned (Lan and DeMets, Biometrika 70,
//! 1983). What it cannot do: go on beyond the maximum, or stop for another reason and still count
//! as an e-value for e-BH. Theory and tables: Jennison and Turnbull, "Group Sequential Methods with
//! Applications to Clinical Trials", 2000, chapters 7, 9 and 19.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::{erfc, erfc_inv};

use super::asymptotic::{Claim, corrected};
use super::moments::Moments;

/// The part of α that [`decide`] spends. The rest is kept back for what the normal approximation
/// misses at some tens of skewed or drifting values, as measured by `make bench-verdict`.
pub const SPENDABLE: f64 = 0.8;

/// What is spent of `alpha` by information fraction `t` of (0, 1]: 2(1 − Φ(z_{1−α/2}/√t)), the
/// one-sided function of O'Brien–Fleming type.
pub fn spent(t: f64, alpha: f64) -> f64 {
    2.0 * beyond(upper_quantile(alpha / 2.0) / t.sqrt())
}

/// The boundary of z at each of the looks at `fractions` of the planned information, increasing and
/// in (0, 1], for a one-sided test at level `alpha` in (0, 1). Infinite where there is too little
/// to spend. None where the fractions or the level are not such.
///
/// By the recursion of Armitage, McPherson and Rowe (JRSS A 132, 1969): the density of the score
/// z√t over the paths that have crossed no boundary yet, integrated numerically from look to look.
pub fn boundaries(fractions: &[f64], alpha: f64) -> Option<Vec<f64>> {
    let start = std::iter::once(&0.0);
    let increasing = start.chain(fractions).zip(fractions).all(|(before, t)| before < t);
    if !increasing || fractions.iter().any(|t| *t > 1.0) || !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let mut out = Vec::with_capacity(fractions.len());
    let mut paths = Paths::start();
    for (index, t) in fractions.iter().enumerate() {
        let before = index.checked_sub(1).map_or(0.0, |i| fractions[i]);
        let spend = spent(*t, alpha) - if index == 0 { 0.0 } else { spent(before, alpha) };
        let sd = (t - before).sqrt();
        let score = paths.boundary(spend, sd, 40.0 * t.sqrt());
        out.push(score / t.sqrt());
        if let Some(next) = fractions.get(index + 1) {
            paths = paths.advance(sd, t.sqrt(), score, (next - t).sqrt());
        }
    }
    Some(out)
}

/// What is left of a Brownian motion below the boundaries: points of the score with the mass at
/// each, weights of Simpson's rule included.
struct Paths {
    points: Vec<(f64, f64)>,
}

/// As many standard deviations below zero hold all mass that counts.
const REACH: f64 = 8.0;

impl Paths {
    fn start() -> Self {
        Self { points: vec![(0.0, 1.0)] }
    }

    /// The chance to lie at `score` or above after a step of standard deviation `sd`.
    fn crossing(&self, score: f64, sd: f64) -> f64 {
        self.points.iter().map(|(at, mass)| mass * beyond((score - at) / sd)).sum()
    }

    /// The score that is crossed with the chance `spend`.
    fn boundary(&self, spend: f64, sd: f64, highest: f64) -> f64 {
        if spend <= self.crossing(highest, sd) {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (-highest, highest);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if self.crossing(middle, sd) > spend { low = middle } else { high = middle }
        }
        high
    }

    /// After a step of `sd`, the paths below `score`; `total` is the standard deviation of all
    /// steps so far, and points lie near enough for a next step of `next`.
    fn advance(&self, sd: f64, total: f64, score: f64, next: f64) -> Self {
        let (low, high) = (-REACH * total, score.min(REACH * total));
        let wanted = (high - low) / (next.min(sd) / 6.0);
        let halves = (wanted / 2.0).ceil().clamp(100.0, 2000.0) as usize;
        let step = (high - low) / (2 * halves) as f64;
        let norm = 1.0 / (sd * (2.0 * std::f64::consts::PI).sqrt());
        let points = (0..=2 * halves).map(|i| {
            let at = low + i as f64 * step;
            let density: f64 = self
                .points
                .iter()
                .map(|(from, mass)| mass * norm * (-0.5 * ((at - from) / sd).powi(2)).exp())
                .sum();
            let simpson = match i {
                _ if i == 0 || i == 2 * halves => 1.0,
                _ if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            (at, density * simpson * step / 3.0)
        });
        Self { points: points.collect() }
    }
}

/// How a claim about the mean stands at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// See [`z`].
    pub z: f64,
    pub boundary: f64,
    pub crossed: bool,
    /// The end of the repeated confidence interval on the claim's side of the mean: the null is
    /// beyond it just where the boundary is crossed. Infinite where the boundary is.
    pub bound: f64,
}

/// The t statistic for `claim` against `null`, at the z of equal significance, positive on the
/// claim's side; where the sample's tail points away from the claim, less Hall's correction for
/// skewness, as in [`super::asymptotic`]. None for fewer than two units, or equal ones.
pub fn z(moments: &Moments, null: f64, claim: Claim) -> Option<f64> {
    let student = student(moments)?;
    let t = claim.sign() * (moments.mean() - null) / standard_error(moments);
    let t = corrected(t, -claim.sign() * moments.skewness(), moments.count() as f64);
    Some(if t > 0.0 { upper_quantile(student.sf(t)) } else { -upper_quantile(student.sf(-t)) })
}

/// The look at `moments` for `claim` against `null`, with `boundary` from [`boundaries`].
/// None as for [`z`].
pub fn look(moments: &Moments, null: f64, claim: Claim, boundary: f64) -> Option<Look> {
    let z_of_null = z(moments, null, claim)?;
    // z never falls as the null moves away from the mean, so that the null with z at the boundary
    // is found by bisection, in standard errors: quantile functions end before tails of 10⁻⁷.
    let end = |errors: f64| moments.mean() - claim.sign() * errors * standard_error(moments);
    let (mut low, mut high) = (0.0, 1e6);
    let reached = |errors: f64| z(moments, end(errors), claim).is_some_and(|z| z > boundary);
    if reached(high) {
        for _ in 0..80 {
            let middle = f64::midpoint(low, high);
            if reached(middle) { high = middle } else { low = middle }
        }
    } else {
        high = f64::INFINITY;
    }
    Some(Look { z: z_of_null, boundary, crossed: z_of_null > boundary, bound: end(high) })
}

fn standard_error(moments: &Moments) -> f64 {
    (moments.variance() / moments.count() as f64).sqrt()
}

fn student(moments: &Moments) -> Option<StudentsT> {
    let varies = standard_error(moments) > f64::EPSILON * moments.mean().abs();
    let df = moments.count().checked_sub(1).filter(|df| *df > 0 && varies)?;
    StudentsT::new(0.0, 1.0, df as f64).ok()
}

/// [`look`] where looks were taken at `looks` units, the last of them now, on the way to `planned`.
/// At the planned number [`SPENDABLE`] of α is spent. None also where `looks` do not increase up to
/// `planned`.
pub fn decide(
    moments: &Moments,
    null: f64,
    claim: Claim,
    planned: u64,
    looks: &[u64],
    alpha: f64,
) -> Option<Look> {
    let fractions: Vec<f64> = looks.iter().map(|n| *n as f64 / planned as f64).collect();
    let boundary = *boundaries(&fractions, SPENDABLE * alpha)?.last()?;
    look(moments, null, claim, boundary)
}

/// P(Z ≥ z) of a standard normal.
fn beyond(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// The z with P(Z ≥ z) = p.
fn upper_quantile(p: f64) -> f64 {
    std::f64::consts::SQRT_2 * erfc_inv(2.0 * p)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::verdict::resample::SplitMix64;
    use proptest::prelude::*;

    fn near(found: &[f64], published: &[f64], tolerance: f64) {
        assert_eq!(found.len(), published.len());
        for (a, b) in found.iter().zip(published) {
            assert!((a - b).abs() < tolerance, "{found:?} {published:?}");
        }
    }

    #[test]
    fn the_boundaries_are_the_published_ones() {
        let equal = |looks: u32, alpha: f64| {
            let fractions: Vec<f64> =
                (1..=looks).map(|k| f64::from(k) / f64::from(looks)).collect();
            boundaries(&fractions, alpha).unwrap()
        };
        near(&equal(5, 0.025), &[4.877, 3.357, 2.680, 2.290, 2.031], 6e-4);
        near(&equal(2, 0.025), &[2.963, 1.969], 6e-4);
        near(&equal(3, 0.025), &[3.710, 2.511, 1.993], 6e-4);
        near(&equal(4, 0.025), &[4.333, 2.963, 2.359, 2.014], 6e-4);
        near(&equal(1, 0.05), &[1.6449], 1e-4);
    }

    #[test]
    fn what_is_no_plan_has_no_boundaries() {
        for fractions in [vec![0.5, 0.5], vec![0.0, 1.0], vec![0.5, 1.1], vec![0.5, f64::NAN]] {
            assert_eq!(boundaries(&fractions, 0.05), None, "{fractions:?}");
        }
        assert_eq!(boundaries(&[1.0], 0.0), None);
        assert_eq!(boundaries(&[], 0.05), Some(vec![]));
        let early = boundaries(&[1e-4, 0.5, 1.0], 0.05).unwrap();
        assert!(early[0].is_infinite() && early[1].is_finite(), "{early:?}");
    }

    #[test]
    fn growing_looks_keep_the_error_rate() {
        let looks = [8_u64, 12, 18, 27, 40, 60, 90, 135, 200];
        let fractions: Vec<f64> = looks.iter().map(|n| *n as f64 / 200.0).collect();
        let boundaries = boundaries(&fractions, 0.05).unwrap();
        let mut random = SplitMix64::new(7);
        let mut uniform = || (random.next_u64() >> 11) as f64 / 2_f64.powi(53);
        let replications = 20_000;
        let alarms = (0..replications)
            .filter(|_| {
                let mut moments = Moments::default();
                (1..=200).any(|n| {
                    // A sum of 12 uniforms is normal as far as these tails go.
                    moments.push((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
                    looks.iter().position(|at| *at == n).is_some_and(|at| {
                        z(&moments, 0.0, Claim::Below).is_some_and(|z| z > boundaries[at])
                    })
                })
            })
            .count();
        let rate = alarms as f64 / f64::from(replications);
        // Three standard errors are 0.46%; nearly all of α is spent.
        assert!((0.045..0.05 + 0.0046).contains(&rate), "{rate}");
    }

    #[test]
    fn a_look_is_a_t_test_at_its_only_boundary() {
        let values: Vec<f64> = (0..20).map(|i| 0.3 + f64::from(1 - 2 * (i % 2))).collect();
        let moments = Moments::of(&values);
        let alone = decide(&moments, 0.0, Claim::Above, 20, &[20], 0.05).unwrap();
        assert!((alone.boundary - 1.7507).abs() < 1e-4, "4% are spent");
        let plain = look(&moments, 0.0, Claim::Above, 1.644_854).unwrap();
        // s² = 20/19, error = √(1/19); t₁₉ at 5% is 1.7291.
        let error = (1.0_f64 / 19.0).sqrt();
        assert!((plain.bound - (0.3 - 1.7291 * error)).abs() < 1e-4, "{plain:?}");
        assert!(!plain.crossed && plain.z < plain.boundary);
        let below = decide(&moments, 1.0, Claim::Below, 20, &[20], 0.05).unwrap();
        assert!(below.crossed && below.z > below.boundary && below.bound < 1.0);
        assert_eq!(look(&Moments::of(&[1.0; 9]), 0.0, Claim::Above, 1.0), None);
    }

    proptest! {
        #[test]
        fn crossing_is_z_beyond_the_boundary_and_the_bound_beyond_the_null(
            values in prop::collection::vec(-1.0..1.0f64, 2..60), null in -1.0..1.0f64,
            boundary in 0.5..6.0f64,
        ) {
            let moments = Moments::of(&values);
            for claim in [Claim::Below, Claim::Above] {
                let look = look(&moments, null, claim, boundary).unwrap();
                let beyond = claim.sign() * (look.bound - null) > 0.0;
                prop_assert!(look.crossed == beyond || (look.z - boundary).abs() < 1e-6);
            }
        }
    }
}
