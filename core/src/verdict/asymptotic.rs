//! An e-process for a mean whose scores have no known bounds: asymptotically a test martingale.
//!
//! Of a normal sum with known variance, the half-normal mixture over effects of one sign
//!
//! ```text
//! M = 2 / √(tρ²+1) · exp(z²ρ²t / (2(tρ²+1))) · Φ(zρ√t / √(tρ²+1)),   z = (mean − null)·√t / σ
//! ```
//!
//! is a nonnegative martingale of mean 1 (Robbins' method of mixtures), and with σ̂ for σ it is one
//! asymptotically (Waudby-Smith et al., arXiv 2103.06476). "Asymptotically" is worth little for 30
//! skewed values, so two things are added, both measured by simulation (`make bench-verdict`): no
//! evidence before [`MIN_UNITS`] units or from values that are all equal, and Hall's transformation
//! of z for skewness ("On the Removal of Skewness by Transformation", JRSS B 54, 1992), where it
//! speaks against the claim only.

use statrs::function::erf::erfc;

use super::moments::Moments;

/// The fewest independent units the asymptotics are trusted with.
pub const MIN_UNITS: u64 = 30;

/// Which claim about the mean is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It lies below the null: evidence against "at least".
    Below,
    /// It lies above the null: evidence against "at most".
    Above,
}

impl Claim {
    /// What a distance from the null is multiplied by to be positive on the claim's side.
    pub fn sign(self) -> f64 {
        match self {
            Self::Below => -1.0,
            Self::Above => 1.0,
        }
    }
}

/// ρ², which makes the process strongest at `units` (equation for ρ(t*) there, α one-sided).
pub fn rho_squared(alpha: f64, units: u64) -> f64 {
    let a = -2.0 * alpha.ln();
    (a + a.ln_1p()) / units.max(1) as f64
}

/// ln of the e-value for `claim` about the mean against `null`; 0, no evidence, for fewer than
/// [`MIN_UNITS`] values or a mean on the null's side.
pub fn ln_e(moments: &Moments, null: f64, claim: Claim, rho2: f64) -> f64 {
    let t = moments.count() as f64;
    if moments.count() < MIN_UNITS {
        return 0.0;
    }
    let sign = claim.sign();
    let distance = sign * (moments.mean() - null);
    if distance <= 0.0 {
        return 0.0;
    }
    let sd = moments.variance().sqrt();
    // Values that are all equal say nothing of how rare another one may be.
    if sd <= f64::EPSILON * moments.mean().abs() {
        return 0.0;
    }
    let z = corrected(distance * t.sqrt() / sd, -sign * moments.skewness(), t);
    let k = t * rho2 + 1.0;
    std::f64::consts::LN_2 - 0.5 * k.ln()
        + z * z * rho2 * t / (2.0 * k)
        + ln_phi(z * (rho2 * t / k).sqrt())
}

/// Hall's z, with `skewness` positive where the tail points away from the claim: a sample that
/// has not seen enough of that tail lies too far on the claim's side with too small a variance.
/// Rises with z, and never takes more than three quarters of it and the constant.
fn corrected(z: f64, skewness: f64, t: f64) -> f64 {
    let g = skewness.max(0.0);
    let u = g * z / (3.0 * t.sqrt());
    z * (1.0 - u + u * u / 3.0) - g / (6.0 * t.sqrt())
}

/// ln Φ(x), also where Φ(x) itself is too small for a float.
fn ln_phi(x: f64) -> f64 {
    if x > -30.0 {
        (0.5 * erfc(-x / std::f64::consts::SQRT_2)).ln()
    } else {
        // Mills' ratio, to first order.
        -0.5 * x * x - (-x).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    /// ∫ of the likelihood ratio over a half-normal prior of standard deviation ρ, by the
    /// trapezoidal rule: what the closed form is the value of.
    fn by_integration(z: f64, t: f64, rho2: f64) -> f64 {
        let rho = rho2.sqrt();
        let step = rho / 2000.0;
        let density = |mu: f64| {
            let prior =
                2.0 / (rho * (2.0 * std::f64::consts::PI).sqrt()) * (-mu * mu / (2.0 * rho2)).exp();
            prior * (mu * z * t.sqrt() - mu * mu * t / 2.0).exp()
        };
        (0..24_000)
            .map(|i| (density(i as f64 * step) + density((i + 1) as f64 * step)) / 2.0 * step)
            .sum()
    }

    /// Values of mean 0 and variance 1 without skewness, shifted.
    fn symmetric(n: usize, shift: f64) -> Moments {
        let scale = ((n - 1) as f64 / n as f64).sqrt();
        let values: Vec<f64> =
            (0..n).map(|i| shift + if i % 2 == 0 { scale } else { -scale }).collect();
        Moments::of(&values)
    }

    #[test]
    fn the_closed_form_is_the_mixture() {
        for (n, shift, rho2) in [(40, -0.3, 0.1), (100, -0.05, 0.02), (400, -0.5, 0.3)] {
            let moments = symmetric(n, shift);
            let z = -shift * (n as f64).sqrt() / moments.variance().sqrt();
            let (closed, integral) =
                (ln_e(&moments, 0.0, Claim::Below, rho2), by_integration(z, n as f64, rho2).ln());
            assert!((closed - integral).abs() < 1e-4, "{closed} {integral}");
        }
    }

    #[test]
    fn few_values_equal_values_and_the_wrong_side_are_no_evidence() {
        let few = symmetric(MIN_UNITS as usize - 2, -5.0);
        assert_eq!(ln_e(&few, 0.0, Claim::Below, 0.1), 0.0);
        assert_eq!(ln_e(&Moments::of(&[-0.1; 100]), 0.0, Claim::Below, 0.1), 0.0);
        assert_eq!(ln_e(&symmetric(100, 1.0), 0.0, Claim::Below, 0.1), 0.0);
        assert!(ln_e(&symmetric(100, 1.0), 0.0, Claim::Above, 0.1) > 10.0);
    }

    #[test]
    fn a_million_units_far_away_do_not_overflow() {
        let moments = symmetric(1_000_000, -1e3);
        let ln = ln_e(&moments, 0.0, Claim::Below, rho_squared(0.05, 100));
        assert!(ln.is_finite() && ln > 1e6, "{ln}");
        assert!(ln_phi(-1e4).is_finite() && ln_phi(1e4).abs() < 1e-12);
        assert!((ln_phi(-29.9) - ln_phi(-30.1)).abs() < 7.0);
    }

    proptest! {
        #[test]
        fn a_tail_away_from_the_claim_only_takes_evidence(
            values in prop::collection::vec(-1.0..1.0f64, 30..200), rho2 in 0.001..1.0f64,
        ) {
            let moments = Moments::of(&values);
            let t = values.len() as f64;
            let z = -moments.mean() * t.sqrt() / moments.variance().sqrt();
            prop_assume!(z > 0.0);
            prop_assert!(corrected(z, moments.skewness(), t) <= z + 1e-12);
            prop_assert!(corrected(z * 1.1, moments.skewness(), t) >= corrected(z, moments.skewness(), t) - 1e-12);
            let mirrored: Vec<f64> = values.iter().map(|v| -v).collect();
            let (a, b) = (
                ln_e(&moments, 0.0, Claim::Below, rho2),
                ln_e(&Moments::of(&mirrored), 0.0, Claim::Above, rho2),
            );
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()));
        }
    }
}
