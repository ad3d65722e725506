//! One test: its outcome, why, its metrics, its failures, its images.

use maud::{Markup, html};

use super::Page;
use super::embed::Embedded;
use super::grid::{self, Shown};
use super::sparkline::sparkline;
use crate::compare::{MetricComparison, TestComparison};
use crate::event::TestOutcome;
use crate::report::{advice, figures, trend};
use crate::result::{CellRun, MetricReport, Run, TestReport, TestRun};
use crate::verdict::Decision;

/// Traces shown of one test; a thousand cells that broke for one reason need no thousand traces.
const SHOWN_FAILURES: usize = 20;
const SHOWN_REASONS: usize = 20;

pub fn section(
    page: &Page<'_>,
    index: usize,
    test: &TestRun,
    report: &TestReport,
    shown: &Shown<'_>,
    embedded: &Embedded<'_>,
) -> Markup {
    let (value, class, word) = outcome(test);
    let compared = page.comparison.and_then(|c| c.tests.iter().find(|t| t.id == test.spec.id));
    let passed = value == "passed";
    // A regression may be found where every threshold holds.
    let calm = passed && compared.is_none_or(|t| t.decision.is_good());
    let rows = &shown.tests[index];
    html! {
        details.test id=(format!("test-{}", index + 1)) data-outcome=(value) open[!calm] {
            summary {
                span class={"mark " (class)} { (word) }
                h2 { (test.spec.id.name()) }
                span.place.quiet { (test.spec.place.file) ":" (test.spec.place.line) }
                span.glance {
                    @if let Some((name, metric)) = report.metrics.iter().next()
                        && let Some(trend) = trend::find(page.trends, &test.spec.id, name)
                    { (sparkline(trend, page.run, metric.threshold)) }
                    @for (name, metric) in report.metrics.iter().take(2) {
                        span.score.bad[!metric.passed] { (name) " " b { (figures::score(metric.summary.mean)) } }
                    }
                    @if let Some(compared) = compared { (decision(compared.decision)) }
                }
                span.quiet.took {
                    (figures::count(test.cells.len(), "image")) " · " (figures::duration(test.duration_ms))
                }
            }
            div.body {
                (reasons(page.run, test, compared))
                (metrics(page, test, report, compared))
                (failures(test))
                @if !rows.is_empty() { (grid::images(page.run, test, rows, embedded)) }
                (took(test))
            }
        }
    }
}

/// The value of the filter, the class of its colour, the word.
fn outcome(test: &TestRun) -> (&'static str, &'static str, &'static str) {
    match test.outcome {
        Some(TestOutcome::Passed) => ("passed", "good", "passed"),
        Some(TestOutcome::Failed) => ("failed", "bad", "failed"),
        Some(TestOutcome::Error) => ("error", "odd", "error"),
        Some(TestOutcome::NotRun) | None => ("not_run", "none", "not run"),
    }
}

fn decision(decision: Decision) -> Markup {
    let class = match decision {
        Decision::Pass | Decision::Improved => "good",
        Decision::Inconclusive => "none",
        Decision::Changed | Decision::Failed | Decision::Regressed => "bad",
        Decision::Infra | Decision::Error => "odd",
    };
    html! { span class={"mark " (class)} { "against base: " (decision.as_str()) } }
}

fn reasons(run: &Run, test: &TestRun, compared: Option<&TestComparison>) -> Markup {
    let step = advice::next_step(run, test);
    let sentences = compared.map(|c| c.sentences.as_slice()).unwrap_or_default();
    // The comparison repeats the test's own reasons.
    let more: Vec<&String> = sentences.iter().filter(|s| !test.reasons.contains(s)).collect();
    html! {
        @if !test.reasons.is_empty() || !more.is_empty() {
            ul.reasons {
                @for reason in test.reasons.iter().chain(more).take(SHOWN_REASONS) {
                    li.message { (reason) }
                }
            }
        }
        @if let Some(step) = &step {
            p.step { "What to do: " (step.what) ": " code { (step.command) } }
        }
    }
}

fn metrics(
    page: &Page<'_>,
    test: &TestRun,
    report: &TestReport,
    compared: Option<&TestComparison>,
) -> Markup {
    if report.metrics.is_empty() {
        return html! {};
    }
    let paired = compared.is_some_and(|c| c.metrics.iter().any(|m| m.base.is_some()));
    html! {
        div.wide tabindex="0" role="region" aria-label={"Metrics of " (test.spec.id.name())} {
            table {
                thead {
                    tr {
                        th scope="col" { "metric" }
                        th.n scope="col" { "mean" }
                        th scope="col" { "95% interval" }
                        th.n scope="col" { "min" }
                        th.n scope="col" { "max" }
                        th.n scope="col" { "threshold" }
                        @if paired {
                            th.n scope="col" { "base" }
                            th scope="col" { "change" }
                        }
                        th.n scope="col" { "margin" }
                        th.n scope="col" { "images" }
                        th scope="col" { "earlier runs" }
                    }
                }
                tbody {
                    @for (name, metric) in &report.metrics {
                        @let against = compared.and_then(|c| c.metrics.iter().find(|m| m.name == *name));
                        (row(page, test, name, metric, against, paired))
                    }
                }
            }
        }
        @for (name, metric) in &report.metrics {
            @if let Some(note) = &metric.note { p.note { code { (name) } ": " (note) } }
        }
    }
}

fn row(
    page: &Page<'_>,
    test: &TestRun,
    name: &str,
    metric: &MetricReport,
    against: Option<&MetricComparison>,
    paired: bool,
) -> Markup {
    let summary = &metric.summary;
    let info = page.run.metrics.get(name);
    let trend = trend::find(page.trends, &test.spec.id, name);
    let before = trend.and_then(|t| t.before(page.run));
    let verdict = against.and_then(|a| a.paired.as_ref());
    let margin = verdict.map(|v| v.margin).or(info.map(|i| i.margin));
    html! {
        tr {
            th scope="row" { (name) }
            td.n.bad[!metric.passed] { b { (figures::score(summary.mean)) } @if !metric.passed { span.sr { " misses its threshold" } } }
            td {
                @match (summary.ci_lower, summary.ci_upper) {
                    (Some(lower), Some(upper)) => { (figures::score(lower)) " to " (figures::score(upper)) }
                    _ => "–",
                }
            }
            td.n { (figures::score(summary.min)) }
            td.n { (figures::score(summary.max)) }
            td.n {
                @match metric.threshold {
                    Some(threshold) => { (info.map_or("", |i| i.direction.comparison())) " " (figures::limit(threshold)) }
                    None => "–",
                }
            }
            @if paired {
                td.n { (against.and_then(|a| a.base.as_ref()).map_or("–".to_owned(), |b| figures::score(b.mean))) }
                td {
                    @if let Some(v) = verdict {
                        (format!("{:+.4}", v.estimate))
                        @if let (Some(lower), Some(upper)) = (v.lower, v.upper) { span.quiet { (format!(" [{lower:+.4}, {upper:+.4}]")) } }
                    } @else { "–" }
                }
            }
            td.n { (margin.map_or("–".to_owned(), figures::limit)) }
            td.n { (summary.sample_count) }
            td.history {
                @if let Some(trend) = trend { (sparkline(trend, page.run, metric.threshold)) }
                @match before {
                    Some(before) => span.quiet { "was " (before.sentence()) },
                    None => span.quiet { "–" },
                }
            }
        }
    }
}

/// The cells that broke, each with its trace folded.
fn failures(test: &TestRun) -> Markup {
    let broken =
        || test.cells.iter().filter_map(|(key, cell)| Some((key, cell, cell.failure.as_ref()?)));
    let total = broken().count();
    html! {
        @if total > 0 {
            h3 { "Failed cells" }
            ul.failures {
                @for (key, cell, reason) in broken().take(SHOWN_FAILURES) {
                    li {
                        p { b dir="auto" { (key.prompt) } span.quiet { " · seed " (key.seed) (retries(cell)) } }
                        p.message { (reason) }
                        @if let Some(trace) = &cell.trace {
                            details { summary { "Trace" } pre tabindex="0" { (trace) } }
                        }
                    }
                }
            }
            @if total > SHOWN_FAILURES { p.quiet { "… and " (total - SHOWN_FAILURES) " more." } }
        }
    }
}

fn retries(cell: &CellRun) -> String {
    match cell.retries {
        0 => String::new(),
        1 => " · after 1 retry".to_owned(),
        n => format!(" · after {n} retries"),
    }
}

fn took(test: &TestRun) -> Markup {
    let mut parts = Vec::new();
    parts.extend(test.cost_usd().map(|usd| format!("cost {}", figures::dollars(usd))));
    parts.extend(figures::memory(&test.peak).map(|peak| format!("peak memory {peak}")));
    if let Some(negative) = &test.spec.negative_prompt {
        parts.push(format!("negative prompt “{negative}”"));
    }
    html! { @if !parts.is_empty() { p.quiet { (parts.join(" · ")) } } }
}
