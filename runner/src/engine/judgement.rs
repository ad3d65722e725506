//! From a test's scores and failures to how it ended. Pure.

use std::collections::BTreeMap;

use difftest_core::event::{BatchScore, RunStatus, TestOutcome};
use difftest_core::metric::{Category, MetricInfo};
use difftest_core::result::{Run, TestRun};
use difftest_core::threshold;

use super::bridge::BodyOutcome;

/// What is asked of scores beside their thresholds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Fewer scored images than this say nothing about a metric.
    pub min_samples: Option<u32>,
    /// The run stops as soon as its verdict stands: few images are no fault.
    pub steered: bool,
}

/// How a test ended, and why it did not pass, a sentence each. `broken` is what kept it from being
/// judged and is in no cell: a batch metric without a score.
pub fn outcome(
    test: &TestRun,
    metrics: &BTreeMap<String, MetricInfo>,
    body: &BodyOutcome,
    mut broken: Vec<String>,
    rules: Rules,
) -> (TestOutcome, Vec<String>) {
    broken.splice(0..0, failed_cells(test));
    let mut missed = Vec::new();
    for info in test.spec.metrics().iter().filter_map(|name| metrics.get(name)) {
        let samples = match info.category {
            Category::Batch => {
                let score = test.batch_scores.get(&info.name);
                missed.extend(score.and_then(|score| missed_by_all(test, info, score)));
                score.map_or(0, |score| score.samples)
            }
            Category::PerSample | Category::Reference => {
                let scores: Vec<f64> = test.scores(&info.name).map(|(_, score)| score).collect();
                missed.extend(threshold::missed(&test.spec, info, &scores));
                scores.len()
            }
        };
        // Without any score there is a failed image, or nothing to compare with.
        if let Some(least) = rules.min_samples
            && !rules.steered
            && (1..least as usize).contains(&samples)
        {
            broken.push(format!(
                "{} has a score from {samples} of the at least {least} images that --min-samples asks for: too few to judge by",
                info.name
            ));
        }
    }
    match body {
        BodyOutcome::Passed => {}
        BodyOutcome::Failed(reason) => missed.push(reason.clone()),
        BodyOutcome::Broke(reason) => broken.push(reason.clone()),
    }
    let outcome = match (broken.is_empty(), missed.is_empty()) {
        (false, _) => TestOutcome::Error,
        (true, false) => TestOutcome::Failed,
        (true, true) => TestOutcome::Passed,
    };
    broken.append(&mut missed);
    (outcome, broken)
}

/// Why the one score of all images misses the test's threshold.
fn missed_by_all(test: &TestRun, metric: &MetricInfo, score: &BatchScore) -> Option<String> {
    let threshold = test.spec.threshold(&metric.name)?;
    let BatchScore { value, samples, note, .. } = score;
    (!metric.direction.holds(*value, threshold)).then(|| {
        format!(
            "{} is {value:.4} over {samples} images, and must be {} {threshold}{}",
            metric.name,
            metric.direction.comparison(),
            note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default()
        )
    })
}

/// Cells that broke for one reason are one sentence.
fn failed_cells(test: &TestRun) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in test.cells.values() {
        if let Some(reason) = &cell.failure {
            *by_reason.entry(reason).or_default() += 1;
        }
    }
    by_reason
        .into_iter()
        .map(|(reason, count)| format!("{count} of {} images: {reason}", test.cells.len()))
        .collect()
}

/// How a run ended that came to its end.
pub fn status(run: &Run) -> (RunStatus, Option<String>) {
    let errors = run.collection_errors.len();
    if errors > 0 {
        let what = if errors == 1 { "1 test or file" } else { &format!("{errors} tests or files") };
        return (RunStatus::Error, Some(format!("{what} could not be collected")));
    }
    let not_passed = run.tests.iter().filter(|t| t.outcome != Some(TestOutcome::Passed)).count();
    if not_passed == 0 {
        (RunStatus::Passed, None)
    } else {
        let reason = format!("{not_passed} of {} tests did not pass", run.tests.len());
        (RunStatus::Failed, Some(reason))
    }
}

/// What the shell is told.
pub fn exit_code(status: RunStatus) -> i32 {
    match status {
        RunStatus::Passed => 0,
        RunStatus::Failed => 1,
        RunStatus::Error => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use difftest_core::event::CellKey;
    use difftest_core::result::{CellRun, Peak};
    use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};

    fn test_with(scores: &[Option<f64>], threshold: Option<f64>) -> TestRun {
        let id = TestId("t.py::a".into());
        let cells = scores.iter().enumerate().map(|(i, score)| {
            let key = CellKey { test: id.clone(), prompt: "p".into(), seed: i as i64 };
            let cell = CellRun {
                image: None,
                scores: score.iter().map(|s| ("clip_score".to_owned(), *s)).collect(),
                failure: score.is_none().then(|| "RuntimeError: no".to_owned()),
                ..CellRun::default()
            };
            (key, cell)
        });
        TestRun {
            confirmation: BTreeMap::new(),
            cells: cells.collect(),
            batch_scores: BTreeMap::new(),
            peak: Peak::default(),
            spec: TestSpec {
                id: id.clone(),
                place: Place { file: "t.py".into(), line: 1 },
                kind: TestKind::Quality {
                    metrics: vec!["clip_score".into()],
                    thresholds: threshold
                        .map(|t| ("clip_score".to_owned(), t))
                        .into_iter()
                        .collect(),
                    reference_dir: None,
                },
                prompts: vec!["p".into()],
                variables: BTreeMap::new(),
                combine: Combine::Product,
                negative_prompt: None,
                seeds: vec![0],
                suite: None,
            },
            outcome: None,
            reasons: Vec::new(),
            duration_ms: 0.0,
        }
    }

    fn of(test: &TestRun, body: &BodyOutcome) -> (TestOutcome, Vec<String>) {
        let known =
            difftest_core::metric::builtin().into_iter().map(|m| (m.name.clone(), m)).collect();
        outcome(test, &known, body, Vec::new(), Rules::default())
    }

    #[test]
    fn a_threshold_holds_on_the_mean_and_a_missing_one_is_none() {
        let scores = [Some(0.2), Some(0.4)];
        let passed = BodyOutcome::Passed;
        assert_eq!(of(&test_with(&scores, Some(0.3)), &passed).0, TestOutcome::Passed);
        assert_eq!(of(&test_with(&scores, None), &passed).0, TestOutcome::Passed);
        let (outcome, reasons) = of(&test_with(&scores, Some(0.31)), &passed);
        assert_eq!(outcome, TestOutcome::Failed);
        assert!(reasons[0].contains("0.3000") && reasons[0].contains("≥ 0.31"), "{reasons:?}");
    }

    #[test]
    fn a_failed_cell_is_an_error_that_hides_no_missed_threshold() {
        let test = test_with(&[Some(0.2), None, None], Some(0.3));
        let (outcome, reasons) = of(&test, &BodyOutcome::Passed);
        assert_eq!(outcome, TestOutcome::Error);
        assert_eq!(reasons[0], "2 of 3 images: RuntimeError: no");
        assert_eq!(reasons.len(), 2);
    }

    #[test]
    fn an_assertion_fails_the_test_and_any_other_exception_is_an_error() {
        let test = test_with(&[Some(0.5)], None);
        let reason = "t.py:3: assert 1 == 2".to_owned();
        let (outcome, reasons) = of(&test, &BodyOutcome::Failed(reason.clone()));
        assert_eq!((outcome, &reasons[..]), (TestOutcome::Failed, &[reason.clone()][..]));
        assert_eq!(of(&test, &BodyOutcome::Broke(reason)).0, TestOutcome::Error);
    }

    #[test]
    fn a_collection_error_outweighs_tests_that_passed() {
        let mut run = Run { tests: vec![test_with(&[], None)], ..Run::default() };
        run.tests[0].outcome = Some(TestOutcome::Passed);
        assert_eq!(exit_code(status(&run).0), 0);
        run.tests[0].outcome = Some(TestOutcome::NotRun);
        assert_eq!(exit_code(status(&run).0), 1);
        run.collection_errors.push(difftest_core::suite::CollectionError {
            place: Place { file: "t.py".into(), line: 1 },
            message: "no".into(),
        });
        assert_eq!(exit_code(status(&run).0), 2);
    }
}
