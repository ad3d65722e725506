//! What people read: one renderer per format, all of them pure.
//!
//! Every prompt, name and message here may come from code nobody trusts. It reaches a report in
//! one way per format: Markdown by [`markdown`], HTML by the templates of [`html`], XML by the
//! writer of [`junit`], a terminal by [`terminal::visible`].

pub mod advice;
pub mod check;
pub mod columns;
pub mod comment;
pub mod comparison;
pub mod figures;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod run;
mod sections;
pub mod sweep;
pub mod terminal;
pub mod trend;

use crate::verdict::Decision;

/// GitHub's limit on a check run's summary and text, in bytes, less some room for itself.
/// <https://docs.github.com/en/rest/checks/runs>
pub const MAX_CHECK_TEXT: usize = 65_000;
/// GitHub's limit on a comment is 65,536 characters.
pub const MAX_COMMENT: usize = 65_000;

/// The mark and the word of a decision, as the reports show it.
pub fn badge(decision: Decision) -> &'static str {
    match decision {
        Decision::Pass => "✅ pass",
        Decision::Improved => "✅ improved",
        Decision::Inconclusive => "⚪ inconclusive",
        Decision::Infra => "⚠️ machine failed",
        Decision::Changed => "❌ changed",
        Decision::Failed => "❌ failed",
        Decision::Regressed => "❌ regressed",
        Decision::Error => "⚠️ error",
    }
}

/// The largest report that fits, with at most `images` pairs of each test: `render` is tried with
/// ever fewer images and rows.
fn fitting(limit: usize, images: usize, render: impl Fn(Room) -> String) -> String {
    for images in [images, images / 2, 1, 0] {
        let text = render(Room { images, rows: usize::MAX });
        if text.len() <= limit {
            return text;
        }
    }
    for rows in [200, 50, 10, 1] {
        let text = render(Room { images: 0, rows });
        if text.len() <= limit {
            return text;
        }
    }
    let mut text = render(Room { images: 0, rows: 0 });
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// How much a report may show.
#[derive(Clone, Copy)]
struct Room {
    /// Image pairs of each test.
    images: usize,
    /// Rows of each table.
    rows: usize,
}
