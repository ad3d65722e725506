//! The report of one run as one HTML file that needs nothing else: what `difftest run --html`
//! writes.
//!
//! Style, script and images are inside. The file's own Content-Security-Policy forbids every
//! request, and every style and script but the two whose digests it names: text of the code under
//! test is escaped by the templates, and would not run if it were not.

mod embed;
mod grid;
mod overview;
mod provenance;
mod sparkline;
mod test;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::figures::Totals;
use super::trend::Trend;
use crate::compare::Comparison;
use crate::event::{CellKey, ImageRef, TestOutcome};
use crate::result::{Run, RunReport, TestReport, TestRun};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// The limit that `difftest run --html` uses, in bytes: what mail and chat still take, and what a
/// phone still opens.
pub const LIMIT: usize = 24 * 1024 * 1024;

/// Where the images' bytes come from. The report embeds PNG, JPEG, WebP and GIF, by their content.
pub trait Images: Sync {
    /// The file of a generated image; none where it is lost.
    fn head(&self, image: &ImageRef) -> Option<Vec<u8>>;
    /// The file that a cell's image was compared with; none where there is none.
    fn reference(&self, cell: &CellKey) -> Option<Vec<u8>>;
}

/// What the report is made of.
pub struct Page<'a> {
    pub run: &'a Run,
    /// The verdict against another run, where there is one.
    pub comparison: Option<&'a Comparison>,
    /// See `Store::trends`.
    pub trends: &'a [Trend],
    pub images: &'a dyn Images,
    /// The most bytes of the file. Images that do not fit are shown small, then not at all, and
    /// the report says so.
    pub limit: usize,
}

/// The file's text.
pub fn page(page: &Page<'_>) -> String {
    let totals = Totals::of(page.run);
    let report = page.run.report();
    let shown = grid::choose(page.run);
    let embedded = embed::embed(page, &shown);
    let title = format!("difftest: {}", overview::sentence(page.run, &totals));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (overview::header(page, &totals))
                main data-mode="slide" {
                    (overview::errors(page.run))
                    (overview::toolbar(&totals, embedded.any_pair()))
                    @for (index, test, report) in in_order_of_need(page.run, &report) {
                        (test::section(page, index, test, report, &shown, &embedded))
                    }
                    p #nothing hidden { "No test is like that." }
                }
                (overview::left_out(&shown, &embedded))
                (provenance::section(page.run))
                (overview::viewer())
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// Tests that failed, that broke, that did not run, that passed; each with its place in the run.
fn in_order_of_need<'a>(
    run: &'a Run,
    report: &'a RunReport,
) -> Vec<(usize, &'a TestRun, &'a TestReport)> {
    let mut tests: Vec<_> =
        run.tests.iter().zip(&report.results).enumerate().map(|(i, (t, r))| (i, t, r)).collect();
    tests.sort_by_key(|(_, test, _)| match test.outcome {
        Some(TestOutcome::Failed) => 0,
        Some(TestOutcome::Error) => 1,
        Some(TestOutcome::NotRun) | None => 2,
        Some(TestOutcome::Passed) => 3,
    });
    tests
}

/// Nothing is loaded, sent or framed, and only this style and this script hold.
fn policy() -> String {
    format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

fn digest(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_cannot_end_their_own_elements() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }
}
