//! What `difftest compare` leaves in the terminal: the verdict, then test by test why, with every
//! metric's figures.

use super::{Ink, Look, Page};
use crate::compare::classic::Classic;
use crate::compare::{Comparison, MetricComparison, TestComparison};
use crate::report::figures::{count, limit, score};
use crate::report::{check, sections};
use crate::verdict::Decision;

/// Sentences of one test.
const SHOWN_SENTENCES: usize = 6;

/// The whole comparison, its last line ended.
pub fn comparison(comparison: &Comparison, look: Look) -> String {
    let mut page = Page { look, out: String::new() };
    let title = check::title(comparison);
    let rest = format!(" · {}", sections::plain_cost(comparison));
    page.line(0, &[(ink(comparison.decision), &title), (Ink::Plain, &rest)]);
    for note in &comparison.notes {
        page.line(2, &[(Ink::Odd, "! "), (Ink::Plain, note)]);
    }
    for error in &comparison.collection_errors {
        let at = format!("{}:{}", error.place.file, error.place.line);
        page.blank();
        page.line(0, &[(Ink::Bad, "! "), (Ink::Bold, &at), (Ink::Plain, " cannot run")]);
        page.line(4, &[(Ink::Plain, &error.message)]);
    }
    // The gravest first; within one gravity in the order of discovery.
    let mut tests: Vec<&TestComparison> = comparison.tests.iter().collect();
    tests.sort_by_key(|test| std::cmp::Reverse(test.decision));
    for test in tests {
        page.blank();
        page.test(test);
    }
    page.out
}

/// The same runs without pairs: Welch's t and Cohen's d, a line a metric.
pub fn unpaired(rows: &[Classic], look: Look) -> String {
    let mut page = Page { look, out: String::new() };
    if !rows.is_empty() {
        page.line(0, &[(Ink::Bold, "without pairs")]);
    }
    for row in rows {
        let number = |name: &str, value: Option<f64>| {
            value.map_or_else(String::new, |v| format!(", {name} {v:.3}"))
        };
        let line = format!(
            "{} {}: a {}, b {}{}{}{}{}",
            row.test.name(),
            row.metric,
            score(row.a.mean),
            score(row.b.mean),
            row.better.map_or_else(String::new, |side| format!(", better {}", side.as_str())),
            number("t", row.t),
            number("p", row.p),
            number("d", row.d),
        );
        page.line(4, &[(Ink::Dim, &line)]);
    }
    page.out
}

fn ink(decision: Decision) -> Ink {
    match decision {
        Decision::Pass | Decision::Improved => Ink::Good,
        Decision::Inconclusive => Ink::Dim,
        Decision::Infra | Decision::Error => Ink::Odd,
        Decision::Changed | Decision::Failed | Decision::Regressed => Ink::Bad,
    }
}

impl Page {
    fn test(&mut self, test: &TestComparison) {
        let word = format!("{:12} ", test.decision.as_str());
        let pairs = format!(
            "  {} of {}, {} identical",
            test.pairs,
            count(test.planned_pairs, "pair"),
            test.identical_pairs
        );
        self.line(
            0,
            &[(ink(test.decision), &word), (Ink::Bold, test.id.as_str()), (Ink::Dim, &pairs)],
        );
        for sentence in test.sentences.iter().take(SHOWN_SENTENCES) {
            self.line(4, &[(Ink::Plain, sentence)]);
        }
        for metric in &test.metrics {
            self.line(4, &[(Ink::Dim, &figures(metric))]);
        }
    }
}

/// `clip_score 0.9550 → 0.9197: -0.0353 [-0.0471, -0.0235], margin 0.01, e-value 2.1e4`.
fn figures(metric: &MetricComparison) -> String {
    let mut out = metric.name.clone();
    match &metric.base {
        Some(base) => {
            out.push_str(&format!(" {} → {}", score(base.mean), score(metric.head.mean)));
        }
        None => out.push_str(&format!(" {}", score(metric.head.mean))),
    }
    if let Some(paired) = &metric.paired {
        out.push_str(&format!(": {:+.4}", paired.estimate));
        if let (Some(lower), Some(upper)) = (paired.lower, paired.upper) {
            out.push_str(&format!(" [{lower:+.4}, {upper:+.4}]"));
        }
        out.push_str(&format!(", margin {}", limit(paired.margin)));
        if paired.ln_e > 0.0 {
            out.push_str(&format!(", e-value {}", e_value(paired.ln_e)));
        }
    }
    if let Some(threshold) = metric.threshold {
        out.push_str(&format!(", threshold {}", limit(threshold)));
    }
    out
}

/// An e-value from its logarithm, which may be larger than any number a float holds.
pub(crate) fn e_value(ln_e: f64) -> String {
    let tenfold = ln_e / std::f64::consts::LN_10;
    if tenfold < 3.0 {
        format!("{:.1}", ln_e.exp())
    } else if tenfold < 1e6 {
        format!("10^{tenfold:.0}")
    } else {
        "beyond counting".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_value_is_readable_at_any_size() {
        assert_eq!([0.0, 3.0, 23.0].map(e_value), ["1.0", "20.1", "10^10"]);
        assert_eq!(e_value(f64::MAX), "beyond counting");
    }
}
