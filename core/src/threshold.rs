//! Absolute thresholds: what an author demands of the scores themselves, beside any comparison.

use crate::metric::{Direction, MetricInfo};
use crate::result::Summary;
use crate::suite::{TestKind, TestSpec};

/// Why these scores miss the test's threshold of this metric; None where they hold it, or where
/// the author gave none.
///
/// A quality test's threshold holds on the mean. A visual regression's holds on every image: one
/// ruined image of many would hide in a good mean, and "does it still look the same" is asked of
/// each.
pub fn missed(spec: &TestSpec, metric: &MetricInfo, scores: &[f64]) -> Option<String> {
    let threshold = spec.threshold(&metric.name)?;
    let summary = Summary::of(scores)?;
    let name = &metric.name;
    match spec.kind {
        TestKind::Quality { .. } if metric.direction.holds(summary.mean, threshold) => None,
        TestKind::Quality { .. } => Some(format!(
            "{name} is {:.4} on average over {} images, and must be {} {threshold}",
            summary.mean,
            summary.sample_count,
            metric.direction.comparison(),
        )),
        TestKind::VisualRegression { .. } => {
            let misses = scores.iter().filter(|s| !metric.direction.holds(**s, threshold)).count();
            let worst = match metric.direction {
                Direction::HigherIsBetter => summary.min,
                Direction::LowerIsBetter => summary.max,
            };
            (misses > 0).then(|| {
                format!(
                    "{misses} of {} images differ from their reference: {name} down to {worst:.4}, \
                     and each must be {} {threshold}",
                    summary.sample_count,
                    metric.direction.comparison(),
                )
            })
        }
    }
}
