//! The pairs of images that a report shows.

use super::{ImagePair, Matched, MetricComparison, SHOWN_PAIRS};
use crate::result::{Run, TestRun};

/// The pairs that differ, those that lost most by the first metric first.
pub(super) fn changed(
    matched: &Matched<'_>,
    metrics: &[MetricComparison],
    base: Option<&TestRun>,
    head: &TestRun,
    run: &Run,
) -> Vec<ImagePair> {
    let mut pairs: Vec<(f64, ImagePair)> = matched
        .iter()
        .filter(|(_, (base, head))| base != head)
        .map(|(key, (base_image, head_image))| {
            let scores: Vec<(String, Option<f64>, f64)> = metrics
                .iter()
                .filter_map(|metric| {
                    let score = *head.cells.get(*key)?.scores.get(&metric.name)?;
                    let before = metric
                        .base
                        .as_ref()
                        .and_then(|_| base?.cells.get(*key)?.scores.get(&metric.name).copied());
                    Some((metric.name.clone(), before, score))
                })
                .collect();
            let gain = scores.first().map_or(0.0, |(name, before, after)| {
                let direction = run.metrics.get(name).map(|m| m.direction);
                direction.map_or(0.0, |d| d.improvement(before.unwrap_or(0.0), *after))
            });
            let pair = ImagePair {
                prompt: key.prompt.clone(),
                seed: key.seed,
                base: (*base_image).clone(),
                head: (*head_image).clone(),
                scores,
            };
            (gain, pair)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs.into_iter().map(|(_, pair)| pair).take(SHOWN_PAIRS).collect()
}
