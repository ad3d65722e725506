//! Several models on one suite: who is best, how sure that is, and every pair's verdict.

use std::fmt::Write as _;

use serde::Serialize;

use super::markdown::code;
use super::terminal::visible;
use super::{MAX_CHECK_TEXT, badge, fitting, sections};
use crate::compare::Comparison;
use crate::ids::ImageSha;
use crate::report::figures::score;
use crate::verdict::ranking::Standing;

/// One model by one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    pub model: String,
    #[serde(flatten)]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    pub metric: String,
    /// The best first.
    pub rows: Vec<Ranked>,
}

pub struct Sweep<'a> {
    pub models: &'a [&'a str],
    pub ranking: &'a [Ranking],
    /// Of two models by their numbers: the second against the first.
    pub pairs: &'a [(usize, usize, Comparison)],
}

/// For a terminal.
pub fn text(sweep: &Sweep<'_>) -> String {
    let mut out = String::new();
    for ranking in sweep.ranking {
        let width = ranking.rows.iter().map(|row| row.model.chars().count()).max().unwrap_or(0);
        let prompts = ranking.rows.first().map_or(0, |row| row.standing.prompts);
        let _ = writeln!(out, "{} over {prompts} prompts", visible(&ranking.metric));
        for row in &ranking.rows {
            let _ = writeln!(
                out,
                "  {:>2}. {:width$}  {:>9}  rank {}–{}, the best with {:.0}%",
                row.standing.rank,
                visible(&row.model),
                score(row.standing.mean),
                row.standing.rank_lower,
                row.standing.rank_upper,
                100.0 * row.standing.p_best,
            );
        }
        out.push('\n');
    }
    for (a, b, comparison) in sweep.pairs {
        let _ = writeln!(
            out,
            "{} against {}: {}",
            visible(sweep.models[*b]),
            visible(sweep.models[*a]),
            comparison.decision.as_str()
        );
        for test in &comparison.tests {
            let reason = test.sentences.first().map_or("", String::as_str);
            let _ = writeln!(
                out,
                "  {:12} {}: {}",
                test.decision.as_str(),
                visible(test.id.name()),
                visible(reason)
            );
        }
    }
    out
}

/// At most [`MAX_CHECK_TEXT`] bytes.
pub fn markdown(sweep: &Sweep<'_>, image_url: &dyn Fn(&ImageSha) -> String) -> String {
    fitting(MAX_CHECK_TEXT, 3, |room| {
        let mut out = format!("## difftest: {} models\n\n", sweep.models.len());
        for ranking in sweep.ranking {
            let _ = writeln!(out, "**{}**\n", code(&ranking.metric));
            out.push_str("| rank | model | mean | 95% of ranks | best |\n|--:|---|--:|---|--:|\n");
            for row in ranking.rows.iter().take(room.rows) {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {}–{} | {:.0}% |",
                    row.standing.rank,
                    code(&row.model),
                    score(row.standing.mean),
                    row.standing.rank_lower,
                    row.standing.rank_upper,
                    100.0 * row.standing.p_best
                );
            }
            out.push('\n');
        }
        for (a, b, comparison) in sweep.pairs {
            let _ = writeln!(
                out,
                "### {} against {}: {}\n",
                code(sweep.models[*b]),
                code(sweep.models[*a]),
                badge(comparison.decision)
            );
            out.push_str(&sections::verdicts(comparison, room));
            let _ = writeln!(out, "\n{}", sections::metrics(comparison, room));
            out.push_str(&sections::images(comparison, room, image_url));
        }
        out
    })
}
