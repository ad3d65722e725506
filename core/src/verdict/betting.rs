//! An e-process for the mean of bounded values: a test martingale at every sample size, whatever
//! the distribution (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
//! betting", arXiv 2010.09686).

use super::asymptotic::Claim;

/// Shares of the largest bet that cannot lose everything.
const SHARES: [f64; 9] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99];
/// How the bettor starts. Equally, it loses at most ln 9 against the best share in hindsight.
const EQUAL: [f64; SHARES.len()] = [1.0 / 9.0; SHARES.len()];
/// Where the claim is that nothing much happened, nearly everything is on the largest bet: what
/// it is there for are units that hardly differ, as scores do that are at the end of their range.
const CAUTIOUS: [f64; SHARES.len()] =
    [0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.9];

/// The wealth of a bettor who starts with 1 and stakes each unit against the null.
///
/// For the claim "the mean lies above m" of values in [−b, b]:
/// E = Σ w_q Π (1 + q·(xᵢ − m)/(b + m)), which is nonnegative and, where the mean is at most m,
/// has an expectation of at most 1. The weights w are equal, or nearly all on the largest bet where
/// the claim is "not much has happened" ([`is_cautious`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Betting {
    claim: Claim,
    null: f64,
    bound: f64,
    wealth: [Wealth; SHARES.len()],
}

/// Whether "above" a null below 0, or "below" one above it: the claim that a change, if there is
/// one, is small.
pub fn is_cautious(claim: Claim, null: f64) -> bool {
    claim.sign() * null < 0.0
}

/// A product of many factors: of the latest as it is, of those before as a logarithm. One that is
/// taken for every factor would be most of an update's time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wealth {
    latest: f64,
    ln_before: f64,
}

impl Wealth {
    const START: Self = Self { latest: 1.0, ln_before: 0.0 };

    /// By a factor between 0.01 and 2.
    fn multiply(&mut self, factor: f64) {
        self.latest *= factor;
        if !(1e-100..=1e100).contains(&self.latest) {
            self.ln_before += self.latest.ln();
            self.latest = 1.0;
        }
    }

    fn ln(self) -> f64 {
        self.ln_before + self.latest.ln()
    }
}

/// A value outside of the bounds it was promised in: the wealth would mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "the difference {value} does not lie between −{bound} and {bound}, as the metric's range says"
)]
pub struct OutOfBounds {
    pub value: f64,
    pub bound: f64,
}

impl Betting {
    /// `bound` is the largest absolute value; the null must lie strictly inside of it.
    pub fn new(claim: Claim, null: f64, bound: f64) -> Option<Self> {
        let possible = bound.is_finite() && bound > 0.0 && null.abs() < bound;
        possible.then_some(Self { claim, null, bound, wealth: [Wealth::START; SHARES.len()] })
    }

    pub fn push(&mut self, value: f64) -> Result<(), OutOfBounds> {
        // A rounding error past the end of the range is no broken promise.
        if value.is_nan() || value.abs() > self.bound * (1.0 + 1e-9) {
            return Err(OutOfBounds { value, bound: self.bound });
        }
        let sign = self.claim.sign();
        let gain = sign * (value - self.null) / (self.bound + sign * self.null);
        for (wealth, share) in self.wealth.iter_mut().zip(SHARES) {
            wealth.multiply(1.0 + share * gain.max(-1.0));
        }
        Ok(())
    }

    /// ln of the wealth, which is the e-value.
    pub fn ln_e(&self) -> f64 {
        let weights = if is_cautious(self.claim, self.null) { CAUTIOUS } else { EQUAL };
        mixture(&self.wealth, weights)
    }

    /// ln of the wealth of the share that did best: what grows in proportion to the units.
    pub fn ln_best(&self) -> f64 {
        self.wealth.iter().map(|wealth| wealth.ln()).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// ln of what [`Betting`] against another null would have made of `values`, which lie in
/// [−bound, bound]. It never falls as the null moves to the claim's other side, but for a step at 0,
/// where the weights change. None where the
/// null does not lie strictly inside of the bounds.
pub fn ln_e(claim: Claim, null: f64, bound: f64, values: &[f64]) -> Option<f64> {
    let mut betting = Betting::new(claim, null, bound)?;
    let sign = claim.sign();
    let scale = sign / (bound + sign * null);
    for (wealth, share) in betting.wealth.iter_mut().zip(SHARES) {
        for value in values {
            wealth.multiply(1.0 + share * (scale * (value - null)).max(-1.0));
        }
    }
    Some(betting.ln_e())
}

fn mixture(wealth: &[Wealth; SHARES.len()], weights: [f64; SHARES.len()]) -> f64 {
    let most = wealth.iter().map(|w| w.ln_before).fold(f64::NEG_INFINITY, f64::max);
    let each = wealth.iter().zip(weights);
    let sum: f64 = each.map(|(w, weight)| weight * w.latest * (w.ln_before - most).exp()).sum();
    most + sum.ln()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    /// The formula as it is written, without logarithms.
    fn by_hand(values: &[f64], null: f64, bound: f64) -> f64 {
        let weights = if null < 0.0 { CAUTIOUS } else { EQUAL };
        let bet =
            |q: f64| values.iter().map(|x| 1.0 + q * (x - null) / (bound + null)).product::<f64>();
        SHARES.into_iter().zip(weights).map(|(q, weight)| weight * bet(q)).sum()
    }

    fn of(claim: Claim, values: &[f64], null: f64, bound: f64) -> Betting {
        let mut betting = Betting::new(claim, null, bound).unwrap();
        for value in values {
            betting.push(*value).unwrap();
        }
        betting
    }

    #[test]
    fn a_null_on_the_bound_or_a_value_beyond_it_is_refused() {
        assert!(Betting::new(Claim::Above, 1.0, 1.0).is_none());
        assert!(Betting::new(Claim::Above, 0.0, f64::NAN).is_none());
        let mut betting = Betting::new(Claim::Above, -0.02, 1.0).unwrap();
        assert!(betting.push(1.1).unwrap_err().to_string().contains("1.1"));
        assert!(betting.push(f64::NAN).is_err());
        assert_eq!(betting.ln_e(), 0.0, "and changes nothing");
    }

    #[test]
    fn a_million_losses_do_not_underflow_nor_as_many_gains_overflow() {
        let mut losing = Betting::new(Claim::Above, 0.0, 1.0).unwrap();
        let mut winning = losing.clone();
        for _ in 0..1_000_000 {
            losing.push(-1.0).unwrap();
            winning.push(1.0).unwrap();
        }
        assert!(losing.ln_e().is_finite() && losing.ln_e() < -1e4, "{}", losing.ln_e());
        assert!(winning.ln_e().is_finite() && winning.ln_e() > 1e5);
    }

    proptest! {
        #[test]
        fn it_is_the_formula_in_any_order_and_mirrored(
            values in prop::collection::vec(-1.0..1.0f64, 1..60),
            null in -0.5..0.5f64, rotate in 0usize..60,
        ) {
            let forward = of(Claim::Above, &values, null, 1.0);
            let expected = by_hand(&values, null, 1.0);
            prop_assert!((forward.ln_e() - expected.ln()).abs() < 1e-9);
            let mut rotated = values.clone();
            rotated.rotate_left(rotate % values.len());
            prop_assert!((of(Claim::Above, &rotated, null, 1.0).ln_e() - forward.ln_e()).abs() < 1e-9);
            let mirrored: Vec<f64> = values.iter().map(|v| -v).collect();
            let below = of(Claim::Below, &mirrored, -null, 1.0);
            prop_assert!((below.ln_e() - forward.ln_e()).abs() < 1e-9);
            let again = ln_e(Claim::Above, null, 1.0, &values).unwrap();
            prop_assert!((again - forward.ln_e()).abs() < 1e-9);
            prop_assume!(is_cautious(Claim::Above, null) == is_cautious(Claim::Above, null - 0.1));
            prop_assert!(ln_e(Claim::Above, null - 0.1, 1.0, &values).unwrap() >= again);
        }
    }
}
