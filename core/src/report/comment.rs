//! The one comment of a pull request.

use std::fmt::Write as _;

use super::check::{Conclusion, UNSANDBOXED};
use super::markdown::{code, prose};
use super::{MAX_COMMENT, Room, badge, fitting, sections};
use crate::compare::Comparison;
use crate::ids::{CommitSha, ImageSha};
use crate::protocol::Sandbox;
use crate::verdict::Decision;

/// By this the App finds its own comment again, whatever else it has forgotten.
pub const MARKER: &str = "<!-- difftest:comment:v1 -->";

/// The state of a pull request's suites at its newest head.
#[derive(Debug, Clone, PartialEq)]
pub struct CommentInput {
    pub head: CommitSha,
    pub suites: Vec<SuiteSection>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SuiteSection {
    pub name: String,
    pub base: CommitSha,
    pub state: SuiteState,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SuiteState {
    Queued,
    Running,
    Judged {
        comparison: Box<Comparison>,
        sandbox: Sandbox,
    },
    /// Ended without a verdict; the text is already safe Markdown.
    Concluded {
        conclusion: Conclusion,
        title: String,
        summary: String,
    },
}

/// The image pairs of each test that the comment shows; the check run shows more.
const SHOWN_PAIRS: usize = 4;

/// The comment, at most [`MAX_COMMENT`] bytes, the verdict first.
pub fn render(input: &CommentInput, image_url: &dyn Fn(&ImageSha) -> String) -> String {
    fitting(MAX_COMMENT, SHOWN_PAIRS, |room| {
        let mut out = format!("{MARKER}\n");
        for suite in &input.suites {
            section(&mut out, suite, &input.head, room, image_url);
        }
        if input.suites.is_empty() {
            out.push_str("## difftest\n\nNo suite runs on this pull request.\n");
        }
        out
    })
}

fn section(
    out: &mut String,
    suite: &SuiteSection,
    head: &CommitSha,
    room: Room,
    image_url: &dyn Fn(&ImageSha) -> String,
) {
    let name = code(&suite.name);
    let commits = format!("`{}` against `{}`", head.short(), suite.base.short());
    match &suite.state {
        SuiteState::Queued => {
            let _ = writeln!(
                out,
                "## difftest {name}: ⏳ queued\n\n{commits}, waiting for a runner.\n"
            );
        }
        SuiteState::Running => {
            let _ = writeln!(out, "## difftest {name}: ⏳ running\n\n{commits}.\n");
        }
        SuiteState::Concluded { conclusion, title, summary } => {
            let mark = match conclusion {
                Conclusion::Success => "✅",
                Conclusion::Neutral | Conclusion::Cancelled => "⚪",
                Conclusion::Failure => "❌",
                Conclusion::TimedOut | Conclusion::ActionRequired => "⚠️",
            };
            let _ = writeln!(
                out,
                "## difftest {name}: {mark} {}\n\n{commits}.\n\n{summary}\n",
                prose(title)
            );
        }
        SuiteState::Judged { comparison, sandbox } => {
            let _ = writeln!(out, "## difftest {name}: {}\n", badge(comparison.decision));
            let _ = writeln!(out, "{commits} · {}\n", sections::cost(comparison));
            if *sandbox == Sandbox::None {
                out.push_str(UNSANDBOXED);
                out.push('\n');
            }
            out.push_str(&sections::verdicts(comparison, room));
            let notes = sections::notes(comparison);
            if !notes.is_empty() {
                let _ = writeln!(out, "\n{notes}");
            }
            let metrics = sections::metrics(comparison, room);
            if !metrics.is_empty() {
                let open = if comparison.decision.is_good() { "" } else { " open" };
                let _ = writeln!(
                    out,
                    "\n<details{open}><summary>Metrics</summary>\n\n{metrics}\n</details>"
                );
            }
            let images = sections::images(comparison, room, image_url);
            out.push_str(&images);
            let _ = writeln!(out, "\n{}\n", next_step(comparison.decision));
        }
    }
}

/// What a reader can do now.
fn next_step(decision: Decision) -> &'static str {
    match decision {
        Decision::Pass | Decision::Improved => "<sub>Nothing to do.</sub>",
        Decision::Inconclusive => {
            "<sub>The pairs do not decide: more prompts would. Comment <code>/difftest run</code> to run again.</sub>"
        }
        Decision::Infra => {
            "<sub>This says nothing about the change. Comment <code>/difftest run</code> once the machine or the service is well.</sub>"
        }
        Decision::Changed => {
            "<sub>Different need not be worse: look at the pairs. Push a mend, or set the threshold where a change like this is welcome.</sub>"
        }
        Decision::Failed | Decision::Regressed => {
            "<sub>Push a mend, or comment <code>/difftest run</code> to run again.</sub>"
        }
        Decision::Error => {
            "<sub>Mend what is named above and push, or comment <code>/difftest run</code> to run again.</sub>"
        }
    }
}
