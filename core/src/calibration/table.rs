//! The calibration as the terminal shows it.

use std::fmt::Write as _;

pub(super) use crate::report::columns::digits;

use super::{Calibration, MetricCalibration, Outcome, QUANTILES, Refused};
use crate::config::Units;
use crate::report::columns::columns;
use crate::report::figures::{count, limit};
use crate::report::terminal::visible;

/// Every metric with its null and what follows from it, the last line ended.
pub fn table(calibration: &Calibration) -> String {
    let unit = match calibration.units {
        Units::Prompts => "prompt",
        Units::Images => "image",
    };
    let mut out = format!(
        "{} on {}, {} a run; margins for {}% power at α = {}: κ = {:.2}\n",
        visible(&calibration.model),
        visible(&calibration.device),
        count(calibration.images as usize, "image"),
        super::POWER * 100.0,
        calibration.alpha,
        calibration.kappa,
    );
    let mut rows = vec![
        ["metric", "margin", "now", "drop", "now", "null under other seeds", "numerical", "from"]
            .map(str::to_owned),
    ];
    for metric in &calibration.metrics {
        if let Outcome::Suggested(suggestion) = &metric.outcome {
            rows.push([
                metric.name.clone(),
                limit(suggestion.margin),
                now(metric.margin_now, metric.margin_given),
                limit(suggestion.drop),
                now(metric.drop_now, metric.drop_given),
                format!("sd {} over {}", digits(suggestion.sd), count(suggestion.units, unit)),
                digits(numerical(metric)),
                suggestion.margin_basis.words().to_owned(),
            ]);
        }
    }
    if rows.len() > 1 {
        let _ = write!(out, "\n{}", columns(&rows));
    }
    for metric in &calibration.metrics {
        let notes = notes(metric);
        if !notes.is_empty() {
            out.push('\n');
        }
        for note in notes {
            let _ = writeln!(out, "{}: {}", visible(&metric.name), visible(&note));
        }
    }
    for note in &calibration.notes {
        let _ = write!(out, "\nnote: {}\n", visible(note));
    }
    out
}

fn now(value: f64, given: bool) -> String {
    // A default need not be defended.
    if given { limit(value) } else { format!("({})", limit(value)) }
}

/// The largest mean that a numerical change moved.
fn numerical(metric: &MetricCalibration) -> f64 {
    metric.numerical.values().flatten().map(|null| null.mean.abs()).fold(0.0, f64::max)
}

fn notes(metric: &MetricCalibration) -> Vec<String> {
    match &metric.outcome {
        Outcome::Suggested(suggestion) => {
            let decisive = metric.seeds.iter().find(|null| null.test == suggestion.test);
            let mut notes: Vec<String> = decisive
                .map(|null| {
                    let quantiles: Vec<String> =
                        null.quantiles.iter().map(|value| digits(*value)).collect();
                    let at: Vec<String> =
                        QUANTILES.iter().map(|p| format!("{}", p * 100.0)).collect();
                    format!(
                        "differences in {}: mean {}, quantiles {} ({}%), worst loss {}",
                        null.test.name(),
                        digits(null.mean),
                        quantiles.join(" "),
                        at.join(" "),
                        digits(null.worst_loss),
                    )
                })
                .into_iter()
                .collect();
            if suggestion.blind {
                notes.push(format!(
                    "a drop of {} is the whole range of the metric: other seeds alone go from one end to the other, and the tail guard can see no ruined image by it",
                    limit(suggestion.drop)
                ));
            }
            notes
        }
        Outcome::Refused(Refused::ComparesImages) => {
            let worst: Vec<String> = metric
                .worst_reference
                .iter()
                .map(|(variant, score)| format!("{score:.4} ({variant})"))
                .collect();
            let mut note = format!("not calibrated: {}", Refused::ComparesImages);
            if !worst.is_empty() {
                note.push_str(&format!(
                    "; the worst image against its own seed's of the reference run scored {}: a threshold beyond that fails on numerics alone",
                    worst.join(", ")
                ));
            }
            vec![note]
        }
        Outcome::Refused(refused) => vec![format!("not calibrated: {refused}")],
    }
}
