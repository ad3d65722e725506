//! The evidence about one metric of one test, unit by unit.
//!
//! A unit is a prompt: its seeds' differences averaged, since images of one prompt are not
//! independent of each other. Everything here may be looked at after any number of units, and as
//! often as one likes: that is what e-processes are for.

use super::asymptotic::{self, Claim};
use super::betting::{Betting, OutOfBounds};
use super::moments::Moments;
use super::tail::Tail;

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// δ ≥ 0: the mean loss that is still accepted, in the metric's own unit.
    pub margin: f64,
    /// The largest absolute difference of two scores, where the metric has a range.
    pub bound: Option<f64>,
    /// τ > 0: the loss in one image that counts as a disaster.
    pub drop: f64,
    /// p₀: the share of disasters that a pass rules out.
    pub disasters: f64,
    /// The error rate, and the units that the evidence is tuned to be strongest at.
    pub alpha: f64,
    pub planned: u64,
}

/// Natural logarithms of e-values. 0 is no evidence; ln(1/α) is enough for one claim at level α.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The mean is worse by more than the margin.
    pub regressed: f64,
    /// The mean is better by more than the margin.
    pub improved: f64,
    /// The mean is not worse by more than the margin.
    pub not_worse: f64,
    /// Fewer images than p₀ are ruined.
    pub no_disasters: f64,
}

impl Evidence {
    /// Whether both halves of a pass hold at level `alpha`. Each is a claim of its own, and both
    /// must stand: the pair is wrong no more often than either (an intersection–union test).
    pub fn passes(&self, alpha: f64) -> bool {
        self.not_worse.min(self.no_disasters) >= -alpha.ln()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    question: Question,
    rho2: f64,
    units: Moments,
    /// Regressed, improved, not worse: each where the metric has a range.
    bets: [Option<Betting>; 3],
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
            rho2: asymptotic::rho_squared(question.alpha, question.planned),
            units: Moments::default(),
            bets,
            tail: Tail::new(question.drop, question.disasters),
            question,
        }
    }

    /// Adds a prompt by the improvements of its images, positive where the head is better. At
    /// least one.
    pub fn push(&mut self, improvements: &[f64]) -> Result<(), OutOfBounds> {
        let unit = improvements.iter().sum::<f64>() / improvements.len().max(1) as f64;
        for bet in self.bets.iter_mut().flatten() {
            bet.push(unit)?;
        }
        self.units.push(unit);
        for improvement in improvements {
            self.tail.push(*improvement);
        }
        Ok(())
    }

    pub fn units(&self) -> &Moments {
        &self.units
    }

    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    pub fn evidence(&self) -> Evidence {
        let mut claims = [0.0; 3];
        for ((ln_e, bet), (claim, margins)) in claims.iter_mut().zip(&self.bets).zip(CLAIMS) {
            let null = margins * self.question.margin;
            let asymptotic = asymptotic::ln_e(&self.units, null, claim, self.rho2);
            // A weighted mean of e-values is one. Bets see a large loss in a handful of units and
            // hold for any distribution; the mixture sees a small one far sooner.
            *ln_e = bet.as_ref().map_or(asymptotic, |bet| ln_mean(asymptotic, bet.ln_e()));
        }
        let [regressed, improved, not_worse] = claims;
        Evidence { regressed, improved, not_worse, no_disasters: self.tail.ln_e() }
    }
}

/// The bets' share of the mean: what they cost the mixture is −ln(1 − share).
const BETS: f64 = 0.2;

fn ln_mean(asymptotic: f64, bets: f64) -> f64 {
    let most = asymptotic.max(bets);
    most + ((1.0 - BETS) * (asymptotic - most).exp() + BETS * (bets - most).exp()).ln()
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
        let prompts: Vec<Vec<f64>> = (0..75)
            .map(|i| vec![0.004 * f64::from(i % 5 - 2), 0.003 * f64::from(i % 3 - 1)])
            .collect();
        let at = |n: usize| of(QUESTION, &prompts[..n]).evidence();
        assert!(at(75).passes(0.05), "{:?}", at(75));
        assert!(!at(74).passes(0.05), "148 images do not rule out 2%");
        let mut ruined = prompts.clone();
        ruined[3][0] = -0.5;
        assert!(!of(QUESTION, &ruined).evidence().passes(0.05));
    }

    proptest! {
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
