//! What a run adds up to, and how its figures are written, the same in every report.

use time::OffsetDateTime;

use crate::event::TestOutcome;
use crate::metric::MetricInfo;
use crate::result::{Peak, Run, TestRun};

/// The counts and sums of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    pub passed: usize,
    pub failed: usize,
    pub errors: usize,
    pub not_run: usize,
    /// Images that came into being, those from the cache included.
    pub images: usize,
    pub cached: usize,
    /// Cells without an image or without one of their scores.
    pub broken: usize,
    pub retries: u64,
    /// In US dollars; none where no back end said.
    pub cost_usd: Option<f64>,
    /// The most that any test needed.
    pub peak: Peak,
}

impl Totals {
    pub fn of(run: &Run) -> Self {
        let mut totals = Self::default();
        for test in &run.tests {
            *match test.outcome {
                Some(TestOutcome::Passed) => &mut totals.passed,
                Some(TestOutcome::Failed) => &mut totals.failed,
                Some(TestOutcome::Error) => &mut totals.errors,
                Some(TestOutcome::NotRun) | None => &mut totals.not_run,
            } += 1;
            for cell in test.cells.values() {
                totals.images += usize::from(cell.image.is_some());
                totals.cached += usize::from(cell.cached);
                totals.broken += usize::from(cell.failure.is_some());
                totals.retries += u64::from(cell.retries);
            }
            if let Some(cost) = test.cost_usd() {
                *totals.cost_usd.get_or_insert(0.0) += cost;
            }
            totals.peak = Peak {
                rss_bytes: totals.peak.rss_bytes.max(test.peak.rss_bytes),
                vram_bytes: totals.peak.vram_bytes.max(test.peak.vram_bytes),
            };
        }
        totals
    }

    pub fn tests(&self) -> usize {
        self.passed + self.failed + self.errors + self.not_run
    }
}

/// `1 image`, `2 images`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A score, a mean or a bound: four digits after the point, or fewer where the number is large
/// enough to need none of them.
pub fn score(value: f64) -> String {
    if value.abs() < 1000.0 { format!("{value:.4}") } else { format!("{value:.1}") }
}

/// A threshold or a margin, as its author wrote it.
pub fn limit(value: f64) -> String {
    format!("{value}")
}

/// `850 ms`, `12.3 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(ms: f64) -> String {
    let seconds = ms / 1000.0;
    // Rounded first: 59.97 s is a minute, not "60.0 s".
    let whole = seconds.round();
    if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else if whole < 3600.0 {
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    } else {
        format!("{:.0} h {:.0} min", (whole / 3600.0).floor(), (whole % 3600.0 / 60.0).floor())
    }
}

/// `512 MiB`, `3.2 GiB`.
pub fn bytes(n: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = n as f64 / MIB;
    if mib >= 1024.0 {
        format!("{:.1} GiB", mib / 1024.0)
    } else if mib >= 10.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{mib:.1} MiB")
    }
}

/// US dollars, with as many digits as a small price needs to be more than zero.
pub fn dollars(usd: f64) -> String {
    if usd == 0.0 || usd.abs() >= 0.1 {
        format!("${usd:.2}")
    } else if usd.abs() >= 0.0001 {
        format!("${usd:.4}")
    } else {
        format!("${usd:.1e}")
    }
}

/// `1.2 GiB`, or `1.2 GiB, 3.4 GiB on the card`; none where it was not sampled.
pub fn memory(peak: &Peak) -> Option<String> {
    match (peak.rss_bytes, peak.vram_bytes) {
        (None, None) => None,
        (Some(rss), None) => Some(bytes(rss)),
        (None, Some(vram)) => Some(format!("{} on the card", bytes(vram))),
        (Some(rss), Some(vram)) => Some(format!("{}, {} on the card", bytes(rss), bytes(vram))),
    }
}

/// Where the worst of a test's cells stand for a metric, worst first. A metric without a known
/// direction has no worst.
pub fn worst_first<'a>(
    test: &'a TestRun,
    metric: &'a MetricInfo,
) -> Vec<(&'a crate::event::CellKey, f64)> {
    let mut scores: Vec<_> = test.scores(&metric.name).collect();
    scores.sort_by(|a, b| metric.direction.improvement(b.1, a.1).total_cmp(&0.0));
    scores
}

/// When a run began, by its identifier: a UUID of version 7 begins with the milliseconds since
/// 1970 (RFC 9562 §5.7). None for any other identifier.
pub fn began(run: &str) -> Option<OffsetDateTime> {
    let digits: String = run.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || digits.as_bytes().get(12) != Some(&b'7') {
        return None;
    }
    at(i64::from_str_radix(digits.get(..12)?, 16).ok()?)
}

/// The time so many milliseconds after 1970 began.
pub fn at(ms: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
}

/// `2026-11-20 19:05 UTC`.
pub fn minute(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    format!("{date} {:02}:{:02} UTC", time.hour(), time.minute())
}

/// `2026-11-20T19:05:31`, without a zone, in UTC: the form of JUnit's `timestamp`.
pub fn iso_second(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    format!("{date}T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_never_rounded_into_another_unit() {
        let written: Vec<String> =
            [0.4, 999.0, 999.6, 59_940.0, 59_970.0, 200_000.0, 3_599_700.0, 7_500_000.0]
                .map(duration)
                .to_vec();
        assert_eq!(
            written,
            [
                "0 ms",
                "999 ms",
                "1.0 s",
                "59.9 s",
                "1 min 0 s",
                "3 min 20 s",
                "1 h 0 min",
                "2 h 5 min"
            ]
        );
        assert_eq!(bytes(3_435_973_837), "3.2 GiB");
        assert_eq!([dollars(0.0), dollars(0.42), dollars(0.0031)], ["$0.00", "$0.42", "$0.0031"]);
    }

    #[test]
    fn a_run_says_when_it_began_by_its_identifier() {
        // The example of RFC 9562, appendix A.6: 2022-02-22 14:22:22 -05:00.
        let began = began("017F22E2-79B0-7CC3-98C4-DC0C0C07398F").map(iso_second);
        assert_eq!(began.as_deref(), Some("2022-02-22T19:22:22"));
        assert_eq!(super::began("run-1"), None);
        assert_eq!(super::began("017F22E2-79B0-4CC3-98C4-DC0C0C07398F"), None);
    }
}
