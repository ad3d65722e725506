//! Two samples that are not paired: Welch's t-test ("The generalization of 'Student's' problem when
//! several different population variances are involved", Biometrika 34, 1947) and Cohen's d.
//!
//! The fall-back where the recipes of base and head differ in what makes a pair of their images
//! meaningless. The variance between prompts, which pairs cancel, stays in: it needs more images for
//! the same loss, and it is good for one look only.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::moments::Moments;

/// The difference of two means, head − base.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    pub estimate: f64,
    pub standard_error: f64,
    /// Welch and Satterthwaite's degrees of freedom.
    pub df: f64,
}

impl Welch {
    /// None for fewer than two values a side, values that are not finite, or where neither side's
    /// vary: there is no t then.
    pub fn of(base: &[f64], head: &[f64]) -> Option<Self> {
        let (base, head) = (sample(base)?, sample(head)?);
        let [a, b] = [base, head].map(|m| m.variance() / m.count() as f64);
        let standard_error = (a + b).sqrt();
        let freedom = |m: Moments| m.count() as f64 - 1.0;
        let df = (a + b).powi(2) / (a * a / freedom(base) + b * b / freedom(head));
        (standard_error > 0.0 && df.is_finite()).then(|| Self {
            estimate: head.mean() - base.mean(),
            standard_error,
            df,
        })
    }

    /// The statistic against a difference of `null`.
    pub fn t(&self, null: f64) -> f64 {
        (self.estimate - null) / self.standard_error
    }

    /// The chance of such an estimate or a smaller one where the difference is `null` or more.
    pub fn p_less(&self, null: f64) -> f64 {
        self.student().map_or(f64::NAN, |student| student.cdf(self.t(null)))
    }

    /// The chance of such an estimate or a greater one where the difference is `null` or less.
    pub fn p_greater(&self, null: f64) -> f64 {
        self.student().map_or(f64::NAN, |student| student.sf(self.t(null)))
    }

    /// The chance of an estimate at least as far from `null`, on either side.
    pub fn p_two_sided(&self, null: f64) -> f64 {
        2.0 * self.p_less(null).min(self.p_greater(null))
    }

    /// Two one-sided bounds on the difference, each at level `alpha`: together the interval of
    /// level 1 − 2α.
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let quantile = self.student().map_or(f64::NAN, |student| student.inverse_cdf(1.0 - alpha));
        let half = quantile * self.standard_error;
        (self.estimate - half, self.estimate + half)
    }

    fn student(&self) -> Option<StudentsT> {
        StudentsT::new(0.0, 1.0, self.df).ok()
    }
}

/// Cohen's d: head's mean minus base's, in standard deviations pooled over both sides (Cohen,
/// "Statistical Power Analysis for the Behavioral Sciences", 1988). None as for [`Welch::of`].
pub fn cohens_d(base: &[f64], head: &[f64]) -> Option<f64> {
    let (base, head) = (sample(base)?, sample(head)?);
    let [a, b] = [base, head].map(|m| m.count() as f64 - 1.0);
    let pooled = ((a * base.variance() + b * head.variance()) / (a + b)).sqrt();
    (pooled > 0.0).then(|| (head.mean() - base.mean()) / pooled)
}

fn sample(values: &[f64]) -> Option<Moments> {
    (values.len() >= 2 && values.iter().all(|v| v.is_finite())).then(|| Moments::of(values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    /// Unequal variances and sizes. Expected values: means and variances in exact fractions, the
    /// tail of t by integrating its density with Simpson's rule, in another program.
    const BASE: [f64; 10] = [17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8];
    const HEAD: [f64; 20] = [
        21.5, 22.8, 21.0, 23.0, 21.6, 23.6, 22.5, 20.7, 23.4, 21.8, 20.7, 21.7, 21.5, 22.5, 23.6,
        21.5, 22.5, 23.5, 21.5, 21.8,
    ];

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{a} is not {b}");
    }

    #[test]
    fn it_matches_values_computed_elsewhere() {
        let welch = Welch::of(&BASE, &HEAD).unwrap();
        close(welch.t(0.0), 1.565433524);
        close(welch.df, 9.904741249);
        close(welch.p_two_sided(0.0), 0.148841697);
        close(welch.p_greater(0.0), 0.148841697 / 2.0);
        close(welch.p_less(0.0), 1.0 - 0.148841697 / 2.0);
        close(cohens_d(&BASE, &HEAD).unwrap(), 0.813345727);
        let (lower, upper) = welch.interval(0.025);
        close(lower, -0.648421325);
        close(upper, 2.0 * welch.estimate - -0.648421325);
    }

    #[test]
    fn one_value_a_broken_one_or_no_variance_has_no_t() {
        assert_eq!(Welch::of(&[1.0], &HEAD), None);
        assert_eq!(Welch::of(&BASE, &[1.0, f64::NAN]), None);
        assert_eq!(Welch::of(&[1.0, 1.0], &[2.0, 2.0]), None);
        assert_eq!(cohens_d(&[1.0, 1.0], &[2.0, 2.0]), None);
        assert_eq!(cohens_d(&BASE, &[]), None);
        let half = Welch::of(&[1.0, 1.0, 1.0], &[2.0, 4.0]).unwrap();
        assert_eq!((half.estimate, half.df), (2.0, 1.0), "one side's variance is enough");
    }

    proptest! {
        #[test]
        fn the_interval_is_the_test_inverted_and_sides_swap(
            base in prop::collection::vec(-1.0..1.0f64, 2..30),
            head in prop::collection::vec(-1.0..1.0f64, 2..30), alpha in 0.001..0.3f64,
        ) {
            let welch = Welch::of(&base, &head).unwrap();
            let (lower, upper) = welch.interval(alpha);
            prop_assert!((welch.p_greater(lower) - alpha).abs() < 1e-6);
            prop_assert!((welch.p_less(upper) - alpha).abs() < 1e-6);
            let swapped = Welch::of(&head, &base).unwrap();
            prop_assert!((swapped.t(0.0) + welch.t(0.0)).abs() < 1e-9 * (1.0 + welch.t(0.0).abs()));
            prop_assert!((swapped.p_less(0.0) - welch.p_greater(0.0)).abs() < 1e-9);
        }
    }
}
