//! What each metric of a test shows, before the run's claims are weighed together.

use std::collections::BTreeSet;

use super::judging::TestJudge;
use crate::cell;
use crate::config::{DROP_MARGINS, Method, Units};
use crate::metric::{Category, Direction, MetricInfo};
use crate::result::{CellRun, Summary};
use crate::suite::TestKind;
use crate::threshold;
use crate::verdict::bootstrap;
use crate::verdict::paired::{self, Pair, Policy, Shown};
use crate::verdict::sequence::{Question, Sequence};
use crate::verdict::welch::Welch;

/// How a metric tells better from worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A visual regression: every image holds its threshold or is another one.
    Visual,
    /// It compares an image with the base's itself: a distance, of which more is different and
    /// not yet worse.
    Distance,
    /// One score of all images.
    Batch,
    /// Scores of base and head, pair by pair.
    Paired,
}

pub(super) struct Measured<'a> {
    pub info: &'a MetricInfo,
    pub kind: Kind,
    pub base: Option<Summary>,
    pub head: Summary,
    pub threshold: Option<f64>,
    /// Why the threshold is missed by the images that there are.
    pub missed: Option<String>,
    /// Whether more images would leave the mean on its side of the threshold; true without one.
    pub clear: bool,
    pub shown: Option<Shown>,
    /// The same on fresh seeds.
    pub confirmation: Option<Shown>,
}

impl Measured<'_> {
    pub fn ln_regressed(&self) -> f64 {
        self.shown.as_ref().map_or(f64::NEG_INFINITY, |s| s.ln_regressed)
    }

    pub fn ln_improved(&self) -> f64 {
        self.shown.as_ref().map_or(f64::NEG_INFINITY, |s| s.ln_improved)
    }
}

/// A p-value's claim among e-values: everything staked on the level that Bonferroni would ask
/// for. E[K/α·1{p ≤ α/K}] ≤ 1, so it is an e-value, and it stands alone.
fn all_or_nothing(p: f64, alpha: f64, claims: usize) -> f64 {
    if p <= alpha / claims.max(1) as f64 { f64::INFINITY } else { 0.0 }
}

impl<'a> TestJudge<'a> {
    /// In the order of the test's metrics; one without any score of the head's is left out.
    pub(super) fn measure(&self) -> Vec<Measured<'a>> {
        let names = self.head.spec.metrics();
        names.iter().filter_map(|name| self.metric(self.run.metrics.get(name)?)).collect()
    }

    fn metric(&self, info: &'a MetricInfo) -> Option<Measured<'a>> {
        let name = &info.name;
        let head = self.head.summary(name)?;
        let kind = match (&self.head.spec.kind, info.category) {
            (TestKind::VisualRegression { .. }, _) => Kind::Visual,
            (TestKind::Quality { .. }, Category::Batch) => Kind::Batch,
            (TestKind::Quality { .. }, Category::Reference) => Kind::Distance,
            (TestKind::Quality { .. }, Category::PerSample) => Kind::Paired,
        };
        let scores: Vec<f64> = match kind {
            Kind::Batch => vec![head.mean],
            _ => self.head.scores(name).map(|(_, v)| v).collect(),
        };
        let threshold = self.head.spec.threshold(name);
        let (shown, confirmation) = match kind {
            Kind::Visual => (None, None),
            Kind::Batch => (self.batch(info), None),
            Kind::Distance => (self.distance(info), None),
            Kind::Paired if self.base.is_none() => (None, None),
            Kind::Paired => match self.unpaired_because() {
                Some(why) => (self.unpaired(info, why), None),
                None => (self.paired(info), self.confirmation(info)),
            },
        };
        let base = match kind {
            Kind::Visual | Kind::Distance => None,
            Kind::Batch | Kind::Paired => self.base.and_then(|base| base.summary(name)),
        };
        Some(Measured {
            info,
            kind,
            base,
            head,
            threshold,
            missed: threshold::missed(&self.head.spec, info, &scores),
            clear: threshold.is_none_or(|t| kind != Kind::Batch && self.is_clear(info, t)),
            shown,
            confirmation,
        })
    }

    fn margin(&self, info: &MetricInfo) -> f64 {
        self.settings.margins.get(&info.name).copied().unwrap_or(info.margin)
    }

    fn policy<'l>(&self, info: &MetricInfo, looks: &'l [u64]) -> Policy<'l> {
        let margin = self.margin(info);
        let drop = self.settings.tail.drops.get(&info.name).copied();
        let bound = info.range.map(|(low, high)| high - low);
        Policy {
            direction: info.direction,
            margin,
            // A margin as wide as the range leaves nothing to claim.
            bound: bound.filter(|bound| *bound > margin),
            drop: drop.unwrap_or(if margin > 0.0 {
                DROP_MARGINS * margin
            } else {
                f64::MIN_POSITIVE
            }),
            share: self.settings.tail.share,
            alpha: self.settings.alpha,
            units: self.settings.units,
            method: self.settings.method,
            planned: self.planned_units(),
            looks,
        }
    }

    fn show(&self, info: &MetricInfo, pairs: &[Pair<'_>]) -> Option<Shown> {
        let looks = self.looks();
        let mut policy = self.policy(info, &looks);
        if policy.method == Method::GroupSequential {
            // p-values have no e-BH: each claim has its share of α.
            policy.alpha /= self.claims.max(1) as f64;
        }
        (!pairs.is_empty()).then(|| paired::show(pairs, policy))
    }

    fn paired(&self, info: &MetricInfo) -> Option<Shown> {
        let base = self.base?;
        let pairs: Vec<Pair<'_>> = self
            .head
            .scores(&info.name)
            .filter_map(|(key, head)| {
                let score = *base.cells.get(key)?.scores.get(&info.name)?;
                Some(Pair { prompt: &key.prompt, seed: key.seed, base: score, head })
            })
            .collect();
        self.show(info, &pairs)
    }

    /// The pairs of fresh seeds: evidence of their own, from nothing.
    fn confirmation(&self, info: &MetricInfo) -> Option<Shown> {
        let base = self.base?;
        let score = |cell: &CellRun| cell.scores.get(&info.name).copied();
        let pairs: Vec<Pair<'_>> = self
            .head
            .confirmation
            .iter()
            .filter_map(|(key, cell)| {
                let (base, head) = (score(base.confirmation.get(key)?)?, score(cell)?);
                Some(Pair { prompt: &key.prompt, seed: key.seed, base, head })
            })
            .collect();
        (!pairs.is_empty()).then(|| {
            paired::show(&pairs, Policy { method: Method::Anytime, ..self.policy(info, &[]) })
        })
    }

    /// Differences from an image that is exactly the base's.
    fn distance(&self, info: &MetricInfo) -> Option<Shown> {
        let ideal = match (info.range, info.direction) {
            (Some((_, high)), Direction::HigherIsBetter) => high,
            (Some((low, _)), Direction::LowerIsBetter) => low,
            (None, Direction::LowerIsBetter) => 0.0,
            (None, Direction::HigherIsBetter) => return None,
        };
        let pairs: Vec<Pair<'_>> = self
            .head
            .scores(&info.name)
            .map(|(key, head)| Pair { prompt: &key.prompt, seed: key.seed, base: ideal, head })
            .collect();
        self.show(info, &pairs)
    }

    /// Why a seed's images of the two sides have nothing in common.
    fn unpaired_because(&self) -> Option<String> {
        let (base, head) = (self.base_run?, self.run);
        // A factory of the repository may be called anything.
        let is_factory = |run: &crate::result::Run| run.generator.contains(':');
        if base.generator != head.generator && !(is_factory(base) && is_factory(head)) {
            return Some(format!(
                "the generators differ, {} and {}",
                base.generator, head.generator
            ));
        }
        let size = |run: &crate::result::Run| (run.recipe.width, run.recipe.height);
        if size(base) != size(head) {
            return Some("the images' sizes differ".to_owned());
        }
        let there = self.base.map_or(0, |b| b.cells.len());
        let matched = self.matched.len();
        (there > 0 && 2 * matched < self.head.cells.len().min(there)).then(|| {
            format!(
                "only {matched} of {} images have a prompt and seed in common",
                self.head.cells.len()
            )
        })
    }

    /// Two samples of prompts: Welch's test, once, at the end.
    fn unpaired(&self, info: &MetricInfo, why: String) -> Option<Shown> {
        let base = self.base?;
        let sign = info.direction.improvement(0.0, 1.0);
        let means = |run: &crate::result::TestRun| -> Vec<f64> {
            let mut by_prompt = std::collections::BTreeMap::<&str, (f64, f64)>::new();
            for (key, cell) in &run.cells {
                let Some(score) = cell.scores.get(&info.name) else { continue };
                let (sum, n) = by_prompt.entry(&key.prompt).or_default();
                (*sum, *n) = (*sum + sign * score, *n + 1.0);
            }
            by_prompt.into_values().map(|(sum, n)| sum / n).collect()
        };
        let (before, after) = (means(base), means(self.head));
        let looks = self.looks();
        let policy = self.policy(info, &looks);
        let mut shown = Shown { caveat: None, ..paired::show(&[], policy) };
        shown.units = before.len().min(after.len()) as u64;
        shown.pairs = 0;
        let Some(test) = Welch::of(&before, &after) else {
            shown.caveat = Some(format!("compared without pairs, since {why}: too few prompts"));
            return Some(shown);
        };
        let alpha = self.settings.alpha;
        shown.estimate = test.estimate;
        (shown.lower, shown.upper) = {
            let (lower, upper) = test.interval(alpha);
            (Some(lower), Some(upper))
        };
        if self.complete {
            // A t-test may be looked at once.
            let margin = shown.margin;
            shown.ln_regressed = all_or_nothing(test.p_less(-margin), alpha, self.claims);
            shown.ln_improved = all_or_nothing(test.p_greater(margin), alpha, self.claims);
            shown.ln_not_worse = all_or_nothing(test.p_greater(-margin), alpha, 1);
            // Nothing pairs a ruined image with a good one; the mean alone decides, and it is said.
            shown.ln_no_disasters = f64::INFINITY;
            shown.passes = shown.ln_not_worse > 0.0;
        }
        shown.caveat = Some(format!(
            "changed by {:+.4} on average; compared without pairs, since {why}: that sees a loss \
             far later, and no single ruined image",
            test.estimate
        ));
        Some(shown)
    }

    /// One score of all images: what its bootstrap says, once all images are there.
    fn batch(&self, info: &MetricInfo) -> Option<Shown> {
        let (base, head) =
            (self.base?.batch_scores.get(&info.name)?, self.head.batch_scores.get(&info.name)?);
        let sign = info.direction.improvement(0.0, 1.0);
        let signed = |values: &[f64]| values.iter().map(|v| sign * v).collect::<Vec<f64>>();
        let alpha = self.settings.alpha;
        let policy = self.policy(info, &[]);
        let mut shown = paired::show(&[], policy);
        shown.estimate = sign * (head.value - base.value);
        shown.pairs = head.samples.min(base.samples);
        shown.units = self.units_made();
        shown.planned = self.planned_units();
        let found = bootstrap::interval(
            sign * base.value,
            sign * head.value,
            &signed(&base.replicates),
            &signed(&head.replicates),
            alpha,
        );
        let Some(found) = found else {
            shown.caveat = Some(format!(
                "changed by {:+.4}; this metric has no bootstrap, so nothing is known of its noise",
                shown.estimate
            ));
            return Some(shown);
        };
        (shown.lower, shown.upper) = (Some(found.lower), Some(found.upper));
        let share = bootstrap::interval(
            sign * base.value,
            sign * head.value,
            &signed(&base.replicates),
            &signed(&head.replicates),
            alpha / self.claims.max(1) as f64,
        );
        let stands = |claim: bool| if claim { f64::INFINITY } else { 0.0 };
        let margin = shown.margin;
        shown.ln_regressed = stands(share.as_ref().is_some_and(|b| b.upper < -margin));
        shown.ln_improved = stands(share.as_ref().is_some_and(|b| b.lower > margin));
        shown.ln_not_worse = stands(found.lower > -margin);
        shown.ln_no_disasters = f64::INFINITY;
        shown.passes = shown.ln_not_worse > 0.0;
        shown.caveat = Some(format!(
            "changed by {:+.4}, between {:+.4} and {:+.4} by a bootstrap over prompts: this does \
             not show a loss of more than the margin of {margin}, nor rule it out",
            shown.estimate, found.lower, found.upper
        ));
        Some(shown)
    }

    /// Whether the scores' mean is surely on one side of the threshold.
    fn is_clear(&self, info: &MetricInfo, threshold: f64) -> bool {
        if self.complete {
            return true;
        }
        let question = Question {
            margin: 0.0,
            bound: info.range.map(|(low, high)| high - low),
            drop: f64::MAX,
            disasters: self.settings.tail.share,
            alpha: self.settings.alpha,
            planned: self.planned_units(),
        };
        let mut sequence = Sequence::new(question);
        let mut prompts = std::collections::BTreeMap::<&str, Vec<f64>>::new();
        for (key, score) in self.head.scores(&info.name) {
            let over = info.direction.improvement(threshold, score);
            prompts.entry(&key.prompt).or_default().push(over);
        }
        if prompts.values().any(|scores| sequence.push(scores).is_err()) {
            return false;
        }
        let evidence = sequence.evidence();
        evidence.regressed.max(evidence.not_worse) >= -self.settings.alpha.ln()
    }

    fn units_made(&self) -> u64 {
        match self.settings.units {
            Units::Images => self.matched.len() as u64,
            Units::Prompts => {
                let prompts: BTreeSet<&str> =
                    self.matched.keys().map(|key| key.prompt.as_str()).collect();
                prompts.len() as u64
            }
        }
    }

    fn planned_units(&self) -> u64 {
        match self.settings.units {
            Units::Images => self.planned as u64,
            Units::Prompts => (self.planned / cell::seeds(&self.head.spec).len().max(1)) as u64,
        }
    }

    /// After how many units the run was looked at. One that was not steered is looked at once.
    fn looks(&self) -> Vec<u64> {
        let seeds = match self.settings.units {
            Units::Images => 1,
            Units::Prompts => cell::seeds(&self.head.spec).len().max(1),
        };
        let mut looks: Vec<u64> = self
            .run
            .rounds
            .iter()
            .filter_map(|round| round.cells.get(&self.head.spec.id))
            .map(|cells| (cells / seeds) as u64)
            .chain([self.units_made()])
            .filter(|units| *units > 0)
            .collect();
        looks.sort_unstable();
        looks.dedup();
        looks
    }
}
