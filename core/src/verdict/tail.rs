//! The tail guard: a good mean must not hide that a few images are ruined.
//!
//! The claim is P(D < −τ) < p₀. Against "at least p₀" the bettor stakes on no disaster:
//! Π (1 + λ(p₀ − 1{Dᵢ < −τ})) with λ up to 1/(1 − p₀), a test martingale for a Bernoulli
//! probability. Without a single disaster the largest bet gives (1 − p₀)⁻ⁿ, which passes 1/α = 20
//! after 59, 99 or 150 units for p₀ = 5, 3 or 2%: the classical "rule of three". A unit is ruined
//! where any image of it is.
//!
//! The opposite claim, that units are ruined, is not P(D < −τ) > p₀ alone: where a change draws
//! other images that are as good, some lose much and as many gain it. Against
//! P(D < −τ) − P(D > τ) ≤ p₀ the bettor stakes on X = 1 for a unit that loses more than τ, −1 for
//! one that gains it and 0 for the others, as for any bounded mean (arXiv 2010.09686).

/// Shares of the largest bet. The largest itself is lost to one disaster; the others go on.
const SHARES: [f64; 4] = [1.0, 0.9, 0.7, 0.4];
/// The largest bet starts with almost everything, so that no disaster costs hardly more than the
/// rule of three.
const WEIGHTS: [f64; 4] = [0.97, 0.01, 0.01, 0.01];

#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    /// The loss in one image that counts as a disaster, τ.
    drop: f64,
    /// p₀.
    share: f64,
    units: u64,
    disasters: u64,
    /// Units that gained more than τ and lost none of it.
    gains: u64,
    /// Units that lost more than τ and gained none of it.
    losses: u64,
}

/// Shares of the largest bet on ruined units, with equal weights.
const RUINED_SHARES: [f64; 7] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];

impl Tail {
    /// `drop` is positive, `share` between 0 and 1.
    pub fn new(drop: f64, share: f64) -> Self {
        Self { drop, share, units: 0, disasters: 0, gains: 0, losses: 0 }
    }

    /// The improvements of a unit's images over their partners; positive is better.
    pub fn push(&mut self, improvements: &[f64]) {
        let loses = improvements.iter().any(|d| *d < -self.drop);
        let gains = improvements.iter().any(|d| *d > self.drop);
        self.units += 1;
        self.disasters += u64::from(loses);
        self.losses += u64::from(loses && !gains);
        self.gains += u64::from(gains && !loses);
    }

    /// Units that gained more than τ and lost none of it.
    pub fn gains(&self) -> u64 {
        self.gains
    }

    /// ln of the e-value for "more units are ruined than are mended, by more than p₀".
    pub fn ln_e_ruined(&self) -> f64 {
        let (p, losses, gains) = (self.share, self.losses as f64, self.gains as f64);
        let neither = self.units as f64 - losses - gains;
        let terms = RUINED_SHARES.map(|q| {
            losses * (q * (1.0 - p) / (1.0 + p)).ln_1p()
                + gains * (-q).ln_1p()
                + neither * (-q * p / (1.0 + p)).ln_1p()
        });
        let most = terms.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = terms.iter().map(|term| (term - most).exp()).sum();
        most + (sum / terms.len() as f64).ln()
    }

    /// Units that reach 1/α at the least, which is when none of them is ruined.
    pub fn least_units(share: f64, alpha: f64) -> u64 {
        let reaches = |units: u64| {
            let tail = Self { units, ..Self::new(1.0, share) };
            tail.ln_e() >= -alpha.ln()
        };
        // By the largest bet alone; the smaller ones may bring it there a little sooner.
        let mut units = ((-alpha.ln() - WEIGHTS[0].ln()) / -(-share).ln_1p()).ceil() as u64;
        while units > 1 && reaches(units - 1) {
            units -= 1;
        }
        units
    }

    pub fn disasters(&self) -> u64 {
        self.disasters
    }

    /// How fast ln of the e-value grows with an image, if disasters go on at the share seen so far:
    /// the rate of the best bet. Not above 0 where the share is p₀ or more.
    pub fn growth(&self) -> f64 {
        let ruined = self.disasters as f64 / self.units.max(1) as f64;
        let rate = |share: f64| {
            let lambda = share / (1.0 - self.share);
            let lost = if ruined == 0.0 { 0.0 } else { ruined * (-share).ln_1p() };
            (1.0 - ruined) * (lambda * self.share).ln_1p() + lost
        };
        SHARES.into_iter().map(rate).fold(f64::NEG_INFINITY, f64::max)
    }

    /// ln of the e-value for "fewer than p₀ of the units are ruined".
    pub fn ln_e(&self) -> f64 {
        let (p, bad) = (self.share, self.disasters as f64);
        let good = (self.units - self.disasters) as f64;
        let terms = SHARES.map(|share| {
            let lambda = share / (1.0 - p);
            let lost = if self.disasters == 0 { 0.0 } else { bad * (-share).ln_1p() };
            good * (lambda * p).ln_1p() + lost
        });
        let weighted = terms.iter().zip(WEIGHTS).map(|(term, weight)| term + f64::ln(weight));
        let most = weighted.clone().fold(f64::NEG_INFINITY, f64::max);
        most + weighted.map(|term| (term - most).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ruined_units_are_told_from_images_that_are_merely_others() {
        let of = |losses: usize, gains: usize, units: usize| {
            let mut tail = Tail::new(0.2, 0.02);
            (0..units).for_each(|i| match i {
                i if i < losses => tail.push(&[-0.5, 0.0]),
                i if i < losses + gains => tail.push(&[0.5, 0.0]),
                _ => tail.push(&[0.01, -0.01]),
            });
            tail.ln_e_ruined()
        };
        let enough = 20_f64.ln();
        assert!(of(0, 0, 400) < 0.0);
        assert!(of(40, 40, 400) < 0.0, "as many gain it");
        assert!(of(8, 0, 400) < enough, "2% is the share that is accepted");
        assert!(of(32, 0, 400) >= enough, "8% is not");
        assert!(of(20_000, 0, 1_000_000).is_finite());
        let mut both = Tail::new(0.2, 0.02);
        (0..400).for_each(|_| both.push(&[-0.5, 0.5]));
        assert!(both.ln_e_ruined() < 0.0 && both.disasters() == 400);
    }

    #[test]
    fn the_least_number_of_units_is_the_least_number_of_units() {
        for (share, alpha) in [(0.02, 0.05), (0.05, 0.05), (0.01, 0.1)] {
            let least = Tail::least_units(share, alpha);
            assert!(after(least, 0, share) >= -f64::ln(alpha));
            assert!(after(least - 1, 0, share) < -f64::ln(alpha));
        }
    }

    fn after(images: u64, disasters: u64, share: f64) -> f64 {
        let mut tail = Tail::new(0.2, share);
        for i in 0..images {
            tail.push(&[if i < disasters { -0.3 } else { -0.1 }]);
        }
        tail.ln_e()
    }

    #[test]
    fn without_a_disaster_it_is_the_rule_of_three() {
        let enough = |share: f64| (1..400).find(|n| after(*n, 0, share) >= 20_f64.ln());
        assert_eq!([0.05, 0.03, 0.02].map(enough), [Some(59), Some(99), Some(150)]);
    }

    #[test]
    fn one_disaster_costs_more_images_and_a_true_share_of_them_never_passes() {
        let enough = |disasters| (1..5000).find(|n| after(*n, disasters, 0.02) >= 20_f64.ln());
        let (none, one) = (enough(0), enough(1));
        assert!(one > none && one.is_some(), "{none:?} {one:?}");
        assert!(after(10_000, 200, 0.02) < 0.0);
        assert!(after(1_000_000, 20_000, 0.02).is_finite());
        assert!(after(0, 0, 0.02).abs() < 1e-12);
    }
}
