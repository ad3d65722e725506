//! The order of several models on the same prompts, with what is not known about it.

use serde::Serialize;

use super::resample::SplitMix64;

/// Resamples of the prompts that intervals and chances are read from.
pub const RESAMPLES: usize = 2_000;

/// How one model stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Standing {
    /// Over the prompts that count.
    pub mean: f64,
    /// 1 is the best; equal means share the better rank.
    pub rank: usize,
    /// The middle 95% of its ranks over the resamples.
    pub rank_lower: usize,
    pub rank_upper: usize,
    /// The share of resamples in which it is the best; a tie is shared.
    pub p_best: f64,
    /// How many prompts count.
    pub prompts: usize,
}

/// Ranks models by `scores[model][prompt]`, a prompt's mean over its images, signed so that more is
/// better; None where it is missing.
///
/// What counts are the prompts that all models have which have any at all: who fails on the
/// difficult prompts must not gain by it. A model without scores, and every model where no prompt
/// is left, has no standing.
///
/// Intervals are percentiles of a bootstrap over prompts, the same prompts for every model, seeded:
/// the same scores give the same ranking. Among models that are nearly equal such intervals are
/// too narrow as often as not; a pair's own verdict says whether one is better.
pub fn rank(scores: &[Vec<Option<f64>>], seed: u64) -> Vec<Option<Standing>> {
    let finite = |model: usize, prompt: usize| {
        scores[model].get(prompt).copied().flatten().filter(|score| score.is_finite())
    };
    let width = scores.iter().map(Vec::len).max().unwrap_or(0);
    let ranked: Vec<usize> =
        (0..scores.len()).filter(|m| (0..width).any(|p| finite(*m, p).is_some())).collect();
    let complete: Vec<Vec<f64>> = (0..width)
        .filter_map(|prompt| ranked.iter().map(|model| finite(*model, prompt)).collect())
        .collect();
    let mut out = vec![None; scores.len()];
    if complete.is_empty() {
        return out;
    }
    let means = mean_scores(complete.iter(), ranked.len());
    let mut seen: Vec<Vec<usize>> = vec![Vec::with_capacity(RESAMPLES); ranked.len()];
    let mut best = vec![0.0; ranked.len()];
    let mut random = SplitMix64::new(seed);
    for _ in 0..RESAMPLES {
        let drawn = (0..complete.len()).map(|_| &complete[random.below(complete.len())]);
        let ranks = ranks(&mean_scores(drawn, ranked.len()));
        let first = ranks.iter().filter(|rank| **rank == 1).count() as f64;
        for (model, rank) in ranks.into_iter().enumerate() {
            seen[model].push(rank);
            best[model] += if rank == 1 { 1.0 / first } else { 0.0 };
        }
    }
    for (at, (model, rank)) in ranked.iter().zip(ranks(&means)).enumerate() {
        seen[at].sort_unstable();
        let cut = RESAMPLES / 40;
        out[*model] = Some(Standing {
            mean: means[at],
            rank,
            rank_lower: seen[at][cut],
            rank_upper: seen[at][RESAMPLES - 1 - cut],
            p_best: best[at] / RESAMPLES as f64,
            prompts: complete.len(),
        });
    }
    out
}

fn mean_scores<'a>(
    prompts: impl ExactSizeIterator<Item = &'a Vec<f64>>,
    models: usize,
) -> Vec<f64> {
    let count = prompts.len() as f64;
    let mut sums = vec![0.0; models];
    for prompt in prompts {
        for (sum, score) in sums.iter_mut().zip(prompt) {
            *sum += score;
        }
    }
    sums.iter().map(|sum| sum / count).collect()
}

fn ranks(means: &[f64]) -> Vec<usize> {
    means.iter().map(|mean| 1 + means.iter().filter(|other| *other > mean).count()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn model(shift: f64, prompts: usize) -> Vec<Option<f64>> {
        let wobble = |i: usize| ((i * 7919 + 13) % 101) as f64 / 101.0;
        (0..prompts).map(|i| Some(shift + 0.1 * wobble(i + (shift * 1e3) as usize))).collect()
    }

    #[test]
    fn a_clear_order_is_certain_and_a_close_one_is_not() {
        let found = rank(&[model(0.3, 60), model(0.9, 60), model(0.305, 60)], 1);
        let found: Vec<Standing> = found.into_iter().map(Option::unwrap).collect();
        assert_eq!((found[1].rank, found[1].rank_lower, found[1].rank_upper), (1, 1, 1));
        assert_eq!((found[1].p_best, found[1].prompts), (1.0, 60));
        for close in [0, 2] {
            assert_eq!((found[close].rank_lower, found[close].rank_upper), (2, 3), "{found:?}");
        }
    }

    #[test]
    fn equal_models_share_a_rank_and_the_chance() {
        let found = rank(&[model(0.5, 30), model(0.5, 30)], 1);
        for standing in found.into_iter().flatten() {
            assert_eq!((standing.rank, standing.rank_upper, standing.p_best), (1, 1, 0.5));
        }
    }

    #[test]
    fn failing_on_a_hard_prompt_is_no_gain_and_no_scores_no_standing() {
        let mut honest = model(0.5, 20);
        let mut failing = honest.clone();
        honest[3] = Some(0.0);
        failing[3] = None;
        let found = rank(&[honest, failing, vec![None; 20], vec![]], 1);
        assert_eq!(found[0].unwrap().mean, found[1].unwrap().mean);
        assert_eq!(found[0].unwrap().prompts, 19);
        assert_eq!(found[2..], [None, None]);
        assert_eq!(rank(&[vec![Some(1.0), None], vec![None, Some(1.0)]], 1), [None, None]);
        assert_eq!(rank(&[vec![Some(f64::NAN)]], 1), [None]);
        assert_eq!(rank(&[], 1), []);
    }

    proptest! {
        #[test]
        fn the_chances_sum_to_one_and_a_seed_is_a_result(
            scores in prop::collection::vec(prop::collection::vec(0.0..1.0f64, 12), 1..5),
            seed in any::<u64>(),
        ) {
            let scores: Vec<Vec<Option<f64>>> =
                scores.into_iter().map(|m| m.into_iter().map(Some).collect()).collect();
            let found = rank(&scores, seed);
            let total: f64 = found.iter().flatten().map(|s| s.p_best).sum();
            prop_assert!((total - 1.0).abs() < 1e-9);
            prop_assert_eq!(&found, &rank(&scores, seed));
            for standing in found.into_iter().flatten() {
                prop_assert!(standing.rank_lower <= standing.rank_upper);
                prop_assert!((1..=scores.len()).contains(&standing.rank));
            }
        }
    }
}
