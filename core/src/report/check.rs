//! A check run's conclusion and output.

use serde::{Deserialize, Serialize};

use super::markdown::plain;
use super::{MAX_CHECK_TEXT, fitting, sections};
use crate::compare::{Comparison, SHOWN_PAIRS};
use crate::ids::ImageSha;
use crate::protocol::Sandbox;
use crate::suite::Place;
use crate::verdict::Decision;

/// The conclusions of a check run that difftest uses.
/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    Failure,
    /// It ran and does not decide. Does not block a merge.
    Neutral,
    /// Superseded, or the machine's failure. Blocks where the check is required.
    Cancelled,
    TimedOut,
    /// A person must act before it runs.
    ActionRequired,
}

impl Conclusion {
    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Neutral => "neutral",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::ActionRequired => "action_required",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationLevel {
    Notice,
    Warning,
    Failure,
}

/// A message on a line of the repository under test. Plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    pub path: String,
    pub start_line: u32,
    pub end_line: u32,
    pub level: AnnotationLevel,
    pub title: String,
    pub message: String,
}

/// What stands on the check run's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutput {
    pub title: String,
    pub summary: String,
    pub text: Option<String>,
    pub annotations: Vec<Annotation>,
}

/// The conclusion a verdict stands for.
pub fn conclusion(comparison: &Comparison) -> Conclusion {
    match comparison.decision {
        Decision::Pass | Decision::Improved => Conclusion::Success,
        Decision::Inconclusive => Conclusion::Neutral,
        Decision::Infra => Conclusion::Cancelled,
        Decision::Changed | Decision::Failed | Decision::Regressed | Decision::Error => {
            Conclusion::Failure
        }
    }
}

/// One line: the gravest verdict and how many tests share it.
pub fn title(comparison: &Comparison) -> String {
    if let Some(error) = comparison.collection_errors.first() {
        let more = comparison.collection_errors.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return plain(&format!("{}:{} cannot run{more}", error.place.file, error.place.line), 200);
    }
    let total = comparison.tests.len();
    if total == 0 {
        return "No test was run".into();
    }
    let share = comparison.tests.iter().filter(|t| t.decision == comparison.decision).count();
    let what = match comparison.decision {
        Decision::Pass => "Passed",
        Decision::Improved => "Improved",
        Decision::Inconclusive => "Inconclusive",
        Decision::Infra => "Not judged, the machine failed",
        Decision::Changed => "Changed",
        Decision::Failed => "Failed",
        Decision::Regressed => "Regressed",
        Decision::Error => "Could not be judged",
    };
    format!("{what}: {share} of {total} {}", if total == 1 { "test" } else { "tests" })
}

/// The output of a judged run, within GitHub's limits. All annotations are returned; GitHub takes
/// 50 a call.
pub fn output(
    comparison: &Comparison,
    sandbox: Sandbox,
    image_url: &dyn Fn(&ImageSha) -> String,
) -> CheckOutput {
    let summary = fitting(MAX_CHECK_TEXT, SHOWN_PAIRS, |room| {
        let mut out = sections::verdicts(comparison, room);
        out.push('\n');
        out.push_str(&sections::notes(comparison));
        out.push('\n');
        out.push_str(&sections::cost(comparison));
        out.push('\n');
        if sandbox == Sandbox::None {
            out.push_str(UNSANDBOXED);
        }
        out
    });
    let text = fitting(MAX_CHECK_TEXT, SHOWN_PAIRS, |room| {
        let mut out = sections::metrics(comparison, room);
        out.push_str(&sections::images(comparison, room, image_url));
        out
    });
    CheckOutput {
        title: title(comparison),
        summary,
        text: (!text.is_empty()).then_some(text),
        annotations: annotations(comparison),
    }
}

/// Said wherever a job ran without a sandbox.
pub const UNSANDBOXED: &str = "\n> ⚠️ **This job ran without a sandbox**, because its runner allows it. \
     Its code could read what the runner can read.\n";

fn annotations(comparison: &Comparison) -> Vec<Annotation> {
    let errors = comparison.collection_errors.iter().map(|error| {
        annotation(
            &error.place,
            AnnotationLevel::Failure,
            "difftest could not read this file",
            &error.message,
        )
    });
    let tests = comparison.tests.iter().filter_map(|test| {
        let level = match test.decision {
            Decision::Pass | Decision::Improved => return None,
            Decision::Inconclusive | Decision::Infra => AnnotationLevel::Notice,
            Decision::Changed | Decision::Failed | Decision::Regressed | Decision::Error => {
                AnnotationLevel::Failure
            }
        };
        let title = format!("{}: {}", test.id.name(), test.decision.as_str());
        Some(annotation(&test.place, level, &title, &test.sentences.join("\n")))
    });
    errors.chain(tests).collect()
}

fn annotation(place: &Place, level: AnnotationLevel, title: &str, message: &str) -> Annotation {
    Annotation {
        path: place.file.clone(),
        start_line: place.line.max(1),
        end_line: place.line.max(1),
        level,
        // GitHub takes 255 characters of a title and 64 KB of a message.
        title: plain(title, 250),
        message: plain(message, 8_000),
    }
}
