//! What `difftest run` leaves in the terminal: the verdict first, then what did not pass and what to
//! do about it, then what passed and what it took.

use unicode_width::UnicodeWidthStr;

use super::{Ink, Look, Page, visible};
use crate::event::{RunStatus, TestOutcome};
use crate::report::advice;
use crate::report::figures::{self, Totals, count, limit, score};
use crate::report::trend::{self, Trend};
use crate::result::{MetricReport, Run, Summary, TestReport, TestRun};

/// Tests that passed are listed up to this many; failures are listed all.
const SHOWN_PASSED: usize = 40;
/// Reasons of one test.
const SHOWN_REASONS: usize = 8;
const SLOWEST: usize = 3;
/// The whole summary, its last line ended.
pub fn summary(run: &Run, trends: &[Trend], look: Look) -> String {
    let mut page = Page { look, out: String::new() };
    let totals = Totals::of(run);
    page.verdict(run, &totals);
    for error in &run.collection_errors {
        let at = format!("{}:{}", error.place.file, error.place.line);
        page.blank();
        page.line(0, &[(Ink::Bad, "! "), (Ink::Bold, &at), (Ink::Plain, " cannot run")]);
        page.line(4, &[(Ink::Plain, &error.message)]);
    }
    let report = run.report();
    let both = || run.tests.iter().zip(&report.results);
    let passed = |t: &TestRun| t.outcome == Some(TestOutcome::Passed);
    for (test, shown) in both().filter(|(t, _)| !passed(t)) {
        page.blank();
        page.failure(run, test, shown, trends);
    }
    if totals.passed > 0 {
        page.blank();
    }
    for (test, shown) in both().filter(|(t, _)| passed(t)).take(SHOWN_PASSED) {
        page.passed(run, test, shown, trends);
    }
    if totals.passed > SHOWN_PASSED {
        let more = format!("… and {} more that passed", totals.passed - SHOWN_PASSED);
        page.line(2, &[(Ink::Dim, &more)]);
    }
    page.took(run, &totals);
    page.out
}

impl Page {
    fn verdict(&mut self, run: &Run, totals: &Totals) {
        let (ink, word) = match run.status {
            Some(RunStatus::Passed) => (Ink::Good, "passed"),
            Some(RunStatus::Failed) => (Ink::Bad, "FAILED"),
            Some(RunStatus::Error) | None => (Ink::Bad, "ERROR"),
        };
        let mut rest = format!(
            ": {} of {} passed, {} in {}",
            totals.passed,
            count(totals.tests(), "test"),
            count(totals.images, "image"),
            figures::duration(run.duration_ms)
        );
        match (&run.reason, run.status) {
            (Some(reason), _) => rest.push_str(&format!(" ({reason})")),
            (None, None) => rest.push_str(" (the run did not finish)"),
            (None, Some(_)) => {}
        }
        self.line(0, &[(ink, word), (Ink::Plain, &rest)]);
    }

    fn failure(&mut self, run: &Run, test: &TestRun, shown: &TestReport, trends: &[Trend]) {
        let (ink, mark, word) = match test.outcome {
            Some(TestOutcome::Failed) => (Ink::Bad, "✗ ", "failed"),
            Some(TestOutcome::Error) => (Ink::Odd, "! ", "error"),
            _ => (Ink::Dim, "- ", "not run"),
        };
        let place = format!("  {word} at {}:{}", test.spec.place.file, test.spec.place.line);
        self.line(0, &[(ink, mark), (Ink::Bold, test.spec.id.as_str()), (Ink::Dim, &place)]);
        for reason in test.reasons.iter().take(SHOWN_REASONS) {
            self.line(4, &[(Ink::Plain, reason)]);
        }
        if test.reasons.len() > SHOWN_REASONS {
            let more = format!("… and {} more reasons", test.reasons.len() - SHOWN_REASONS);
            self.line(4, &[(Ink::Dim, &more)]);
        }
        if test.outcome == Some(TestOutcome::Failed) {
            self.worst(run, test, shown);
        }
        for (name, metric) in &shown.metrics {
            self.metric(4, run, test, name, metric, trends);
        }
        if let Some(advice::Step { what, command }) = advice::next_step(run, test) {
            // A command is never folded: it is there to be copied.
            let command = visible(&command);
            let what = format!("{what}: ");
            if 4 + "→ ".width() + what.width() + command.width() <= self.look.width {
                self.raw(4, &[(Ink::Dim, "→ "), (Ink::Plain, &what), (Ink::Bold, &command)]);
            } else {
                self.line(4, &[(Ink::Dim, "→ "), (Ink::Plain, &what)]);
                self.raw(6, &[(Ink::Bold, &command)]);
            }
        }
    }

    /// The image to look at first.
    fn worst(&mut self, run: &Run, test: &TestRun, shown: &TestReport) {
        let missed = shown.metrics.keys().find(|name| {
            run.metrics.get(*name).is_some_and(|info| {
                let scores: Vec<f64> = test.scores(name).map(|(_, value)| value).collect();
                crate::threshold::missed(&test.spec, info, &scores).is_some()
            })
        });
        let Some(info) = missed.and_then(|name| run.metrics.get(name)) else { return };
        let Some((key, value)) = figures::worst_first(test, info).into_iter().next() else {
            return;
        };
        let path = test.cells.get(key).and_then(|cell| cell.image.as_ref());
        let line = format!(
            "worst: {} {} for \"{}\", seed {}{}",
            info.name,
            score(value),
            key.prompt,
            key.seed,
            path.map_or(String::new(), |image| format!(", {}", image.path))
        );
        self.line(4, &[(Ink::Plain, &line)]);
    }

    fn passed(&mut self, run: &Run, test: &TestRun, shown: &TestReport, trends: &[Trend]) {
        let name = visible(test.spec.id.as_str());
        // One metric stands on the test's line where there is room.
        if let [(metric, report)] = shown.metrics.iter().collect::<Vec<_>>()[..] {
            let values = values(run, test, metric, report, trends);
            if 4 + name.width() + visible(&values).width() <= self.look.width {
                let values = format!("  {values}");
                self.line(0, &[(Ink::Good, "✓ "), (Ink::Plain, &name), (Ink::Dim, &values)]);
                return;
            }
        }
        self.line(0, &[(Ink::Good, "✓ "), (Ink::Plain, &name)]);
        for (metric, report) in &shown.metrics {
            self.metric(4, run, test, metric, report, trends);
        }
    }

    fn metric(
        &mut self,
        indent: usize,
        run: &Run,
        test: &TestRun,
        name: &str,
        metric: &MetricReport,
        trends: &[Trend],
    ) {
        self.line(indent, &[(Ink::Dim, &values(run, test, name, metric, trends))]);
        if let Some(note) = &metric.note {
            self.line(indent + 2, &[(Ink::Dim, note)]);
        }
    }

    /// The slowest tests, the cost and the memory.
    fn took(&mut self, run: &Run, totals: &Totals) {
        let mut rows = Vec::new();
        let mut slowest: Vec<&TestRun> = run.tests.iter().filter(|t| t.duration_ms > 0.0).collect();
        slowest.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms));
        if run.tests.len() > 1 && !slowest.is_empty() {
            let slowest: Vec<String> = slowest
                .iter()
                .take(SLOWEST)
                .map(|t| format!("{} {}", t.spec.id.name(), figures::duration(t.duration_ms)))
                .collect();
            rows.push(("slowest", slowest.join(", ")));
        }
        if totals.cached > 0 {
            let images = count(totals.images, "image");
            rows.push(("cache", format!("{} of {images} were there already", totals.cached)));
        }
        if totals.retries > 0 {
            rows.push(("retries", totals.retries.to_string()));
        }
        rows.extend(totals.cost_usd.map(|usd| ("cost", figures::dollars(usd))));
        rows.extend(
            figures::memory(&totals.peak).map(|peak| ("memory", format!("{peak} at most"))),
        );
        if !rows.is_empty() {
            self.blank();
        }
        for (name, value) in rows {
            self.line(0, &[(Ink::Dim, &format!("{name:8} ")), (Ink::Plain, &value)]);
        }
    }
}

/// `clip_score 0.2600 [0.2404, 0.2796], must be ≥ 0.3, over 2 images; was 0.3312 over …`.
fn values(
    run: &Run,
    test: &TestRun,
    name: &str,
    metric: &MetricReport,
    trends: &[Trend],
) -> String {
    let Summary { mean, ci_lower, ci_upper, sample_count, .. } = &metric.summary;
    let mut out = format!("{name} {}", score(*mean));
    if let (Some(lower), Some(upper)) = (ci_lower, ci_upper)
        && *sample_count > 1
    {
        out.push_str(&format!(" [{}, {}]", score(*lower), score(*upper)));
    }
    if let Some(threshold) = metric.threshold {
        let sign = run.metrics.get(name).map_or("", |m| m.direction.comparison());
        out.push_str(&format!(", must be {sign} {}", limit(threshold)));
    }
    out.push_str(&format!(" over {}", count(*sample_count, "image")));
    let before = trend::find(trends, &test.spec.id, name).and_then(|t| t.before(run));
    if let Some(before) = before {
        out.push_str(&format!("; was {}", before.sentence()));
    }
    out
}
