//! The Markdown of one local run: what `difftest run --markdown` writes and the Action shows.

use std::fmt::Write as _;

use super::markdown::{code, prose};
use super::{MAX_CHECK_TEXT, Room, fitting, sections};
use crate::event::{RunStatus, TestOutcome};
use crate::report::figures::{self, count, limit, score};
use crate::result::{Peak, RunReport, Summary, TestReport};

/// Broken cells named for each test, where there is room for any.
const SHOWN_FAILURES: usize = 5;

/// The whole report, at most [`MAX_CHECK_TEXT`] bytes: it fits a comment as well as a step's
/// summary. What is left out is said.
pub fn markdown(report: &RunReport) -> String {
    fitting(MAX_CHECK_TEXT, SHOWN_FAILURES, |room| render(report, room))
}

fn render(report: &RunReport, room: Room) -> String {
    let status = match report.status {
        Some(RunStatus::Passed) => "✅ passed",
        Some(RunStatus::Failed) => "❌ failed",
        Some(RunStatus::Error) => "⚠️ error",
        None => "⚠️ did not finish",
    };
    let mut out = format!("## difftest: {status}\n\n");
    let _ = writeln!(out, "{}\n", totals(report));
    for error in report.collection_errors.iter().take(room.rows) {
        let at = format!("{}:{}", error.place.file, error.place.line);
        let _ = writeln!(out, "⚠️ {} cannot run: {}\n", code(&at), prose(&error.message));
    }
    let unread = report.collection_errors.len();
    sections::more(&mut out, unread, room.rows, "that cannot run");
    // Those that did not pass first: they are the last to be left out.
    let mut tests: Vec<&TestReport> = report.results.iter().collect();
    tests.sort_by_key(|t| t.passed);
    if !tests.is_empty() {
        out.push_str(
            "| test | metric | mean | 95% interval | min | threshold | images | result |\n",
        );
        out.push_str("|---|---|--:|---|--:|--:|--:|---|\n");
        for test in tests.iter().take(room.rows) {
            rows(&mut out, test);
        }
        sections::more(&mut out, tests.len(), room.rows, "tests");
    }
    let with_reasons = || tests.iter().filter(|t| !t.reasons.is_empty());
    for test in with_reasons().take(room.rows) {
        reasons(&mut out, test, room);
    }
    sections::more(&mut out, with_reasons().count(), room.rows, "tests that did not pass");
    out
}

/// One line: what passed, how much it was, what it took.
fn totals(report: &RunReport) -> String {
    let images: usize = report.results.iter().map(|t| t.images.len()).sum();
    let mut parts = vec![
        format!("{} of {} passed", report.total_passed, count(report.results.len(), "test")),
        format!("{} in {}", count(images, "image"), figures::duration(report.duration_ms)),
        format!("model {} on {}", code(&report.model), code(&report.environment.device)),
    ];
    let cost = report.results.iter().filter_map(|t| t.cost_usd).reduce(|a, b| a + b);
    parts.extend(cost.map(figures::dollars));
    let peak = Peak {
        rss_bytes: report.results.iter().filter_map(|t| t.peak.rss_bytes).max(),
        vram_bytes: report.results.iter().filter_map(|t| t.peak.vram_bytes).max(),
    };
    parts.extend(figures::memory(&peak).map(|memory| format!("peak memory {memory}")));
    parts.join(" · ")
}

fn rows(out: &mut String, test: &TestReport) {
    let name = code(&test.name);
    let result = outcome(test.outcome);
    if test.metrics.is_empty() {
        let _ = writeln!(out, "| {name} | – | – | – | – | – | – | {result} |");
    }
    for (metric, report) in &test.metrics {
        let summary = &report.summary;
        let threshold = report.threshold.map_or("–".into(), limit);
        let mark = if report.passed { "" } else { " ❌" };
        let _ = writeln!(
            out,
            "| {name} | {} | {}{mark} | {} | {} | {threshold} | {} | {result} |",
            code(metric),
            score(summary.mean),
            interval(summary),
            score(summary.min),
            summary.sample_count,
        );
    }
}

/// Why a test did not pass, and which of its images broke.
fn reasons(out: &mut String, test: &TestReport, room: Room) {
    let _ = writeln!(out, "\n{}:\n", code(test.id.as_str()));
    for reason in &test.reasons {
        let _ = writeln!(out, "- {}", prose(reason));
    }
    for (metric, report) in &test.metrics {
        if let Some(note) = &report.note {
            let _ = writeln!(out, "- {}: {}", code(metric), prose(note));
        }
    }
    for failure in test.failures.iter().take(room.images) {
        let _ = writeln!(
            out,
            "- {}, seed {}: {}",
            code(&failure.prompt),
            failure.seed,
            prose(&failure.reason)
        );
    }
    if room.images > 0 {
        sections::more(out, test.failures.len(), room.images, "failed cells");
    }
}

fn interval(summary: &Summary) -> String {
    match (summary.ci_lower, summary.ci_upper) {
        (Some(lower), Some(upper)) => format!("[{}, {}]", score(lower), score(upper)),
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
