//! The parts that the check run and the comment share.

use std::fmt::Write as _;

use super::markdown::{attribute, code, prose};
use super::{Room, badge};
use crate::compare::{Comparison, ImagePair, MetricComparison, TestComparison};
use crate::ids::ImageSha;

pub(super) type ImageUrl<'a> = dyn Fn(&ImageSha) -> String + 'a;

/// A table of tests: verdict and reason.
pub(super) fn verdicts(comparison: &Comparison, room: Room) -> String {
    let mut out = String::new();
    if !comparison.tests.is_empty() {
        out.push_str("| test | verdict | why |\n|---|---|---|\n");
        for test in comparison.tests.iter().take(room.rows) {
            let reason = test.sentences.first().map_or(String::new(), |s| prose(s));
            let _ =
                writeln!(out, "| {} | {} | {reason} |", code(test.id.name()), badge(test.decision));
        }
        more(&mut out, comparison.tests.len(), room.rows, "tests");
    }
    for error in comparison.collection_errors.iter().take(room.rows) {
        let at = format!("{}:{}", error.place.file, error.place.line);
        let _ = writeln!(out, "\n⚠️ {} cannot run: {}", code(&at), prose(&error.message));
    }
    more(&mut out, comparison.collection_errors.len(), room.rows, "that cannot run");
    out
}

pub(super) fn notes(comparison: &Comparison) -> String {
    let mut out = String::new();
    for note in comparison.notes.iter().take(20) {
        let _ = writeln!(out, "- {}", prose(note));
    }
    out
}

/// A table of metrics: base, head, the change with its bounds, and what was demanded.
pub(super) fn metrics(comparison: &Comparison, room: Room) -> String {
    let rows: Vec<(&TestComparison, &MetricComparison)> =
        comparison.tests.iter().flat_map(|t| t.metrics.iter().map(move |m| (t, m))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "| test | metric | base | head | change | margin | threshold | verdict |\n\
         |---|---|--:|--:|---|--:|--:|---|\n",
    );
    for (test, metric) in rows.iter().take(room.rows) {
        let base = metric.base.as_ref().map_or("–".into(), |s| format!("{:.4}", s.mean));
        let (change, margin) = match &metric.paired {
            Some(p) => (change(p), format!("{}", p.margin)),
            None => ("–".into(), "–".into()),
        };
        let threshold = metric.threshold.map_or("–".into(), |t| format!("{t}"));
        let _ = writeln!(
            out,
            "| {} | {} | {base} | {:.4} | {change} | {margin} | {threshold} | {} |",
            code(test.id.name()),
            code(&metric.name),
            metric.head.mean,
            badge(metric.decision)
        );
    }
    more(&mut out, rows.len(), room.rows, "metrics");
    out
}

fn change(paired: &crate::verdict::paired::PairedVerdict) -> String {
    let bounds = match (paired.lower, paired.upper) {
        (Some(lower), Some(upper)) => format!(" [{lower:+.4}, {upper:+.4}]"),
        _ => String::new(),
    };
    format!("{:+.4}{bounds}", paired.estimate)
}

/// The pairs that changed, those that lost most first.
pub(super) fn images(comparison: &Comparison, room: Room, url: &ImageUrl<'_>) -> String {
    let mut out = String::new();
    for test in comparison.tests.iter().filter(|t| !t.changed.is_empty()).take(room.rows) {
        if room.images == 0 {
            break;
        }
        let changed = test.pairs - test.identical_pairs;
        let _ = writeln!(
            out,
            "\n**{}** — {changed} of {} image pairs changed{}\n",
            code(test.id.name()),
            test.pairs,
            if changed > room.images { ", those that lost most:" } else { ":" }
        );
        out.push_str("| prompt | base | head |\n|---|---|---|\n");
        for pair in test.changed.iter().take(room.images) {
            let _ = writeln!(
                out,
                "| {}<br>seed {}{} | {} | {} |",
                code(&pair.prompt),
                pair.seed,
                scores(pair),
                image(&url(&pair.base), "base", &pair.prompt),
                image(&url(&pair.head), "head", &pair.prompt),
            );
        }
    }
    out
}

fn scores(pair: &ImagePair) -> String {
    pair.scores
        .iter()
        .map(|(metric, base, head)| match base {
            Some(base) => format!("<br>{} {base:.3} → {head:.3}", code(metric)),
            None => format!("<br>{} {head:.3}", code(metric)),
        })
        .collect()
}

fn image(url: &str, side: &str, prompt: &str) -> String {
    let alt = attribute(&format!("{side}: {prompt}"));
    format!("<img src=\"{url}\" width=\"160\" alt=\"{alt}\">")
}

pub(super) fn more(out: &mut String, total: usize, shown: usize, what: &str) {
    if total > shown {
        let _ = writeln!(out, "\n… and {} more {what}.", total - shown);
    }
}

/// What was compared and what it cost, in one line.
pub(super) fn cost(comparison: &Comparison) -> String {
    cost_on(comparison, &|device| code(device))
}

/// The same without markup.
pub(super) fn plain_cost(comparison: &Comparison) -> String {
    cost_on(comparison, &str::to_owned)
}

fn cost_on(comparison: &Comparison, shown: &dyn Fn(&str) -> String) -> String {
    let sides = || [&comparison.base, &comparison.head].into_iter().flatten();
    let images: u64 = sides().map(|s| s.images).sum();
    let seconds: f64 = sides().map(|s| s.duration_ms / 1000.0).sum();
    let head = comparison.head.as_ref();
    let device = head.map_or(String::new(), |h| format!(" on {}", shown(&h.device)));
    format!("{images} images in {seconds:.1} s{device}, α = {} for the whole run", comparison.alpha)
}
