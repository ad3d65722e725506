//! What stands above and below the tests: the verdict, the sums, the filter, the viewer.

use maud::{Markup, html};

use super::Page;
use super::embed::Embedded;
use super::grid::Shown;
use crate::event::RunStatus;
use crate::report::figures::{self, Totals, count};
use crate::result::Run;

/// `FAILED, 2 of 5 tests did not pass`.
pub fn sentence(run: &Run, totals: &Totals) -> String {
    let word = verdict(run).1;
    let missed = totals.tests() - totals.passed;
    match (totals.tests(), missed) {
        (0, _) => format!("{word}, no test was run"),
        (tests, 0) => format!("{word}, {} of {}", totals.passed, count(tests, "test")),
        (tests, missed) => format!("{word}, {missed} of {} did not pass", count(tests, "test")),
    }
}

fn verdict(run: &Run) -> (&'static str, &'static str) {
    match run.status {
        Some(RunStatus::Passed) => ("good", "Passed"),
        Some(RunStatus::Failed) => ("bad", "Failed"),
        Some(RunStatus::Error) => ("odd", "Error"),
        None => ("odd", "Did not finish"),
    }
}

pub fn header(page: &Page<'_>, totals: &Totals) -> Markup {
    let run = page.run;
    let (class, word) = verdict(run);
    let when = figures::began(&run.id).map(figures::minute);
    html! {
        header.top {
            div.line {
                span.brand { "difftest" }
                h1 { span class={"verdict " (class)} { (word) } }
                p.what {
                    (totals.passed) " of " (count(totals.tests(), "test")) " passed"
                    // Of a run that failed it only counts the tests again.
                    @if let Some(reason) = run.reason.as_ref().filter(|_| run.status != Some(RunStatus::Failed)) { " · " (reason) }
                }
            }
            p.quiet {
                "model " code { (run.model) } " with " code { (run.generator) }
                @if !run.environment.device.is_empty() { " on " code { (run.environment.device) } }
                @if let Some(when) = &when { " · " time { (when) } }
            }
            dl.tiles {
                (tile("Images", &totals.images.to_string(), cached(totals).as_deref()))
                (tile("Time", &figures::duration(run.duration_ms), None))
                @if let Some(usd) = totals.cost_usd { (tile("Cost", &figures::dollars(usd), None)) }
                @if let Some(rss) = totals.peak.rss_bytes {
                    @let card = totals.peak.vram_bytes.map(|n| format!("{} on the card", figures::bytes(n)));
                    (tile("Peak memory", &figures::bytes(rss), card.as_deref()))
                }
                @if totals.retries > 0 { (tile("Retries", &totals.retries.to_string(), None)) }
                @if totals.broken > 0 { (tile("Failed cells", &totals.broken.to_string(), None)) }
            }
            @if let Some(comparison) = page.comparison {
                @for note in &comparison.notes { p.note { (note) } }
            }
        }
    }
}

fn cached(totals: &Totals) -> Option<String> {
    (totals.cached > 0).then(|| format!("{} from the cache", totals.cached))
}

fn tile(name: &str, value: &str, more: Option<&str>) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            dd { (value) @if let Some(more) = more { small { (more) } } }
        }
    }
}

/// Files that could not be read as tests, before everything else.
pub fn errors(run: &Run) -> Markup {
    html! {
        @if !run.collection_errors.is_empty() {
            section.unread aria-label="What cannot run" {
                h2 { "Could not be read as tests" }
                @for error in &run.collection_errors {
                    p { code { (error.place.file) ":" (error.place.line) } " " span.message { (error.message) } }
                }
            }
        }
    }
}

/// The filter and, where there are pairs, how they are shown. Script brings it to life; without
/// script everything is shown, and it is not.
pub fn toolbar(totals: &Totals, pairs: bool) -> Markup {
    let outcomes = [
        ("failed", "Failed", totals.failed),
        ("error", "Error", totals.errors),
        ("not_run", "Not run", totals.not_run),
        ("passed", "Passed", totals.passed),
    ];
    html! {
        form.toolbar #toolbar hidden role="search" aria-label="Tests" {
            label.find {
                span.sr { "Show tests and prompts with" }
                input #find type="search" placeholder="Filter by test or prompt" autocomplete="off" spellcheck="false";
            }
            fieldset.outcomes {
                legend.sr { "Outcomes" }
                @for (value, name, n) in outcomes {
                    @if n > 0 {
                        label.chip { input type="checkbox" name="outcome" value=(value) checked autocomplete="off"; span { (name) " " b { (n) } } }
                    }
                }
            }
            @if pairs { (modes("all", "Pairs")) }
            p.count #count role="status" aria-live="polite" {}
        }
    }
}

fn modes(group: &str, legend: &str) -> Markup {
    let modes = [
        ("slide", "Slider"),
        ("side", "Side by side"),
        ("difference", "Difference"),
        ("base", "Base"),
        ("head", "Head"),
    ];
    html! {
        fieldset.modes {
            legend.sr { (legend) }
            @for (value, name) in modes {
                label.chip { input type="radio" name=(format!("mode-{group}")) value=(value) checked[value == "slide"] autocomplete="off"; span { (name) } }
            }
        }
    }
}

/// The dialog that shows one cell large.
pub fn viewer() -> Markup {
    html! {
        dialog #viewer aria-labelledby="viewer-name" {
            form method="dialog" {
                p #viewer-name {}
                button type="button" #previous title="Previous (p)" { "←" span.sr { " previous image" } }
                button type="button" #next title="Next (n)" { "→" span.sr { " next image" } }
                button #close title="Close (Esc)" { "✕" span.sr { " close" } }
            }
            (modes("one", "This pair"))
            div #stage data-mode="slide" {}
        }
    }
}

/// What the limits kept out of the file. Said, or a reader would take the shown for the whole.
pub fn left_out(shown: &Shown<'_>, embedded: &Embedded<'_>) -> Markup {
    let mut said = Vec::new();
    if embedded.thumbnails > 0 {
        said.push(format!("{} as small copies", count(embedded.thumbnails, "image")));
    }
    if embedded.left_out > 0 {
        said.push(format!("{} not at all", count(embedded.left_out, "image")));
    }
    if shown.left_out > 0 {
        said.push(format!("{} without a place in the tables", count(shown.left_out, "image")));
    }
    html! {
        @if !said.is_empty() {
            p.leftout {
                "To keep its size, this file shows " (said.join(", "))
                ". The whole images are in the run's folder, under the names given here."
            }
        }
    }
}
