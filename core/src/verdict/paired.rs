//! Paired differences: same prompt, same seed, head minus base.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Decision;
use super::confidence_sequence::{self, MIN_UNITS};
use crate::metric::Direction;

/// One image of the base and its partner of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair<'a> {
    pub prompt: &'a str,
    pub seed: i64,
    pub base: f64,
    pub head: f64,
}

/// What a metric must not lose, and how sure a verdict must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    pub direction: Direction,
    /// δ, in the metric's own unit, not negative.
    pub margin: f64,
    /// The error rate of this one decision, after the run's has been shared out.
    pub alpha: f64,
}

/// A decision with what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedVerdict {
    pub decision: Decision,
    /// The mean improvement of head over base: positive is better whatever the metric's direction.
    pub estimate: f64,
    /// One-sided bounds on the improvement, each at the policy's α. None with too few prompts.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub margin: f64,
    pub pairs: usize,
    pub prompts: usize,
    /// One sentence a person understands.
    pub sentence: String,
}

/// Improvements by prompt: a prompt's seeds are averaged, since images of one prompt are not
/// independent of each other, and prompts are the units. In the prompts' own order.
fn units(pairs: &[Pair<'_>], direction: Direction) -> Vec<f64> {
    let mut by_prompt: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for pair in pairs {
        let (sum, count) = by_prompt.entry(pair.prompt).or_default();
        *sum += direction.improvement(pair.base, pair.head);
        *count += 1;
    }
    by_prompt.into_values().map(|(sum, count)| sum / f64::from(count)).collect()
}

/// Decides regressed or inconclusive: this part never passes anything.
///
/// Regressed when the upper bound of the improvement lies below −δ. A score that is not finite
/// decides nothing and is an error.
pub fn decide(pairs: &[Pair<'_>], policy: Policy) -> PairedVerdict {
    let units = units(pairs, policy.direction);
    let prompts = units.len();
    let estimate = units.iter().sum::<f64>() / prompts.max(1) as f64;
    let interval = confidence_sequence::interval(&units, prompts, policy.alpha);
    let broken = pairs.iter().find(|p| !p.base.is_finite() || !p.head.is_finite());
    let (decision, sentence) = match (broken, interval) {
        (Some(pair), _) => (
            Decision::Error,
            format!(
                "the score of seed {} is not a finite number, prompt: {}",
                pair.seed, pair.prompt
            ),
        ),
        (None, None) => (
            Decision::Inconclusive,
            format!(
                "{prompts} {} too few to tell a change from chance; give at least {MIN_UNITS}",
                if prompts == 1 { "prompt is" } else { "prompts are" },
            ),
        ),
        (None, Some(i)) if i.upper < -policy.margin => (
            Decision::Regressed,
            format!(
                "worse by {:.4} on average, at least {:.4}, which is more than the margin of {}",
                -i.mean, -i.upper, policy.margin,
            ),
        ),
        (None, Some(i)) => (
            Decision::Inconclusive,
            format!(
                "changed by {:+.4} on average, between {:+.4} and {:+.4}: this does not show a loss \
                 of more than the margin of {}, nor rule it out",
                i.mean, i.lower, i.upper, policy.margin,
            ),
        ),
    };
    PairedVerdict {
        decision,
        estimate,
        lower: interval.map(|i| i.lower),
        upper: interval.map(|i| i.upper),
        margin: policy.margin,
        pairs: pairs.len(),
        prompts,
        sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy =
        Policy { direction: Direction::HigherIsBetter, margin: 0.02, alpha: 0.05 };

    fn pairs<'a>(prompts: &'a [String], loss: f64) -> Vec<Pair<'a>> {
        prompts
            .iter()
            .enumerate()
            .flat_map(|(i, prompt)| {
                [1, 2].map(|seed| {
                    let base = 0.8 + 0.01 * ((i * 7 + seed) % 5) as f64;
                    let wobble = 0.02 * ((i * 3 + seed) % 4) as f64;
                    Pair { prompt, seed: seed as i64, base, head: base - loss - wobble }
                })
            })
            .collect()
    }

    fn prompts(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("prompt {i}")).collect()
    }

    #[test]
    fn a_clear_loss_is_a_regression_and_a_small_one_is_not() {
        let prompts = prompts(24);
        let clear = decide(&pairs(&prompts, 0.2), POLICY);
        assert_eq!(clear.decision, Decision::Regressed, "{clear:?}");
        assert_eq!((clear.pairs, clear.prompts), (48, 24));
        assert_eq!(decide(&pairs(&prompts, -0.03), POLICY).decision, Decision::Inconclusive);
    }

    #[test]
    fn seeds_do_not_make_up_for_prompts() {
        let prompts = prompts(3);
        let many_seeds: Vec<Pair<'_>> = (0..300)
            .map(|i| Pair { prompt: &prompts[i % 3], seed: i as i64, base: 0.9, head: 0.1 })
            .collect();
        let verdict = decide(&many_seeds, POLICY);
        assert_eq!(verdict.decision, Decision::Inconclusive);
        assert!(verdict.sentence.contains("3 prompts are too few"), "{}", verdict.sentence);
    }

    #[test]
    fn a_broken_score_is_an_error_that_names_its_cell() {
        let prompts = prompts(12);
        let mut broken = pairs(&prompts, 0.2);
        broken[5].head = f64::NAN;
        let verdict = decide(&broken, POLICY);
        assert_eq!(verdict.decision, Decision::Error);
        assert!(verdict.sentence.contains("seed 2") && verdict.sentence.contains("prompt 2"));
    }

    proptest! {
        #[test]
        fn order_and_sign_conventions_do_not_matter(
            heads in prop::collection::vec(0.0..1.0f64, 12..40), rotate in 0usize..40,
        ) {
            let names = prompts(heads.len());
            let make = |sign: f64| -> Vec<Pair<'_>> {
                heads.iter().zip(&names)
                    .map(|(h, p)| Pair { prompt: p, seed: 1, base: sign * 0.5, head: sign * h })
                    .collect()
            };
            let straight = decide(&make(1.0), POLICY);
            let mut rotated = make(1.0);
            rotated.rotate_left(rotate % heads.len());
            prop_assert_eq!(&decide(&rotated, POLICY), &straight);
            let lower = Policy { direction: Direction::LowerIsBetter, ..POLICY };
            prop_assert_eq!(decide(&make(-1.0), lower).decision, straight.decision);
        }
    }
}
