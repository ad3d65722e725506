//! The audit as the terminal shows it, and as Markdown.

use std::fmt::Write as _;

use super::measure::{Measured, MetricShift, Reach, ReferenceScore};
use super::{Audit, Outcome};
use crate::report::columns::{columns, digits};
use crate::report::figures::{self, count, limit};
use crate::report::markdown::{code, prose};
use crate::report::terminal::visible;

const HEAD: [&str; 6] =
    ["", "images moved", "largest", "mean", "lowest SSIM", "metrics: mean and largest difference"];

/// The table and the conclusions, for a terminal; the last line is ended.
pub fn table(audit: &Audit) -> String {
    let mut out = format!(
        "{} with {} on {}: {}, {} at once, {}\n\n",
        visible(&audit.model),
        visible(&audit.generator),
        visible(&audit.device),
        count(audit.images as usize, "image"),
        audit.batch_size,
        count(audit.threads as usize, "thread"),
    );
    let mut rows = vec![HEAD.map(str::to_owned)];
    for finding in &audit.findings {
        let Outcome::Measured(measured) = &finding.outcome else { continue };
        let metrics = scores(measured);
        let [moved, largest, mean, ssim] = figures(measured);
        let mut metrics = metrics.into_iter();
        let first = metrics.next().unwrap_or_default();
        rows.push([finding.setting.clone(), moved, largest, mean, ssim, first]);
        rows.extend(metrics.map(|m| {
            let mut row: [String; 6] = Default::default();
            row[5] = m;
            row
        }));
    }
    if rows.len() > 1 {
        out.push_str(&columns(&rows));
        out.push('\n');
    }
    for line in audit.conclusions() {
        let _ = writeln!(out, "{}", visible(&line));
    }
    for note in &audit.notes {
        let _ = writeln!(out, "note: {}", visible(note));
    }
    out
}

/// The same for a page or a comment.
pub fn markdown(audit: &Audit) -> String {
    let mut out = format!(
        "## Determinism of {}\n\n{} on {}: {}, {} at once, {}\n\n",
        code(&audit.model),
        code(&audit.generator),
        code(&audit.device),
        count(audit.images as usize, "image"),
        audit.batch_size,
        count(audit.threads as usize, "thread"),
    );
    for line in audit.conclusions() {
        let _ = writeln!(out, "- {}", prose(&line));
    }
    out.push('\n');
    let _ = writeln!(out, "| {} |\n|{}", HEAD.join(" | ").trim_start(), "---|".repeat(HEAD.len()));
    for finding in &audit.findings {
        let Outcome::Measured(measured) = &finding.outcome else { continue };
        let metrics: Vec<String> = scores(measured).iter().map(|m| prose(m)).collect();
        let [moved, largest, mean, ssim] = figures(measured);
        let _ = writeln!(
            out,
            "| {} | {moved} | {largest} | {mean} | {ssim} | {} |",
            prose(&finding.setting),
            metrics.join("<br>")
        );
    }
    for note in &audit.notes {
        let _ = write!(out, "\n{}\n", prose(note));
    }
    out
}

fn figures(measured: &Measured) -> [String; 4] {
    let ssim =
        if measured.changed == 0 { "1".to_owned() } else { format!("{:.4}", measured.lowest_ssim) };
    [
        format!("{} of {}", measured.changed, measured.images),
        measured.largest.to_string(),
        digits(measured.mean),
        ssim,
    ]
}

/// `clip_score 0.0001, 0.0004: within 0.02`.
fn shift(shift: &MetricShift) -> String {
    let margin = limit(shift.margin);
    let words = match shift.reach {
        Reach::None => "does not move".to_owned(),
        Reach::Within => format!("within {margin}"),
        Reach::SingleImages => format!("single images beyond {margin}"),
        Reach::Mean => format!("beyond {margin}"),
    };
    format!("{} {}, {}: {words}", shift.name, digits(shift.mean_abs), digits(shift.largest_abs))
}

/// `ssim of the reference run's image 0.9998 at worst`.
fn likeness(score: &ReferenceScore) -> String {
    let missed = if score.missed { ": misses a threshold" } else { "" };
    format!(
        "{} to the reference run's image {} at worst{missed}",
        score.name,
        figures::score(score.worst)
    )
}

/// A line for each metric that moves, and one for all that do not.
fn scores(measured: &Measured) -> Vec<String> {
    let (still, moving): (Vec<&MetricShift>, Vec<&MetricShift>) =
        measured.metrics.iter().partition(|shift| shift.reach == Reach::None);
    let mut lines: Vec<String> = moving.into_iter().map(shift).collect();
    if !still.is_empty() {
        let names: Vec<&str> = still.iter().map(|shift| shift.name.as_str()).collect();
        let verb = if names.len() == 1 { "does" } else { "do" };
        lines.push(format!("{} {verb} not move", names.join(", ")));
    }
    lines.extend(measured.references.iter().map(likeness));
    lines
}
