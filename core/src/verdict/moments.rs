//! The first three moments of a sample, one value at a time.

/// Count, mean, and the sums of the second and third powers of the deviations from it, kept by
/// the recurrences of Pébay ("Formulas for Robust, One-Pass Parallel Computation of Covariances
/// and Arbitrary-Order Statistical Moments", SAND2008-6212): no cancellation over a million values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
    m3: f64,
}

impl Moments {
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.push(*value);
        }
        moments
    }

    pub fn push(&mut self, value: f64) {
        let before = self.count as f64;
        self.count += 1;
        let n = self.count as f64;
        let delta = value - self.mean;
        let step = delta / n;
        let term = delta * step * before;
        self.mean += step;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// With n − 1 in the denominator; 0 for one value.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.m2 / (self.count as f64 - 1.0)).max(0.0) }
    }

    /// g₁ = m₃ / m₂^{3/2} of the sample; 0 where all values are equal.
    pub fn skewness(&self) -> f64 {
        let n = self.count as f64;
        if self.m2 > 0.0 { (self.m3 / n) / (self.m2 / n).powf(1.5) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_million_values_far_from_zero_lose_nothing() {
        let mut moments = Moments::default();
        for i in 0..1_000_000_u32 {
            moments.push(1e6 + f64::from(i % 4));
        }
        assert!((moments.mean() - 1_000_001.5).abs() < 1e-6);
        assert!((moments.variance() - 1.25).abs() < 1e-5, "{}", moments.variance());
        assert!(moments.skewness().abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn it_equals_the_two_pass_formulas(values in prop::collection::vec(-10.0..10.0f64, 2..200)) {
            let moments = Moments::of(&values);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let power = |p| values.iter().map(|v| (v - mean).powi(p)).sum::<f64>() / n;
            prop_assert!((moments.mean() - mean).abs() < 1e-9);
            prop_assert!((moments.variance() - power(2) * n / (n - 1.0)).abs() < 1e-8);
            if power(2) > 1e-6 {
                let skewness = power(3) / power(2).powf(1.5);
                prop_assert!((moments.skewness() - skewness).abs() < 1e-6 * (1.0 + skewness.abs()));
            }
        }
    }
}
