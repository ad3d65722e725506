//! The evidence about one metric of one test, unit by unit.
//!
//! A unit is a prompt: its seeds' differences averaged, since images of one prompt are not
//! independent of each other. Everything here may be looked at after any number of units, and as
//! often as one likes: that is what e-processes are for.

use super::asymptotic::{self, Claim, MIN_UNITS, Prior};
use super::betting::{self, Betting};
use super::moments::Moments;
use super::tail::Tail;

/// What is asked of a metric. The levels at which claims are made are not part of it: they are
/// passed to whoever compares evidence with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// δ ≥ 0: the mean loss that is still accepted, in the metric's own unit.
    pub margin: f64,
    /// The largest absolute difference that two scores can have, where the metric has a range:
    /// its width. None for a metric without one.
    pub bound: Option<f64>,
    /// τ > 0: the loss in one image that counts as a disaster, in the metric's own unit.
    pub drop: f64,
    /// p₀, between 0 and 1: the share of disasters that a pass rules out.
    pub disasters: f64,
    /// The level, and the units, that the evidence is tuned to be strongest at. It is valid at
    /// every other level and number of units too.
    pub alpha: f64,
    pub planned: u64,
}

/// A prompt that is no evidence. The sequence is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("a prompt without a single image says nothing")]
    Empty,
    #[error("the difference {value} is not a number that a mean can be taken of")]
    NotFinite { value: f64 },
    #[error(
        "the difference {value} does not lie between −{bound} and {bound}, as the metric's range says"
    )]
    OutOfBounds { value: f64, bound: f64 },
}

/// The largest absolute difference whose third power, which the skewness is made of, can be summed.
const LARGEST: f64 = 1e90;

/// Natural logarithms of e-values. 0 or less is no evidence; ln(1/α) is enough for one claim at level α.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The mean is worse by more than the margin.
    pub regressed: f64,
    /// The mean is better by more than the margin.
    pub improved: f64,
    /// The mean is not worse by more than the margin.
    pub not_worse: f64,
    /// Fewer units than p₀ are ruined.
    pub no_disasters: f64,
    /// More units are ruined than mended, by more than p₀.
    pub ruined: f64,
}

/// The tail's share of the evidence of a regression: what it costs the mean's is −ln(1 − share).
const RUINED: f64 = 0.1;

impl Evidence {
    /// The e-value for "worse": in the mean by more than the margin, or in a share of the units.
    /// A weighted mean of e-values is one for the claim that either holds.
    pub fn worse(&self) -> f64 {
        let most = self.regressed.max(self.ruined);
        let (mean, tail) = ((self.regressed - most).exp(), (self.ruined - most).exp());
        most + ((1.0 - RUINED) * mean + RUINED * tail).ln()
    }

    /// Whether both halves of a pass hold at level `alpha`. Each is a claim of its own, and both
    /// must stand: the pair is wrong no more often than either (an intersection–union test).
    pub fn passes(&self, alpha: f64) -> bool {
        self.not_worse.min(self.no_disasters) >= -alpha.ln()
    }

    /// The e-value for "better by more than the margin, and fewer images than p₀ are ruined", to be
    /// held against 1/α or given to e-BH. Without its second half, a head that ruins one image in
    /// fifty and is a little better in all others would be called better: until the first ruined
    /// one, its mean is. The smaller of two e-values is one for both claims together.
    pub fn improvement(&self) -> f64 {
        self.improved.min(self.no_disasters)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    question: Question,
    prior: Prior,
    units: Moments,
    /// Regressed, improved, not worse: each where the metric has a range.
    bets: [Option<Betting>; 3],
    /// The units themselves, where there are bets: against another null, bets are made anew.
    values: Vec<f64>,
    tail: Tail,
}

/// Each claim about the mean with the null it stands against, as a multiple of the margin.
const CLAIMS: [(Claim, f64); 3] = [(Claim::Below, -1.0), (Claim::Above, 1.0), (Claim::Above, -1.0)];

impl Sequence {
    pub fn new(question: Question) -> Self {
        let bets = CLAIMS.map(|(claim, margins)| {
            Betting::new(claim, margins * question.margin, question.bound?)
        });
        Self {
            prior: Prior::tuned(question.alpha, question.planned),
            units: Moments::default(),
            bets,
            values: Vec::new(),
            tail: Tail::new(question.drop, question.disasters),
            question,
        }
    }

    /// Adds a prompt by the improvements of its images, positive where the head is better. At
    /// least one.
    pub fn push(&mut self, improvements: &[f64]) -> Result<(), Refused> {
        if improvements.is_empty() {
            return Err(Refused::Empty);
        }
        for value in improvements.iter().copied() {
            if !value.is_finite() || value.abs() > LARGEST {
                return Err(Refused::NotFinite { value });
            }
            // A rounding error past the end of the range is no broken promise.
            if let Some(bound) = self.question.bound.filter(|b| value.abs() > b * (1.0 + 1e-9)) {
                return Err(Refused::OutOfBounds { value, bound });
            }
        }
        let unit = improvements.iter().sum::<f64>() / improvements.len() as f64;
        for bet in self.bets.iter_mut().flatten() {
            let pushed = bet.push(unit);
            debug_assert!(pushed.is_ok(), "a mean of values in bounds is in bounds");
        }
        if self.question.bound.is_some() {
            self.values.push(unit);
        }
        self.units.push(unit);
        // A prompt that one seed ruins may be one that all of them do: its images are one unit.
        self.tail.push(improvements);
        Ok(())
    }

    pub fn units(&self) -> &Moments {
        &self.units
    }

    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    pub fn evidence(&self) -> Evidence {
        let [regressed, improved, not_worse] = [0, 1, 2].map(|claim| self.of_claim(claim));
        Evidence {
            regressed,
            improved,
            not_worse,
            no_disasters: self.tail.ln_e(),
            ruined: self.tail.ln_e_ruined(),
        }
    }

    /// ln of the e-value of one of [`CLAIMS`].
    fn of_claim(&self, index: usize) -> f64 {
        let (claim, margins) = CLAIMS[index];
        let bets = self.bets[index].as_ref().map(Betting::ln_e);
        self.ln_e(claim, margins * self.question.margin, bets)
    }

    /// A weighted mean of e-values is one. Bets see a large loss in a handful of units and hold for
    /// any distribution; the mixture sees a small one far sooner.
    fn ln_e(&self, claim: Claim, null: f64, bets: Option<f64>) -> f64 {
        let asymptotic = asymptotic::ln_e(&self.units, null, claim, self.prior);
        let share = if betting::is_cautious(claim, null) { CAUTIOUS_BETS } else { BETS };
        bets.map_or(asymptotic, |bets| ln_mean(asymptotic, bets, share))
    }

    /// Two bounds on the mean improvement, each one-sided at level `alpha`: the ends of the nulls
    /// that the evidence does not reject. They belong to a confidence sequence, so that they hold
    /// at whatever number of units one stops, and they never contradict [`Sequence::evidence`]: the
    /// upper one lies below −δ just where `regressed` reaches ln(1/α), the lower one above −δ where
    /// `not_worse` does, and above δ where `improved` does.
    ///
    /// None where nothing could be rejected yet: without a range, for fewer than [`MIN_UNITS`]
    /// units or equal ones. It takes a pass over all units some fifty times for each bound.
    pub fn interval(&self, alpha: f64) -> Option<(f64, f64)> {
        let lower = self.end(Claim::Above, alpha)?;
        let upper = self.end(Claim::Below, alpha)?;
        Some((lower, upper))
    }

    /// By bisection, since the evidence for a claim never falls as its null moves away from the
    /// mean; where the null is the sample's mean, there is none.
    fn end(&self, claim: Claim, alpha: f64) -> Option<f64> {
        let enough = -alpha.ln();
        let (mean, sd) = (self.units.mean(), self.units.variance().sqrt());
        // A claim "above" has its end below the mean.
        let away = -claim.sign();
        let bound = self.question.bound.filter(|bound| self.question.margin < *bound);
        let reaches = |null: f64| {
            let bets = bound.and_then(|b| betting::ln_e(claim, null, b, &self.values));
            self.ln_e(claim, null, bets) >= enough
        };
        // The weights of the mixture change at 0: beyond it a null is rejected only if those just
        // before it are, so that what is rejected has no holes.
        let before_zero = reaches(away * f64::MIN_POSITIVE);
        let rejects = |null: f64| reaches(null) && (away * null > 0.0 || before_zero);
        let (mut kept, mut rejected) = match bound {
            Some(_) if self.units.count() == 0 => return None,
            Some(bound) => (mean, away * bound),
            None => {
                let trusted = self.units.count() >= MIN_UNITS && sd > 0.0;
                let far = (0..64).map(|k| mean + away * sd * 2_f64.powi(k)).find(|m| rejects(*m));
                (mean, far.filter(|_| trusted)?)
            }
        };
        // The nulls of the claims come first, by the evidence itself: no rounding error may tell
        // another story than it does.
        for (index, (its, margins)) in CLAIMS.into_iter().enumerate() {
            if its == claim {
                let null = margins * self.question.margin;
                if self.of_claim(index) < enough {
                    kept = if away * (null - kept) > 0.0 { null } else { kept };
                } else if away * (rejected - null) > 0.0 {
                    rejected = null;
                }
            }
        }
        for _ in 0..60 {
            let middle = f64::midpoint(kept, rejected);
            if middle == kept || middle == rejected {
                break;
            }
            if rejects(middle) { rejected = middle } else { kept = middle }
        }
        Some(kept)
    }

    /// A forecast, to share out a budget by: about how many more units until `regressed` or both
    /// halves of a pass reach ln(1/α), if the mean, the standard deviation s and the share of
    /// disasters stay what they are. None where they would not, or for fewer than two units.
    ///
    /// ln e grows by ln(1 + ((mean + δ)/s)²)/2 with a unit, as the logarithm of the likelihood ratio
    /// of two normal means does (about (effect/sd)²/2 where that is small), or where the metric has a range by what the best of the bets has gained
    /// so far; the tail guard's by [`Tail::growth`].
    pub fn units_needed(&self, alpha: f64) -> Option<f64> {
        let evidence = self.evidence();
        let n = self.units.count() as f64;
        if n < 2.0 {
            return None;
        }
        let until = |ln_e: f64, growth: f64| match (-alpha.ln() - ln_e).max(0.0) {
            0.0 => Some(0.0),
            missing => (growth > 0.0).then(|| missing / growth),
        };
        let excess = self.units.mean() + self.question.margin;
        let sd = self.units.variance().sqrt();
        let mean_decides = |ln_e: f64, index: usize| {
            let (claim, _) = CLAIMS[index];
            let effect = (claim.sign() * excess).max(0.0) / sd;
            let normal = if sd > 0.0 { (effect * effect).ln_1p() / 2.0 } else { 0.0 };
            let asymptotic = until(ln_e, normal).map(|units| units.max(MIN_UNITS as f64 - n));
            let bets = self.bets[index].as_ref();
            let bets = bets.and_then(|bets| until(ln_e, bets.ln_best() / n));
            [asymptotic, bets].into_iter().flatten().reduce(f64::min)
        };
        let regressed = mean_decides(evidence.regressed, 0);
        let passed = mean_decides(evidence.not_worse, 2)
            .zip(until(evidence.no_disasters, self.tail.growth()))
            .map(|(mean, tail)| mean.max(tail));
        [regressed, passed].into_iter().flatten().reduce(f64::min)
    }
}

/// The bets' share of the mean: what they cost the mixture is −ln(1 − share).
const BETS: f64 = 0.1;

/// Theirs where the claim is that not much has happened: a pass waits for its tail guard anyway, and
/// of scores that do not move at all only bets know what to make.
const CAUTIOUS_BETS: f64 = 0.5;

fn ln_mean(asymptotic: f64, bets: f64, share: f64) -> f64 {
    let most = asymptotic.max(bets);
    most + ((1.0 - share) * (asymptotic - most).exp() + share * (bets - most).exp()).ln()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    const QUESTION: Question = Question {
        margin: 0.02,
        bound: Some(1.0),
        drop: 0.2,
        disasters: 0.02,
        alpha: 0.05,
        planned: 60,
    };

    fn of(question: Question, prompts: &[Vec<f64>]) -> Sequence {
        let mut sequence = Sequence::new(question);
        for prompt in prompts {
            sequence.push(prompt).unwrap();
        }
        sequence
    }

    #[test]
    fn a_disaster_everywhere_is_seen_before_the_asymptotics_begin() {
        let prompts = vec![vec![-0.6, -0.7]; 18];
        assert!(of(QUESTION, &prompts).evidence().regressed >= 20_f64.ln());
        let unbounded = Question { bound: None, ..QUESTION };
        assert_eq!(of(unbounded, &prompts).evidence().regressed, 0.0);
    }

    #[test]
    fn no_change_passes_once_disasters_are_ruled_out() {
        let prompts: Vec<Vec<f64>> = (0..150)
            .map(|i| vec![0.004 * f64::from(i % 5 - 2), 0.003 * f64::from(i % 3 - 1)])
            .collect();
        let at = |n: usize| of(QUESTION, &prompts[..n]).evidence();
        assert!(at(150).passes(0.05), "{:?}", at(150));
        assert!(!at(149).passes(0.05), "149 prompts do not rule out 2%");
        let mut ruined = prompts.clone();
        ruined[3][0] = -0.5;
        assert!(!of(QUESTION, &ruined).evidence().passes(0.05));
    }

    #[test]
    fn what_is_no_evidence_is_refused_and_changes_nothing() {
        for bound in [Some(1.0), None] {
            let mut sequence = of(Question { bound, ..QUESTION }, &vec![vec![0.1, -0.2]; 40]);
            let before = sequence.clone();
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e200] {
                let refused = sequence.push(&[0.1, value]).unwrap_err();
                assert!(matches!(refused, Refused::NotFinite { .. }), "{refused}");
            }
            assert_eq!(sequence.push(&[]), Err(Refused::Empty));
            let beyond = sequence.clone().push(&[0.9, -1.1]);
            let expected =
                bound.map_or(Ok(()), |bound| Err(Refused::OutOfBounds { value: -1.1, bound }));
            assert_eq!(beyond, expected, "though the mean of the two lies inside");
            assert_eq!(sequence, before);
        }
    }

    #[test]
    fn nothing_rejected_is_no_interval() {
        let unbounded = Question { bound: None, ..QUESTION };
        let spread: Vec<Vec<f64>> = (0..29).map(|i| vec![0.01 * f64::from(i % 3)]).collect();
        assert_eq!(of(unbounded, &spread).interval(0.05), None);
        assert_eq!(of(unbounded, &vec![vec![0.1]; 100]).interval(0.05), None);
        assert_eq!(Sequence::new(QUESTION).interval(0.05), None);
        let (lower, upper) = of(QUESTION, &spread).interval(0.05).unwrap();
        assert!((-1.0..0.0).contains(&lower) && (0.02..=1.0).contains(&upper), "{lower} {upper}");
    }

    #[test]
    fn the_forecast_is_about_what_it_takes() {
        let at = |n: u32, shift: f64| {
            let prompts: Vec<Vec<f64>> =
                (0..n).map(|i| vec![shift + 0.05 * (f64::from(i % 5) - 2.0)]).collect();
            of(QUESTION, &prompts)
        };
        for shift in [-0.09, 0.03] {
            let forecast = 40.0 + at(40, shift).units_needed(0.05).unwrap();
            let decided = |n: u32| {
                let evidence = at(n, shift).evidence();
                evidence.regressed >= 20_f64.ln() || evidence.passes(0.05)
            };
            let truth = f64::from((40..2000).find(|n| decided(*n)).unwrap());
            assert!((0.7..1.4).contains(&(forecast / truth)), "{shift}: {forecast} {truth}");
        }
        assert_eq!(at(400, 0.03).units_needed(0.05), Some(0.0));
        assert_eq!(at(1, 0.03).units_needed(0.05), None);
        let ruined = of(QUESTION, &vec![vec![0.5, -0.3]; 40]);
        assert_eq!(ruined.units_needed(0.05), None, "half of its images are");
    }

    #[test]
    fn a_million_units_ties_and_constants_stay_finite() {
        let mut sequence = Sequence::new(QUESTION);
        let mut constant = Sequence::new(QUESTION);
        for i in 0..1_000_000_u32 {
            sequence.push(&[f64::from(i % 3) - 1.0]).unwrap();
            constant.push(&[0.0]).unwrap();
        }
        for sequence in [sequence, constant] {
            let e = sequence.evidence();
            for ln_e in [e.regressed, e.improved, e.not_worse, e.no_disasters] {
                assert!(ln_e.is_finite(), "{e:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_interval_and_the_evidence_tell_one_story(
            prompts in prop::collection::vec(prop::collection::vec(-0.2..0.2f64, 1..3), 1..120),
            shift in -0.3..0.3f64, bounded in any::<bool>(), margin in 0.0..0.1f64,
            alpha in 0.001..0.2f64,
        ) {
            let question = Question { bound: bounded.then_some(1.0), margin, ..QUESTION };
            let shifted: Vec<Vec<f64>> =
                prompts.iter().map(|p| p.iter().map(|d| d + shift).collect()).collect();
            let sequence = of(question, &shifted);
            let (evidence, enough) = (sequence.evidence(), -alpha.ln());
            let interval = sequence.interval(alpha);
            let (lower, upper) = interval.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
            prop_assert_eq!(upper < -margin, evidence.regressed >= enough);
            prop_assert_eq!(lower > -margin, evidence.not_worse >= enough);
            prop_assert_eq!(lower > margin, evidence.improved >= enough);
            if interval.is_some() {
                prop_assert!(lower <= sequence.units().mean() && sequence.units().mean() <= upper);
                let (wider, _) = sequence.interval(alpha / 2.0).unwrap();
                prop_assert!(wider <= lower + 1e-9);
            }
        }

        #[test]
        fn swapping_the_sides_swaps_regressed_and_improved(
            prompts in prop::collection::vec(prop::collection::vec(-0.9..0.9f64, 1..4), 1..80),
            bounded in any::<bool>(),
        ) {
            let question = Question { bound: bounded.then_some(1.0), ..QUESTION };
            let swapped: Vec<Vec<f64>> =
                prompts.iter().map(|p| p.iter().map(|d| -d).collect()).collect();
            let (a, b) = (of(question, &prompts).evidence(), of(question, &swapped).evidence());
            prop_assert!((a.regressed - b.improved).abs() < 1e-9 * (1.0 + a.regressed.abs()));
            prop_assert!((a.improved - b.regressed).abs() < 1e-9 * (1.0 + b.regressed.abs()));
        }

        #[test]
        fn the_order_of_prompts_in_a_batch_does_not_matter(
            prompts in prop::collection::vec(prop::collection::vec(-0.9..0.9f64, 1..4), 2..80),
            rotate in 0usize..80,
        ) {
            let mut rotated = prompts.clone();
            rotated.rotate_left(rotate % prompts.len());
            let (a, b) = (of(QUESTION, &prompts).evidence(), of(QUESTION, &rotated).evidence());
            for (x, y) in [
                (a.regressed, b.regressed),
                (a.improved, b.improved),
                (a.not_worse, b.not_worse),
                (a.no_disasters, b.no_disasters),
            ] {
                prop_assert!((x - y).abs() < 1e-6 * (1.0 + x.abs()), "{x} {y}");
            }
        }

        #[test]
        fn evidence_never_comes_from_the_future(
            prompts in prop::collection::vec(prop::collection::vec(-0.9..0.9f64, 1..4), 2..60),
            cut in 1usize..59,
        ) {
            let cut = cut.min(prompts.len() - 1);
            let mut other = prompts.clone();
            for prompt in &mut other[cut..] {
                prompt.iter_mut().for_each(|d| *d = -*d);
            }
            let (mut a, mut b) = (Sequence::new(QUESTION), Sequence::new(QUESTION));
            for (x, y) in prompts[..cut].iter().zip(&other[..cut]) {
                a.push(x).unwrap();
                b.push(y).unwrap();
            }
            prop_assert_eq!(a.evidence(), b.evidence());
        }
    }
}
