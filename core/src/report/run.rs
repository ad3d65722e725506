//! The Markdown of one local run: what `difftest run --markdown` writes and the Action shows.

use std::fmt::Write as _;

use super::markdown::{code, prose};
use super::{MAX_CHECK_TEXT, Room, fitting};
use crate::event::{RunStatus, TestOutcome};
use crate::result::{RunReport, Summary, TestReport};

/// The whole report, at most [`MAX_CHECK_TEXT`] bytes.
pub fn markdown(report: &RunReport) -> String {
    fitting(MAX_CHECK_TEXT, 0, |room| render(report, room))
}

fn render(report: &RunReport, room: Room) -> String {
    let status = match report.status {
        Some(RunStatus::Passed) => "✅ passed",
        Some(RunStatus::Failed) => "❌ failed",
        Some(RunStatus::Error) => "⚠️ error",
        None => "⚠️ did not finish",
    };
    let mut out = format!("## difftest: {status}\n\n");
    let images: usize = report.results.iter().map(|t| t.images.len()).sum();
    let _ = writeln!(
        out,
        "{} of {} tests passed · {images} images in {:.1} s · model {} on {}\n",
        report.total_passed,
        report.results.len(),
        report.duration_ms / 1000.0,
        code(&report.model),
        code(&report.environment.device),
    );
    for error in report.collection_errors.iter().take(room.rows) {
        let at = format!("{}:{}", error.place.file, error.place.line);
        let _ = writeln!(
            out,
            "⚠️ {} could not be read as tests: {}\n",
            code(&at),
            prose(&error.message)
        );
    }
    if !report.results.is_empty() {
        out.push_str("| test | metric | mean | 95% interval | min | threshold | result |\n");
        out.push_str("|---|---|--:|---|--:|--:|---|\n");
        for test in report.results.iter().take(room.rows) {
            rows(&mut out, test);
        }
    }
    for test in report.results.iter().filter(|t| !t.reasons.is_empty()).take(room.rows) {
        let _ = writeln!(out, "\n{}:\n", code(test.id.as_str()));
        for reason in &test.reasons {
            let _ = writeln!(out, "- {}", prose(reason));
        }
    }
    out
}

fn rows(out: &mut String, test: &TestReport) {
    let name = code(&test.name);
    let result = outcome(test.outcome);
    if test.metrics.is_empty() {
        let _ = writeln!(out, "| {name} | – | – | – | – | – | {result} |");
    }
    for (metric, report) in &test.metrics {
        let summary = &report.summary;
        let threshold = report.threshold.map_or("–".into(), |t| format!("{t}"));
        let mark = if report.passed { "" } else { " ❌" };
        let _ = writeln!(
            out,
            "| {name} | {} | {:.4}{mark} | {} | {:.4} | {threshold} | {result} |",
            code(metric),
            summary.mean,
            interval(summary),
            summary.min,
        );
    }
}

fn interval(summary: &Summary) -> String {
    match (summary.ci_lower, summary.ci_upper) {
        (Some(lower), Some(upper)) => format!("[{lower:.4}, {upper:.4}]"),
        _ => "–".into(),
    }
}

fn outcome(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Passed => "✅ passed",
        TestOutcome::Failed => "❌ failed",
        TestOutcome::Error => "⚠️ error",
        TestOutcome::NotRun => "⚠️ not run",
    }
}
