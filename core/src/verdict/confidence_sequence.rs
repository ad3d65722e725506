//! The asymptotic confidence sequence of a mean (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
//! "Time-uniform central limit theory and asymptotic confidence sequences", arXiv 2103.06476).
//!
//! Unlike a fixed-n interval it holds at every sample size at once, so that looking early, or
//! again after more images, costs nothing of the error rate.

use super::asymptotic::rho_squared;

/// The fewest independent units the asymptotics are trusted with.
pub const MIN_UNITS: usize = 10;

/// The interval of a mean and the sample it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub mean: f64,
    pub lower: f64,
    pub upper: f64,
    pub units: usize,
}

/// One-sided bounds at level `alpha` each on the mean of `values`, tuned for `planned` units:
/// mean ± σ̂·√(2(tρ²+1)/(t²ρ²)·ln(1 + √(tρ²+1)/(2α))).
///
/// None for fewer than [`MIN_UNITS`] values, or where a value is not finite.
pub fn interval(values: &[f64], planned: usize, alpha: f64) -> Option<Interval> {
    if values.len() < MIN_UNITS || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let t = values.len() as f64;
    let mean = values.iter().sum::<f64>() / t;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (t - 1.0);
    let rho2 = rho_squared(alpha, planned.max(values.len()) as u64);
    let k = t * rho2 + 1.0;
    let half = (variance * 2.0 * k / (t * t * rho2) * (k.sqrt() / (2.0 * alpha)).ln_1p()).sqrt();
    Some(Interval { mean, lower: mean - half, upper: mean + half, units: values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const REPLICATIONS: usize = 4_000;

    /// How often a sequence that is looked at after every unit from [`MIN_UNITS`] on ever puts the
    /// true mean, zero, above its upper bound.
    fn false_alarms(seed: u64, mut draw: impl FnMut(&mut StdRng) -> f64) -> f64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let alarms = (0..REPLICATIONS)
            .filter(|_| {
                let values: Vec<f64> = (0..60).map(|_| draw(&mut rng)).collect();
                (MIN_UNITS..=values.len())
                    .any(|t| interval(&values[..t], 60, 0.05).is_some_and(|i| i.upper < 0.0))
            })
            .count();
        alarms as f64 / REPLICATIONS as f64
    }

    #[test]
    fn peeking_after_every_unit_keeps_the_error_rate() {
        let normal = |rng: &mut StdRng| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let uniform = |rng: &mut StdRng| rng.random::<f64>() - 0.5;
        let skewed = |rng: &mut StdRng| 1.0 + rng.random::<f64>().ln();
        // Three standard errors of a rate of 5% over 4,000 replications are 1.03%.
        for (name, rate) in [
            ("normal", false_alarms(1, normal)),
            ("uniform", false_alarms(2, uniform)),
            ("left-skewed", false_alarms(3, skewed)),
        ] {
            assert!(rate <= 0.05 + 0.0103, "{name}: {rate}");
        }
    }

    #[test]
    fn it_matches_the_formula_worked_by_hand() {
        // t = 10, mean 0.5, s² = 2.5/9, α = 0.05: a = 5.991465, ρ² = (a + ln(a + 1))/10 = 0.793623.
        let values = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let found = interval(&values, 10, 0.05).unwrap();
        let (rho2, variance, t) = (0.793_623_f64, 2.5 / 9.0, 10.0_f64);
        let k = t * rho2 + 1.0;
        let half = (variance * 2.0 * k / (t * t * rho2) * (1.0 + k.sqrt() / 0.1).ln()).sqrt();
        assert!((found.upper - (0.5 + half)).abs() < 1e-6, "{found:?} {half}");
        assert!((found.lower - (0.5 - half)).abs() < 1e-6);
    }

    #[test]
    fn too_few_units_or_a_broken_score_give_no_interval() {
        assert_eq!(interval(&[1.0; MIN_UNITS - 1], 10, 0.05), None);
        assert_eq!(interval(&[f64::NAN; 20], 20, 0.05), None);
    }
}
