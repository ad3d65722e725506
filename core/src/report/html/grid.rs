//! The images of a test: a row a prompt, a column a seed, the worst first.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::embed::{Embedded, Picture};
use crate::event::{CellKey, TestOutcome};
use crate::metric::MetricInfo;
use crate::report::figures;
use crate::result::{CellRun, Run, TestRun};

/// More cells than this make a page that a browser scrolls badly.
const MOST_CELLS: usize = 1_000;

/// Which cells the report shows, in which order.
pub struct Shown<'a> {
    /// By test, as in the run: rows of one prompt each.
    pub tests: Vec<Vec<Row<'a>>>,
    /// Cells that the report does not show.
    pub left_out: usize,
}

pub struct Row<'a> {
    pub prompt: &'a str,
    pub cells: Vec<(&'a CellKey, &'a CellRun)>,
}

impl<'a> Shown<'a> {
    /// Every cell that is shown, those of tests that did not pass first.
    pub fn by_need(&self, run: &'a Run) -> impl Iterator<Item = (&'a CellKey, &'a CellRun)> {
        let passed = |at: usize| run.tests[at].outcome == Some(TestOutcome::Passed);
        let mut order: Vec<usize> = (0..self.tests.len()).collect();
        order.sort_by_key(|at| passed(*at));
        order
            .into_iter()
            .flat_map(|at| self.tests[at].iter().flat_map(|row| row.cells.iter().copied()))
    }
}

/// Tests that did not pass have their rows first; each test's worst rows come first in it.
pub fn choose(run: &Run) -> Shown<'_> {
    let mut tests: Vec<Vec<Row<'_>>> = run.tests.iter().map(|test| rows(run, test)).collect();
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_by_key(|at| run.tests[*at].outcome == Some(TestOutcome::Passed));
    let (mut room, mut left_out) = (MOST_CELLS, 0);
    for at in order {
        tests[at].retain(|row| {
            let fits = row.cells.len() <= room;
            if fits {
                room -= row.cells.len();
            } else {
                room = 0;
                left_out += row.cells.len();
            }
            fits
        });
    }
    Shown { tests, left_out }
}

fn rows<'a>(run: &'a Run, test: &'a TestRun) -> Vec<Row<'a>> {
    let mut by_prompt: BTreeMap<&str, Vec<(&CellKey, &CellRun)>> = BTreeMap::new();
    for (key, cell) in &test.cells {
        by_prompt.entry(&key.prompt).or_default().push((key, cell));
    }
    let mut rows: Vec<Row<'_>> =
        by_prompt.into_iter().map(|(prompt, cells)| Row { prompt, cells }).collect();
    let metric = first_metric(run, test);
    let rank = |row: &Row<'_>| -> f64 {
        let worst = |cell: &CellRun| match (cell.failure.is_some(), metric) {
            (true, _) => f64::NEG_INFINITY,
            (false, Some(m)) => {
                cell.scores.get(&m.name).map_or(0.0, |v| m.direction.improvement(0.0, *v))
            }
            (false, None) => 0.0,
        };
        row.cells.iter().map(|(_, cell)| worst(cell)).fold(f64::INFINITY, f64::min)
    };
    rows.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    rows
}

/// The metric that decides which cell is worse: the first with a threshold, else the first.
fn first_metric<'a>(run: &'a Run, test: &TestRun) -> Option<&'a MetricInfo> {
    let metrics = test.spec.metrics();
    let demanded = metrics.iter().find(|m| test.spec.threshold(m).is_some());
    run.metrics.get(demanded.or(metrics.first())?)
}

/// The rows of one test.
pub fn images(run: &Run, test: &TestRun, rows: &[Row<'_>], embedded: &Embedded<'_>) -> Markup {
    let seeds: BTreeSet<i64> = test.cells.keys().map(|key| key.seed).collect();
    html! {
        h3 {
            "Images"
            @if rows.len() > 1 { span.quiet { " · the worst first" } }
        }
        div.grid {
            @for row in rows {
                div.prompt {
                    h4 dir="auto" { (row.prompt) }
                    div.cells {
                        @for seed in &seeds {
                            @match row.cells.iter().find(|(key, _)| key.seed == *seed) {
                                Some((key, cell)) => (figure(run, test, key, cell, embedded)),
                                None => div.cell {},
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(
    run: &Run,
    test: &TestRun,
    key: &CellKey,
    cell: &CellRun,
    embedded: &Embedded<'_>,
) -> Markup {
    let picture = embedded.of(key);
    let name = format!("{}, seed {}", key.prompt, key.seed);
    html! {
        figure.cell data-name=(name) {
            (pair(&name, cell, picture))
            figcaption {
                span.seed { "seed " (key.seed) }
                @for (metric, value) in &cell.scores {
                    (score(run, test, metric, *value))
                }
                @if cell.failure.is_some() { span.score.bad { "failed" } }
                @if cell.cached { span.tag title="taken from the cache, not made again" { "cached" } }
                @if cell.retries > 0 { span.tag { (figures::count(cell.retries as usize, "retry").replace("retrys", "retries")) } }
                @if let Some(cost) = cell.cost_usd { span.tag { (figures::dollars(cost)) } }
                @if picture.identical() { span.tag title="byte for byte" { "identical" } }
            }
        }
    }
}

fn score(run: &Run, test: &TestRun, metric: &str, value: f64) -> Markup {
    let info = run.metrics.get(metric);
    let threshold = test.spec.threshold(metric);
    let bad = match (info, threshold) {
        (Some(info), Some(threshold)) => !info.direction.holds(value, threshold),
        _ => false,
    };
    html! {
        span.score.bad[bad] {
            (metric) " " b { (figures::score(value)) }
            @if bad { span.sr { " misses its threshold" } }
        }
    }
}

/// One image, or the image over the one it was compared with.
fn pair(name: &str, cell: &CellRun, picture: &Picture) -> Markup {
    let size = cell.image.as_ref().map(|image| (image.width, image.height));
    // Pixel art stays sharp when it is drawn large.
    let small = size.is_some_and(|(width, height)| width.max(height) <= 128);
    html! {
        @match picture {
            Picture::Nothing => {
                div.pair.empty {
                    @if let Some(reason) = &cell.failure { p { (reason) } }
                    @else if let Some(image) = &cell.image {
                        p { "not in this file" br; code { (image.path) } }
                    }
                }
            }
            Picture::One { head, identical: _, thumbnail } => {
                div.pair.single.small[small] {
                    (img("head", head, name, size))
                    (enlarge(name, *thumbnail))
                }
            }
            Picture::Pair { base, head, thumbnail } => {
                div.pair.both.small[small] {
                    div.stack {
                        (img("base", base, &format!("base: {name}"), size))
                        (img("head", head, &format!("head: {name}"), size))
                    }
                    input.slide type="range" min="0" max="100" value="50" step="1" autocomplete="off"
                        aria-label=(format!("Where base ends and head begins: {name}"));
                    span.handle aria-hidden="true" {}
                    span.side.left aria-hidden="true" { "base" }
                    span.side.right aria-hidden="true" { "head" }
                    (enlarge(name, *thumbnail))
                }
            }
        }
    }
}

fn img(side: &str, source: &str, name: &str, size: Option<(u32, u32)>) -> Markup {
    let (width, height) = size.unzip();
    html! {
        img class=(side) src=(source) alt=(name) width=[width] height=[height] decoding="async" draggable="false";
    }
}

fn enlarge(name: &str, thumbnail: bool) -> Markup {
    let title = if thumbnail { "Enlarge (this file holds a small copy)" } else { "Enlarge" };
    html! {
        button.enlarge type="button" aria-label=(format!("Enlarge {name}")) title=(title) { "⤢" }
    }
}
