//! The Markdown of a comparison that was made on the command line.

use std::fmt::Write as _;

use super::markdown::code;
use super::{MAX_CHECK_TEXT, badge, fitting, sections};
use crate::compare::Comparison;
use crate::compare::classic::Classic;
use crate::ids::ImageSha;
use crate::report::figures::score;

/// Pairs of each test, where there is room.
const SHOWN_PAIRS: usize = 6;

/// The whole report, at most [`MAX_CHECK_TEXT`] bytes. `a` and `b` are what the sides are called.
pub fn markdown(
    comparison: &Comparison,
    (a, b): (&str, &str),
    classic: &[Classic],
    image_url: &dyn Fn(&ImageSha) -> String,
) -> String {
    fitting(MAX_CHECK_TEXT, SHOWN_PAIRS, |room| {
        let mut out = format!("## difftest: {}\n\n", badge(comparison.decision));
        let cost = sections::cost(comparison);
        let _ = writeln!(out, "{} against {} · {cost}\n", code(b), code(a));
        out.push_str(&sections::verdicts(comparison, room));
        let notes = sections::notes(comparison);
        if !notes.is_empty() {
            let _ = writeln!(out, "\n{notes}");
        }
        let metrics = sections::metrics(comparison, room);
        if !metrics.is_empty() {
            let _ = writeln!(out, "\n### Metrics, pair by pair\n\n{metrics}");
        }
        if !classic.is_empty() && room.rows > 0 {
            let _ = writeln!(out, "\n### Without pairs\n\n{}", table(classic, room.rows));
        }
        out.push_str(&sections::images(comparison, room, image_url));
        out
    })
}

/// Welch's t and Cohen's d of two independent samples.
fn table(rows: &[Classic], most: usize) -> String {
    let mut out = String::from(
        "| test | metric | a | b | better | t | p | d |\n|---|---|--:|--:|---|--:|--:|--:|\n",
    );
    for row in rows.iter().take(most) {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.3}"));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            code(row.test.name()),
            code(&row.metric),
            score(row.a.mean),
            score(row.b.mean),
            row.better.map_or("–", |side| side.as_str()),
            number(row.t),
            number(row.p),
            number(row.d),
        );
    }
    sections::more(&mut out, rows.len(), most, "metrics");
    out
}
