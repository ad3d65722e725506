//! The tail guard: a good mean must not hide that a few images are ruined.
//!
//! The claim is P(D < −τ) < p₀. Against "at least p₀" the bettor stakes on no disaster:
//! Π (1 + λ(p₀ − 1{Dᵢ < −τ})) with λ up to 1/(1 − p₀), a test martingale for a Bernoulli
//! probability. Without a single disaster the largest bet gives (1 − p₀)⁻ⁿ, which passes 1/α = 20
//! after 59, 99 or 150 images for p₀ = 5, 3 or 2%: the classical "rule of three".

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
    images: u64,
    disasters: u64,
}

impl Tail {
    /// `drop` is positive, `share` between 0 and 1.
    pub fn new(drop: f64, share: f64) -> Self {
        Self { drop, share, images: 0, disasters: 0 }
    }

    /// `improvement` of one image over its partner; positive is better.
    pub fn push(&mut self, improvement: f64) {
        self.images += 1;
        self.disasters += u64::from(improvement < -self.drop);
    }

    pub fn images(&self) -> u64 {
        self.images
    }

    pub fn disasters(&self) -> u64 {
        self.disasters
    }

    /// How fast ln of the e-value grows with an image, if disasters go on at the share seen so far:
    /// the rate of the best bet. Not above 0 where the share is p₀ or more.
    pub fn growth(&self) -> f64 {
        let ruined = self.disasters as f64 / self.images.max(1) as f64;
        let rate = |share: f64| {
            let lambda = share / (1.0 - self.share);
            let lost = if ruined == 0.0 { 0.0 } else { ruined * (-share).ln_1p() };
            (1.0 - ruined) * (lambda * self.share).ln_1p() + lost
        };
        SHARES.into_iter().map(rate).fold(f64::NEG_INFINITY, f64::max)
    }

    /// ln of the e-value for "fewer than p₀ of the images are ruined".
    pub fn ln_e(&self) -> f64 {
        let (p, bad) = (self.share, self.disasters as f64);
        let good = (self.images - self.disasters) as f64;
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

    fn after(images: u64, disasters: u64, share: f64) -> f64 {
        let mut tail = Tail::new(0.2, share);
        for i in 0..images {
            tail.push(if i < disasters { -0.3 } else { -0.1 });
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
