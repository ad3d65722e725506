//! Paired differences of one metric: same prompt, same seed, head minus base.
//!
//! In two steps, because a run makes many claims at once: [`show`] measures what the pairs say,
//! and [`conclude`] decides once it is known which claims of the whole run stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Decision;
use super::asymptotic::{Claim, MIN_UNITS};
use super::group_sequential;
use super::sequence::{Question, Refused, Sequence};
use super::tail::Tail;
use crate::config::{Method, Units};
use crate::metric::Direction;

/// Fewer units than this have no bounds worth a reader's time.
const FEW: u64 = 8;
/// The units that evidence is tuned to be strongest at, where more are planned: a verdict is to
/// come early.
const TUNED: u64 = 100;

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
pub struct Policy<'a> {
    pub direction: Direction,
    /// δ, in the metric's own unit, not negative.
    pub margin: f64,
    /// The largest possible difference of two scores, where the metric has a range.
    pub bound: Option<f64>,
    /// τ: a loss in one image that counts as a ruined one.
    pub drop: f64,
    /// p₀: a pass rules out that so large a share of the units has a ruined image.
    pub share: f64,
    /// The error rate of one claim.
    pub alpha: f64,
    pub units: Units,
    pub method: Method,
    /// How many units there will be at most.
    pub planned: u64,
    /// After how many units the run was looked at, this look the last. For
    /// [`Method::GroupSequential`] alone.
    pub looks: &'a [u64],
}

/// What the differences of a metric show, before the run's claims are weighed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The mean improvement of head over base: positive is better whatever the metric's direction.
    pub estimate: f64,
    /// One-sided bounds on it, each at the policy's α. None with too few units.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub margin: f64,
    pub pairs: usize,
    pub units: u64,
    pub planned: u64,
    /// ln of the e-values that it is worse, or better, by more than the margin; a share of ruined
    /// units is worse too. Of a method that
    /// has p-values, ln of a bet of everything on the level its claim has to pass: infinite or 0.
    pub ln_regressed: f64,
    pub ln_improved: f64,
    /// ln of the e-values of the two halves of a pass.
    pub ln_not_worse: f64,
    pub ln_no_disasters: f64,
    /// Both halves at level α.
    pub passes: bool,
    /// Units with a ruined image, and those with one that gained as much.
    pub ruined: u64,
    pub mended: u64,
    /// Units that a pass needs at the least, none of them ruined.
    pub needed: u64,
    pub drop: f64,
    pub share: f64,
    /// How many units more may decide, as things stand.
    pub forecast: Option<f64>,
    pub counted: Units,
    /// A score that cannot be compared, with the cell it is of.
    pub broken: Option<String>,
    /// In place of the usual sentence of an undecided metric.
    pub caveat: Option<String>,
}

/// Which of a metric's claims stand among all claims of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub regressed: bool,
    pub improved: bool,
}

/// A decision with what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedVerdict {
    pub decision: Decision,
    /// The mean improvement of head over base: positive is better whatever the metric's direction.
    pub estimate: f64,
    /// One-sided bounds on the improvement, each at the run's α. None with too few units.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub margin: f64,
    pub pairs: usize,
    pub prompts: usize,
    /// The units that there will be at most.
    #[serde(default)]
    pub planned: u64,
    /// ln of the e-value that the decision rests on; for an undecided metric, the larger of those
    /// of a regression and of a pass. ln(1/α) is enough for one claim alone.
    #[serde(default)]
    pub ln_e: f64,
    /// One sentence a person understands.
    pub sentence: String,
}

/// The improvements of each unit: a prompt's seeds together, since images of one prompt are not
/// independent of each other, or every pair alone. In the prompts' own order.
fn units(pairs: &[Pair<'_>], direction: Direction, units: Units) -> Vec<Vec<f64>> {
    let improvement = |pair: &Pair<'_>| direction.improvement(pair.base, pair.head);
    match units {
        Units::Images => pairs.iter().map(|pair| vec![improvement(pair)]).collect(),
        Units::Prompts => {
            let mut by_prompt: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for pair in pairs {
                by_prompt.entry(pair.prompt).or_default().push(improvement(pair));
            }
            by_prompt.into_values().collect()
        }
    }
}

/// Measures what the pairs say. A score that is not finite, or lies outside of the metric's
/// range, is named and says nothing.
pub fn show(pairs: &[Pair<'_>], policy: Policy<'_>) -> Shown {
    let mut sequence = Sequence::new(Question {
        margin: policy.margin,
        bound: policy.bound,
        drop: policy.drop,
        disasters: policy.share,
        alpha: policy.alpha,
        planned: policy.planned.min(TUNED),
    });
    let broken = pairs
        .iter()
        .find(|p| !p.base.is_finite() || !p.head.is_finite())
        .map(|pair| {
            format!(
                "the score of seed {} is not a finite number, prompt: {}",
                pair.seed, pair.prompt
            )
        })
        .or_else(|| {
            units(pairs, policy.direction, policy.units)
                .iter()
                .find_map(|unit| sequence.push(unit).err())
                .map(|refused: Refused| refused.to_string())
        });
    let evidence = sequence.evidence();
    let moments = *sequence.units();
    // Of a handful of units it is as wide as the metric's range.
    let interval = sequence.interval(policy.alpha).filter(|_| moments.count() >= FEW);
    let mut shown = Shown {
        estimate: moments.mean(),
        lower: interval.map(|(lower, _)| lower),
        upper: interval.map(|(_, upper)| upper),
        margin: policy.margin,
        pairs: pairs.len(),
        units: moments.count(),
        planned: policy.planned.max(moments.count()),
        ln_regressed: evidence.worse(),
        ln_improved: evidence.improvement(),
        ln_not_worse: evidence.not_worse,
        ln_no_disasters: evidence.no_disasters,
        passes: evidence.passes(policy.alpha),
        ruined: sequence.tail().disasters(),
        mended: sequence.tail().gains(),
        needed: Tail::least_units(policy.share, policy.alpha),
        drop: policy.drop,
        share: policy.share,
        forecast: sequence.units_needed(policy.alpha),
        counted: policy.units,
        broken,
        caveat: None,
    };
    if policy.method == Method::GroupSequential {
        by_group(&mut shown, &moments, policy);
    }
    shown
}

/// Puts O'Brien–Fleming's claims about the mean in the place of the e-values'. The tail guard
/// stays what it is: its e-value is exact for any number of looks.
fn by_group(shown: &mut Shown, moments: &super::moments::Moments, policy: Policy<'_>) {
    let look = |claim: Claim, null: f64| {
        group_sequential::decide(moments, null, claim, shown.planned, policy.looks, policy.alpha)
    };
    let all_or_nothing = |claim, null| match look(claim, null) {
        Some(look) if look.crossed => f64::INFINITY,
        _ => 0.0,
    };
    let regressed = all_or_nothing(Claim::Below, -policy.margin);
    let improved = all_or_nothing(Claim::Above, policy.margin);
    let not_worse = all_or_nothing(Claim::Above, -policy.margin);
    let end = |claim| look(claim, 0.0).map(|look| look.bound).filter(|bound| bound.is_finite());
    (shown.lower, shown.upper) = (end(Claim::Above), end(Claim::Below));
    (shown.ln_regressed, shown.ln_improved, shown.ln_not_worse) = (regressed, improved, not_worse);
    shown.passes = shown.ln_not_worse.min(shown.ln_no_disasters) >= -policy.alpha.ln();
}

/// The decision, now that the run's claims are weighed.
pub fn conclude(shown: &Shown, standing: Standing, alpha: f64) -> PairedVerdict {
    let enough = -alpha.ln();
    let (decision, ln_e) = match shown {
        Shown { broken: Some(_), .. } => (Decision::Error, 0.0),
        _ if standing.regressed => (Decision::Regressed, shown.ln_regressed),
        _ if shown.passes && standing.improved => (Decision::Improved, shown.ln_improved),
        _ if shown.passes => (Decision::Pass, shown.ln_not_worse.min(shown.ln_no_disasters)),
        _ => {
            let pass = shown.ln_not_worse.min(shown.ln_no_disasters);
            (Decision::Inconclusive, shown.ln_regressed.max(pass))
        }
    };
    let prompts = match shown.counted {
        Units::Prompts => shown.units as usize,
        Units::Images => shown.pairs,
    };
    PairedVerdict {
        decision,
        estimate: shown.estimate,
        lower: shown.lower,
        upper: shown.upper,
        margin: shown.margin,
        pairs: shown.pairs,
        prompts,
        planned: shown.planned,
        ln_e: if ln_e.is_finite() { ln_e } else { f64::MAX },
        sentence: sentence(shown, decision, enough),
    }
}

fn sentence(shown: &Shown, decision: Decision, enough: f64) -> String {
    let Shown { estimate, margin, units, .. } = *shown;
    let count = |n: u64| counted(n, shown.counted);
    match decision {
        Decision::Error => shown.broken.clone().unwrap_or_default(),
        Decision::Regressed => match shown.upper {
            Some(upper) if upper >= -margin => format!(
                "{} of {} lost more than {}, {} gained as much: more than {}% are ruined \
                 (on average {estimate:+.4})",
                shown.ruined,
                count(units),
                shown.drop,
                shown.mended,
                100.0 * shown.share,
            ),
            Some(upper) => format!(
                "worse by {:.4} on average, at least {:.4}, which is more than the margin of {margin}",
                -estimate, -upper,
            ),
            None => {
                format!("worse by {:.4} on average, more than the margin of {margin}", -estimate)
            }
        },
        Decision::Improved => format!(
            "better by {estimate:.4} on average, {}more than the margin of {margin}",
            shown.lower.map(|l| format!("at least {l:.4}, ")).unwrap_or_default(),
        ),
        Decision::Pass => format!(
            "not worse: changed by {estimate:+.4} on average{}, within the margin of {margin}; {}",
            shown.lower.map(|l| format!(", {l:+.4} at the worst")).unwrap_or_default(),
            tail_kept(shown),
        ),
        _ => {
            if let Some(caveat) = &shown.caveat {
                return caveat.clone();
            }
            let bounds = match (shown.lower, shown.upper) {
                (Some(lower), Some(upper)) => format!(", between {lower:+.4} and {upper:+.4}"),
                _ => String::new(),
            };
            let changed = format!("changed by {estimate:+.4} on average{bounds}");
            if shown.ln_regressed >= enough {
                format!(
                    "{changed}: on its own this would be a regression, among all comparisons of \
                     this run it is not sure enough"
                )
            } else if shown.ln_not_worse >= enough {
                format!(
                    "{changed}: the mean holds the margin of {margin}, but {}",
                    tail_open(shown)
                )
            } else if units < MIN_UNITS {
                let few = if units == 1 { "is" } else { "are" };
                format!(
                    "{} {few} too few to tell a change from chance; give at least {MIN_UNITS}",
                    count(units)
                )
            } else {
                format!(
                    "{changed}: this does not show a loss of more than the margin of {margin}, \
                     nor rule it out"
                )
            }
        }
    }
}

/// `1 prompt`, `12 images`.
pub fn counted(n: u64, units: Units) -> String {
    let what = match units {
        Units::Prompts => "prompt",
        Units::Images => "image",
    };
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn tail_kept(shown: &Shown) -> String {
    let Shown { ruined, units, drop, share, .. } = *shown;
    let all = counted(units, shown.counted);
    let percent = 100.0 * share;
    match ruined {
        0 => format!("none of {all} lost more than {drop}, which rules out {percent}%"),
        n => format!("{n} of {all} lost more than {drop}, fewer than {percent}%"),
    }
}

fn tail_open(shown: &Shown) -> String {
    let Shown { ruined, units, drop, share, needed, .. } = *shown;
    let all = counted(units, shown.counted);
    let percent = 100.0 * share;
    match ruined {
        0 => format!(
            "{all} cannot rule out that {percent}% lose more than {drop}: that takes {needed}"
        ),
        n => format!("{n} of {all} lost more than {drop}, which does not rule out {percent}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy<'_> = Policy {
        direction: Direction::HigherIsBetter,
        margin: 0.02,
        bound: Some(1.0),
        drop: 0.2,
        share: 0.02,
        alpha: 0.05,
        units: Units::Prompts,
        method: Method::Anytime,
        planned: 200,
        looks: &[],
    };

    /// Alone in its run: a claim stands with 1/α.
    fn decide(pairs: &[Pair<'_>], policy: Policy<'_>) -> PairedVerdict {
        let shown = show(pairs, policy);
        let enough = -policy.alpha.ln();
        let standing = Standing {
            regressed: shown.ln_regressed >= enough,
            improved: shown.ln_improved >= enough,
        };
        conclude(&shown, standing, policy.alpha)
    }

    fn pairs<'a>(prompts: &'a [String], loss: f64) -> Vec<Pair<'a>> {
        prompts
            .iter()
            .enumerate()
            .flat_map(|(i, prompt)| {
                [1, 2].map(|seed| {
                    let base = 0.6 + 0.01 * ((i * 7 + seed) % 5) as f64;
                    let wobble = 0.004 * (((i * 3 + seed) % 5) as f64 - 2.0);
                    Pair { prompt, seed: seed as i64, base, head: base - loss - wobble }
                })
            })
            .collect()
    }

    fn prompts(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("prompt {i:03}")).collect()
    }

    #[test]
    fn a_loss_a_gain_and_no_change_are_told_apart() {
        let prompts = prompts(160);
        let of = |loss| decide(&pairs(&prompts, loss), POLICY);
        let worse = of(0.1);
        assert_eq!(worse.decision, Decision::Regressed, "{worse:?}");
        assert_eq!((worse.pairs, worse.prompts), (320, 160));
        assert!(worse.upper.is_some_and(|upper| upper < -0.02), "{worse:?}");
        let same = of(0.0);
        assert_eq!(same.decision, Decision::Pass, "{same:?}");
        assert!(same.sentence.contains("none of 160 prompts lost more than 0.2"), "{same:?}");
        let better = of(-0.1);
        assert_eq!(better.decision, Decision::Improved, "{better:?}");
        assert_eq!(of(0.02).decision, Decision::Inconclusive, "at the margin");
    }

    #[test]
    fn a_pass_needs_enough_units_to_rule_out_ruined_ones() {
        let prompts = prompts(160);
        let some = &prompts[..100];
        let verdict = decide(&pairs(some, 0.0), POLICY);
        assert_eq!(verdict.decision, Decision::Inconclusive);
        assert!(verdict.sentence.contains("100 prompts cannot rule out that 2%"), "{verdict:?}");
        assert!(verdict.sentence.contains("that takes 150"), "{verdict:?}");
        let mut ruined = pairs(&prompts, 0.0);
        for pair in ruined.iter_mut().skip(7).step_by(60) {
            pair.head = pair.base - 0.06;
        }
        let strict = Policy { drop: 0.05, ..POLICY };
        let verdict = decide(&ruined, strict);
        assert_eq!(verdict.decision, Decision::Inconclusive);
        assert!(verdict.sentence.contains("6 of 160 prompts lost more than 0.05"), "{verdict:?}");
        let lax = Policy { share: 0.05, ..POLICY };
        assert_eq!(decide(&pairs(some, 0.0), lax).decision, Decision::Pass);
    }

    #[test]
    fn a_share_of_ruined_units_is_a_regression_that_a_good_mean_does_not_hide() {
        let prompts = prompts(400);
        let mut some = pairs(&prompts, -0.03);
        for pair in some.iter_mut().step_by(20) {
            pair.head = pair.base - 0.5;
        }
        let verdict = decide(&some, POLICY);
        assert_eq!(verdict.decision, Decision::Regressed, "{verdict:?}");
        assert!(verdict.sentence.contains("40 of 400 prompts lost more than 0.2"), "{verdict:?}");
    }

    #[test]
    fn seeds_do_not_make_up_for_prompts_unless_images_are_counted() {
        let prompts = prompts(3);
        let many_seeds: Vec<Pair<'_>> = (0..300)
            .map(|i| Pair { prompt: &prompts[i % 3], seed: i as i64, base: 0.9, head: 0.1 })
            .collect();
        let verdict = decide(&many_seeds, POLICY);
        assert_eq!(verdict.decision, Decision::Inconclusive);
        assert!(verdict.sentence.contains("3 prompts are too few"), "{}", verdict.sentence);
        let images = Policy { units: Units::Images, ..POLICY };
        assert_eq!(decide(&many_seeds, images).decision, Decision::Regressed);
    }

    #[test]
    fn a_broken_score_is_an_error_that_names_its_cell() {
        let prompts = prompts(12);
        let mut broken = pairs(&prompts, 0.2);
        broken[5].head = f64::NAN;
        let verdict = decide(&broken, POLICY);
        assert_eq!(verdict.decision, Decision::Error);
        assert!(verdict.sentence.contains("seed 2") && verdict.sentence.contains("prompt 002"));
        broken[5].head = f64::INFINITY;
        assert_eq!(decide(&broken, POLICY).decision, Decision::Error);
    }

    #[test]
    fn a_planned_maximum_by_groups_decides_the_same_clear_cases() {
        let prompts = prompts(160);
        let looks = [40, 80, 160];
        let policy =
            Policy { method: Method::GroupSequential, planned: 160, looks: &looks, ..POLICY };
        assert_eq!(decide(&pairs(&prompts, 0.1), policy).decision, Decision::Regressed);
        assert_eq!(decide(&pairs(&prompts, 0.0), policy).decision, Decision::Pass);
        assert_eq!(decide(&pairs(&prompts, 0.02), policy).decision, Decision::Inconclusive);
    }

    proptest! {
        #[test]
        fn order_and_sign_conventions_do_not_matter(
            heads in prop::collection::vec(0.0..1.0f64, 12..60), rotate in 0usize..60,
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

        #[test]
        fn swapping_the_sides_mirrors_the_interval(
            losses in prop::collection::vec(-0.3..0.3f64, 30..80),
        ) {
            let names = prompts(losses.len());
            let make = |sign: f64| -> Vec<Pair<'_>> {
                losses.iter().zip(&names)
                    .map(|(loss, p)| Pair { prompt: p, seed: 1, base: 0.5, head: 0.5 - sign * loss })
                    .collect()
            };
            let (a, b) = (show(&make(1.0), POLICY), show(&make(-1.0), POLICY));
            prop_assert!((a.estimate + b.estimate).abs() < 1e-12);
            if let (Some(lower), Some(upper)) = (a.lower, b.upper) {
                prop_assert!((lower + upper).abs() < 1e-6, "{lower} {upper}");
            }
        }
    }
}
