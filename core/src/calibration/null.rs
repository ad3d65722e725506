//! The measured null: how far a metric moves between two runs that differ in nothing that counts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Units;
use crate::metric::MetricInfo;
use crate::result::{Run, TestRun};
use crate::suite::TestId;
use crate::verdict::moments::Moments;

/// What is said of the differences, beside their mean and spread.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// A score's gap to the next that is smaller than this share of the largest score is rounding.
const ROUNDING: f64 = 1e-6;

/// A score that is no number says nothing, and is not left out in silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{metric} of `{test}` is not a finite number for seed {seed} of the prompt \"{prompt}\"; mend the metric, or take it out of the test"
)]
pub struct NotFinite {
    metric: String,
    test: TestId,
    seed: i64,
    prompt: String,
}

/// The differences of one metric in one test: variant − reference, signed so that more is better,
/// in the metric's own unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Null {
    pub test: TestId,
    /// Independent of each other: prompts with their seeds averaged, or images.
    pub units: usize,
    pub images: usize,
    pub mean: f64,
    /// With n − 1 in the denominator.
    pub sd: f64,
    /// At [`QUANTILES`], by linear interpolation between order statistics (type 7 of Hyndman and
    /// Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50, 1996).
    pub quantiles: [f64; QUANTILES.len()],
    /// The most that one unit lost; not negative.
    pub worst_loss: f64,
    /// The least that the mean can move: the smallest gap between two scores over the number of
    /// images. None where all scores are equal.
    pub resolution: Option<f64>,
}

/// The null of a metric in each test that scores it in both runs. The variant's seeds are the
/// reference's plus `seed_offset`; an image without its partner is left out.
pub fn nulls(
    reference: &Run,
    variant: &Run,
    metric: &MetricInfo,
    seed_offset: i64,
    units: Units,
) -> Result<Vec<Null>, NotFinite> {
    reference
        .tests
        .iter()
        .filter_map(|test| Some((test, variant.test(&test.spec.id)?)))
        .filter_map(|(test, other)| null(test, other, metric, seed_offset, units).transpose())
        .collect()
}

fn null(
    reference: &TestRun,
    variant: &TestRun,
    metric: &MetricInfo,
    seed_offset: i64,
    units: Units,
) -> Result<Option<Null>, NotFinite> {
    let mut by_unit: BTreeMap<(&str, i64), Moments> = BTreeMap::new();
    let mut scores = Vec::new();
    for (key, base) in reference.scores(&metric.name) {
        let mut partner = key.clone();
        partner.seed = key.seed.wrapping_add(seed_offset);
        let Some(head) = variant.cells.get(&partner).and_then(|c| c.scores.get(&metric.name))
        else {
            continue;
        };
        for (seed, score) in [(key.seed, base), (partner.seed, *head)] {
            if !score.is_finite() {
                return Err(NotFinite {
                    metric: metric.name.clone(),
                    test: key.test.clone(),
                    seed,
                    prompt: key.prompt.clone(),
                });
            }
            scores.push(score);
        }
        let unit = match units {
            Units::Prompts => (key.prompt.as_str(), 0),
            Units::Images => (key.prompt.as_str(), key.seed),
        };
        by_unit.entry(unit).or_default().push(metric.direction.improvement(base, *head));
    }
    let differences: Vec<f64> = by_unit.values().map(Moments::mean).collect();
    let images = scores.len() / 2;
    Ok((images > 0).then(|| Null {
        test: reference.spec.id.clone(),
        resolution: smallest_gap(scores).map(|gap| gap / images as f64),
        images,
        ..of(&differences)
    }))
}

/// What the differences of the units add up to. There is at least one.
fn of(differences: &[f64]) -> Null {
    let moments = Moments::of(differences);
    let mut sorted = differences.to_vec();
    sorted.sort_by(f64::total_cmp);
    let lowest = sorted.first().copied().unwrap_or(0.0);
    Null {
        test: TestId(String::new()),
        units: differences.len(),
        images: differences.len(),
        mean: moments.mean(),
        sd: moments.variance().sqrt(),
        quantiles: QUANTILES.map(|p| quantile(&sorted, p)),
        worst_loss: (-lowest).max(0.0),
        resolution: None,
    }
}

fn quantile(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = p * last as f64;
    let below = at.floor() as usize;
    let value = |i: usize| sorted.get(i.min(last)).copied().unwrap_or(0.0);
    value(below) + (at - below as f64) * (value(below + 1) - value(below))
}

fn smallest_gap(mut scores: Vec<f64>) -> Option<f64> {
    scores.sort_by(f64::total_cmp);
    let largest = scores.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
    scores
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|gap| *gap > ROUNDING * largest)
        .min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [.05, .25, .5, .75, .95])
        let null = of(&[16.0, 1.0, 8.0, 2.0, 4.0]);
        let expected = [1.2, 2.0, 4.0, 8.0, 14.4];
        for (got, wanted) in null.quantiles.iter().zip(expected) {
            assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        }
        assert_eq!((null.worst_loss, of(&[0.5, -0.25]).worst_loss), (0.0, 0.25));
    }

    #[test]
    fn the_resolution_looks_past_rounding() {
        assert_eq!(smallest_gap(vec![0.0, 1.0, 1.0, 1.0 + 1e-9]), Some(1.0 - 0.0));
        assert_eq!(smallest_gap(vec![0.25, 0.5, 1.0]), Some(0.25));
        assert_eq!(smallest_gap(vec![0.7; 5]), None);
    }

    proptest! {
        #[test]
        fn another_unit_of_measurement_changes_nothing_else(
            values in prop::collection::vec(-1.0..1.0f64, 2..60), scale in 0.01..100.0f64,
        ) {
            let (one, other) = (of(&values), of(&values.iter().map(|v| v * scale).collect::<Vec<_>>()));
            let close = |a: f64, b: f64| (a * scale - b).abs() < 1e-9 * (1.0 + b.abs());
            prop_assert!(close(one.sd, other.sd) && close(one.mean, other.mean));
            prop_assert!(close(one.worst_loss, other.worst_loss));
            for (a, b) in one.quantiles.iter().zip(other.quantiles) {
                prop_assert!(close(*a, b));
            }
            prop_assert!(one.quantiles.is_sorted());
        }
    }
}
