//! A metric's trend as a small drawing in the text.

use maud::{Markup, html};

use crate::report::figures;
use crate::report::trend::Trend;
use crate::result::Run;

const WIDTH: f64 = 132.0;
const HEIGHT: f64 = 30.0;
const EDGE: f64 = 4.0;

/// The last values as a line, today's with a dot, the threshold dashed. Runs of another model are
/// hollow and not joined: they are no expectation. Empty for fewer than two runs.
pub fn sparkline(trend: &Trend, run: &Run, threshold: Option<f64>) -> Markup {
    if trend.points.len() < 2 {
        return html! {};
    }
    let values = trend.points.iter().map(|p| p.mean).chain(threshold).filter(|v| v.is_finite());
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    // A flat line runs through the middle.
    let spread = if high - low > 1e-12 { high - low } else { 1.0 };
    let middle = if high - low > 1e-12 { 0.0 } else { 0.5 };
    let x = |at: usize| EDGE + (WIDTH - 2.0 * EDGE) * at as f64 / (trend.points.len() - 1) as f64;
    let y = |v: f64| HEIGHT - EDGE - (HEIGHT - 2.0 * EDGE) * ((v - low) / spread + middle);
    let joined: Vec<String> = trend
        .points
        .iter()
        .enumerate()
        .filter(|(_, p)| p.comparable(run))
        .map(|(at, p)| format!("{:.1},{:.1}", x(at), y(p.mean)))
        .collect();
    let told: Vec<String> = trend.points.iter().map(|p| figures::score(p.mean)).collect();
    let label =
        format!("{} over the last {} runs: {}", trend.metric, trend.points.len(), told.join(", "));
    html! {
        svg.trend viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img" aria-label=(label) {
            @if let Some(threshold) = threshold {
                line.threshold x1="0" x2=(WIDTH) y1=(tenth(y(threshold))) y2=(tenth(y(threshold))) {}
            }
            polyline points=(joined.join(" ")) {}
            @for (at, point) in trend.points.iter().enumerate() {
                @let class = match (point.run == run.id, point.comparable(run)) {
                    (true, _) => "now",
                    (false, true) => "then",
                    (false, false) => "other",
                };
                circle class=(class) cx=(tenth(x(at))) cy=(tenth(y(point.mean))) r=(if class == "now" { "3.2" } else { "2" }) {
                    title {
                        (figures::score(point.mean)) " over " (figures::count(point.samples as usize, "image"))
                        @if let Some(when) = figures::at(point.recorded_at) { ", " (figures::minute(when)) }
                        @if class == "other" { ", with " (point.model) }
                    }
                }
            }
        }
    }
}

fn tenth(v: f64) -> String {
    format!("{v:.1}")
}
