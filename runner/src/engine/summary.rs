//! What `difftest run` leaves in the terminal when it has ended. Pure.

use std::fmt::Write as _;

use difftest_core::event::{RunStatus, TestOutcome};
use difftest_core::metric::MetricInfo;
use difftest_core::result::{Run, TestRun};

use super::progress::{count, visible};

/// One line a metric, one line a reason, and the whole in the last line.
pub fn render(run: &Run) -> String {
    let mut out = String::new();
    let report = run.report();
    let width = run.tests.iter().map(|t| t.spec.id.as_str().chars().count()).max().unwrap_or(0);
    for (test, shown) in run.tests.iter().zip(&report.results) {
        let mark = mark(test);
        let name = test.spec.id.as_str();
        if shown.metrics.is_empty() {
            let _ = writeln!(out, "{mark} {name}");
        }
        for (index, (metric, scores)) in shown.metrics.iter().enumerate() {
            let (mark, name) = if index == 0 { (mark, name) } else { (" ", "") };
            let summary = &scores.summary;
            let _ = write!(out, "{mark} {name:width$}  {metric} {:.4}", summary.mean);
            if let (Some(lower), Some(upper)) = (summary.ci_lower, summary.ci_upper) {
                let _ = write!(out, " [{lower:.4}, {upper:.4}]");
            }
            if let Some(threshold) = scores.threshold {
                let comparison =
                    run.metrics.get(metric).map_or("", |m: &MetricInfo| m.direction.comparison());
                let _ = write!(out, ", must be {comparison} {threshold}");
            }
            let _ = writeln!(out, " over {}", count(summary.sample_count as u64, "image"));
        }
        for reason in &test.reasons {
            let _ = writeln!(out, "    {reason}");
        }
    }
    for error in &run.collection_errors {
        let _ = writeln!(out, "! {}:{}: {}", error.place.file, error.place.line, error.message);
    }
    let word = match run.status {
        Some(RunStatus::Passed) => "passed",
        Some(RunStatus::Failed) => "FAILED",
        Some(RunStatus::Error) | None => "ERROR",
    };
    let _ = write!(
        out,
        "{word}: {} of {} passed, {} in {:.1} s",
        report.total_passed,
        count(run.tests.len() as u64, "test"),
        count(run.cells_done, "image"),
        run.duration_ms / 1000.0
    );
    if let Some(reason) = &run.reason {
        let _ = write!(out, " ({reason})");
    }
    out.push('\n');
    visible(&out)
}

fn mark(test: &TestRun) -> &'static str {
    match test.outcome {
        Some(TestOutcome::Passed) => "✓",
        Some(TestOutcome::Failed) => "✗",
        Some(TestOutcome::Error) => "!",
        Some(TestOutcome::NotRun) | None => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use difftest_core::event::{CellKey, Environment, Event, SCHEMA};
    use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};

    #[test]
    fn a_person_reads_which_test_missed_what() {
        let id = TestId("tests/test_shapes.py::colours".into());
        let spec = TestSpec {
            id: id.clone(),
            place: Place { file: "tests/test_shapes.py".into(), line: 3 },
            kind: TestKind::Quality {
                metrics: vec!["clip_score".into()],
                thresholds: [("clip_score".to_owned(), 0.3)].into(),
                reference_dir: None,
            },
            prompts: vec!["a red cross".into()],
            variables: Default::default(),
            combine: Combine::Product,
            negative_prompt: None,
            seeds: vec![1, 2],
            suite: None,
        };
        let mut events = vec![Event::RunStarted {
            schema: SCHEMA,
            run: "r".into(),
            model: "shapes".into(),
            generator: "onnx".into(),
            fingerprint: "f".into(),
            environment: Environment::default(),
            tests: vec![spec],
            metrics: difftest_core::metric::builtin(),
            cells: 2,
            recipe: Default::default(),
        }];
        for (seed, value) in [(1, 0.25), (2, 0.27)] {
            let cell = CellKey { test: id.clone(), prompt: "a red cross".into(), seed };
            events.push(Event::CellScored { cell, metric: "clip_score".into(), value });
        }
        events.push(Event::TestFinished {
            test: id,
            outcome: TestOutcome::Failed,
            reasons: vec!["clip_score is 0.2600 on average".into()],
            duration_ms: 10.0,
        });
        events.push(Event::RunFinished {
            status: RunStatus::Failed,
            reason: Some("1 of 1 tests did not pass".into()),
            duration_ms: 1500.0,
        });
        assert_eq!(
            render(&Run::from_events(&events)),
            "✗ tests/test_shapes.py::colours  clip_score 0.2600 [0.2404, 0.2796], must be ≥ 0.3 over 2 images\n    \
             clip_score is 0.2600 on average\n\
             FAILED: 0 of 1 test passed, 0 images in 1.5 s (1 of 1 tests did not pass)\n"
        );
    }
}
