//! One test: from what its metrics show to what is decided, and the sentences that say why.

use super::measure::{Kind, Measured};
use super::{
    Matched, MetricComparison, SHOWN_PAIRS, SameBytes, TestComparison, images, planned_count,
};
use crate::config::VerdictSettings;
use crate::event::TestOutcome;
use crate::result::{CellFailure, Run, TestRun};
use crate::verdict::Decision;
use crate::verdict::paired::{self, PairedVerdict, Standing};

/// A loss of fewer margins than this is near enough to be asked for again.
const NEAR: f64 = 2.0;

pub(super) struct TestJudge<'a> {
    pub base: Option<&'a TestRun>,
    pub head: &'a TestRun,
    pub base_run: Option<&'a Run>,
    pub run: &'a Run,
    pub settings: &'a VerdictSettings,
    /// Of the whole run.
    pub claims: usize,
    same: SameBytes,
    pub matched: Matched<'a>,
    /// Cells that there would be at most.
    pub planned: usize,
    /// No more images are to come.
    pub complete: bool,
}

/// What is decided about one metric.
struct Decided {
    decision: Decision,
    settled: bool,
    confirming: bool,
    /// In place of the pairs' own.
    sentence: Option<String>,
}

impl Decided {
    fn new(decision: Decision, settled: bool) -> Self {
        Self { decision, settled, confirming: false, sentence: None }
    }
}

impl<'a> TestJudge<'a> {
    pub fn new(
        base: Option<&'a TestRun>,
        head: &'a TestRun,
        (base_run, run): (Option<&'a Run>, &'a Run),
        settings: &'a VerdictSettings,
        claims: usize,
        same: SameBytes,
    ) -> Self {
        let mut matched = Matched::new();
        for (key, cell) in &head.cells {
            let partner = base.and_then(|base| base.cells.get(key)?.image.as_ref());
            if let (Some(base), Some(head)) = (partner, &cell.image) {
                matched.insert(key, (&base.sha256, &head.sha256));
            }
        }
        let made = head.cells.len();
        let planned = planned_count(&head.spec, settings).unwrap_or(made);
        let steered = !run.rounds.is_empty();
        let complete = made >= planned || (!steered && run.status.is_some());
        Self { base, head, base_run, run, settings, claims, same, matched, planned, complete }
    }

    fn identical_pairs(&self) -> usize {
        self.matched.values().filter(|(base, head)| base == head).count()
    }

    /// Every image of the head has its partner, no cell is gone, and all are of the same bytes.
    fn all_identical(&self) -> bool {
        let identical = self.identical_pairs();
        identical > 0
            && identical == self.head.cells.len()
            && self.base.is_some_and(|b| b.cells.len() == identical)
            && (self.complete || self.same.is_enough)
    }

    pub fn judge(&self, measured: &[Measured<'_>], standing: &[Standing]) -> TestComparison {
        let spec = &self.head.spec;
        let all_identical = self.all_identical();
        let metrics: Vec<MetricComparison> = measured
            .iter()
            .zip(standing)
            .map(|(measured, standing)| self.conclude(measured, *standing, all_identical))
            .collect();
        let mut decision =
            metrics.iter().map(|m| m.decision).max().unwrap_or(Decision::Inconclusive);
        let failures: Vec<CellFailure> = self.head.failures().take(SHOWN_PAIRS).collect();
        let mut sentences = Vec::new();
        decision = decision.max(self.outcome(measured, &failures, &mut sentences));
        self.explain(&mut sentences, &metrics, decision, all_identical);
        let unmeasured = measured.len() < spec.metrics().len();
        let settled = decision == Decision::Error
            || metrics.iter().any(|m| m.settled && m.decision == Decision::Regressed)
            || (metrics.iter().all(|m| m.settled) && (self.complete || !unmeasured));
        TestComparison {
            id: spec.id.clone(),
            place: spec.place.clone(),
            decision,
            sentences,
            changed: images::changed(&self.matched, &metrics, self.base, self.head, self.run),
            metrics,
            pairs: self.matched.len(),
            identical_pairs: self.identical_pairs(),
            planned_pairs: self.planned,
            settled,
            failures,
        }
    }

    /// What the engine said of the test, as far as the metrics do not say it already.
    fn outcome(
        &self,
        measured: &[Measured<'_>],
        failures: &[CellFailure],
        sentences: &mut Vec<String>,
    ) -> Decision {
        let infra = !failures.is_empty()
            && self.head.cells.values().all(|c| c.failure.is_none() || c.infra);
        let broken = if infra { Decision::Infra } else { Decision::Error };
        let mut decision = Decision::Pass;
        let missed: Vec<&String> = measured.iter().filter_map(|m| m.missed.as_ref()).collect();
        let explained = |reason: &String| {
            missed.contains(&reason) || self.head.failures().any(|f| reason.ends_with(&f.reason))
        };
        match self.head.outcome {
            // It is under way, or was when the run died, which the run's own end says.
            None if self.run.status.is_none() && !self.run.rounds.is_empty() => {}
            None | Some(TestOutcome::NotRun) => {
                decision = Decision::Error;
                if self.head.reasons.is_empty() && failures.is_empty() {
                    sentences.push("the test did not finish".to_owned());
                }
            }
            Some(TestOutcome::Error) => {
                let machine = infra && self.head.reasons.iter().all(explained);
                decision = if machine { Decision::Infra } else { Decision::Error };
            }
            // A missed threshold is the metric's to say, and so is what it means.
            Some(TestOutcome::Failed) if self.head.reasons.iter().all(explained) => {}
            Some(TestOutcome::Failed) => decision = Decision::Failed,
            Some(TestOutcome::Passed) => {}
        }
        if let Some(first) = failures.first() {
            decision = decision.max(broken);
            sentences.push(format!(
                "{} of {} images failed{}; the first, seed {}: {}",
                self.head.cells.values().filter(|c| c.failure.is_some()).count(),
                self.head.cells.len(),
                if infra { ", and not by any fault of the change" } else { "" },
                first.seed,
                first.reason
            ));
        }
        decision
    }

    fn explain(
        &self,
        sentences: &mut Vec<String>,
        metrics: &[MetricComparison],
        decision: Decision,
        all_identical: bool,
    ) {
        let say = |wanted: fn(Decision) -> bool| {
            metrics
                .iter()
                .filter(move |m| wanted(m.decision))
                .filter_map(|m| Some(format!("{}: {}", m.name, m.paired.as_ref()?.sentence)))
        };
        sentences.extend(say(|d| d == Decision::Regressed));
        sentences.extend(self.head.reasons.iter().cloned());
        if all_identical {
            let identical = self.identical_pairs();
            sentences.push(if self.complete {
                format!("all {identical} images are byte-identical to the base's")
            } else {
                format!(
                    "all {identical} images are byte-identical to the base's, and so are all {} of \
                     the run: fewer than {}% of the images can be others",
                    self.same.pairs,
                    100.0 * self.settings.tail.share
                )
            });
        } else if self.base.is_none() {
            sentences.push("the base commit has no such test to compare with".to_owned());
        }
        sentences.extend(say(|d| d == Decision::Changed));
        sentences.extend(say(|d| matches!(d, Decision::Inconclusive | Decision::Error)));
        if !all_identical {
            sentences.extend(say(|d| d == Decision::Improved));
            sentences.extend(say(|d| d == Decision::Pass));
        }
        if sentences.is_empty() {
            sentences.push(match decision {
                Decision::Pass => "every image holds its threshold".to_owned(),
                _ => "nothing decides: there is no threshold and no pair".to_owned(),
            });
        }
    }

    fn conclude(
        &self,
        measured: &Measured<'_>,
        standing: Standing,
        all_identical: bool,
    ) -> MetricComparison {
        let alpha = self.settings.alpha;
        let mut paired =
            measured.shown.as_ref().map(|shown| paired::conclude(shown, standing, alpha));
        let decided = self.decide(measured, paired.as_ref(), all_identical);
        if let Some(paired) = &mut paired {
            if let Some(sentence) = decided.sentence {
                paired.sentence = sentence;
            }
            if all_identical {
                (paired.lower, paired.upper) = (None, None);
            }
            paired.decision = match paired.decision {
                Decision::Regressed => decided.decision,
                other => other,
            };
        }
        MetricComparison {
            name: measured.info.name.clone(),
            decision: decided.decision,
            base: measured.base.clone(),
            head: measured.head.clone(),
            threshold: measured.threshold,
            paired,
            settled: decided.settled,
            confirming: decided.confirming,
            forecast: measured.shown.as_ref().and_then(|shown| shown.forecast),
        }
    }

    fn decide(
        &self,
        measured: &Measured<'_>,
        paired: Option<&PairedVerdict>,
        all_identical: bool,
    ) -> Decided {
        let decided = Decided::new;
        let missed = measured.missed.is_some();
        let clear = self.complete || measured.clear;
        if measured.kind == Kind::Visual {
            return match (missed, self.base) {
                // Whether worse or better is a person's to say.
                (true, Some(_)) => decided(Decision::Changed, true),
                (true, None) => decided(Decision::Failed, true),
                (false, _) if all_identical || self.complete => decided(Decision::Pass, true),
                (false, _) => decided(Decision::Inconclusive, false),
            };
        }
        match paired {
            Some(p) if p.decision == Decision::Error => return decided(Decision::Error, true),
            Some(p) if p.decision == Decision::Regressed && !all_identical => {
                return match measured.kind {
                    Kind::Distance if missed => decided(Decision::Failed, true),
                    // A threshold that holds says that so much is no matter.
                    Kind::Distance if measured.threshold.is_some() => {
                        decided(Decision::Pass, clear)
                    }
                    Kind::Distance => Decided {
                        sentence: Some(format!(
                            "differs from the base's images by {:.4} on average, which is more \
                             than the margin of {}: different, and not yet worse",
                            p.estimate.abs(),
                            p.margin
                        )),
                        ..decided(Decision::Changed, true)
                    },
                    _ => self.confirmed(measured, p),
                };
            }
            _ => {}
        }
        let by_threshold = measured.threshold.is_some()
            && (matches!(measured.kind, Kind::Distance) || self.base.is_none());
        match paired {
            _ if missed => decided(Decision::Failed, clear),
            _ if all_identical => decided(Decision::Pass, true),
            _ if by_threshold => decided(Decision::Pass, clear),
            Some(p) if p.decision.is_good() => decided(p.decision, clear),
            // A batch metric of whose noise nothing is known, with a threshold that holds.
            _ if measured.threshold.is_some()
                && measured.kind == Kind::Batch
                && paired.is_none_or(|p| p.lower.is_none()) =>
            {
                decided(Decision::Pass, clear)
            }
            _ => decided(Decision::Inconclusive, self.complete),
        }
    }

    /// A regression, unless it has to show on fresh seeds and has not.
    fn confirmed(&self, measured: &Measured<'_>, first: &PairedVerdict) -> Decided {
        let near = -first.estimate < NEAR * first.margin;
        if !self.settings.confirm || !near || measured.kind != Kind::Paired {
            return Decided::new(Decision::Regressed, true);
        }
        let enough = -self.settings.alpha.ln();
        let say = |decision, settled, text: String| Decided {
            decision,
            settled,
            confirming: !settled,
            sentence: Some(format!("{}; {text}", first.sentence)),
        };
        let Some(again) = &measured.confirmation else {
            let text =
                "a loss so near the margin has to show on fresh seeds too, and none are made";
            let over = self.run.status.is_some();
            return say(Decision::Inconclusive, over, text.to_owned());
        };
        let seen =
            format!("on fresh seeds, {} pairs, it changed by {:+.4}", again.pairs, again.estimate);
        if again.ln_regressed >= enough {
            say(Decision::Regressed, true, format!("{seen}, which confirms it"))
        } else if again.ln_not_worse >= enough {
            say(Decision::Inconclusive, true, format!("{seen}, which contradicts it"))
        } else {
            let all = self.head.confirmation.len() >= self.planned;
            let over = all || self.run.status.is_some();
            say(Decision::Inconclusive, over, format!("{seen}, which does not confirm it"))
        }
    }
}
