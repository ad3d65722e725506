//! How a check and a pull request look on GitHub, from what the store says now. Pure.

use difftest_core::ids::ImageSha;
use difftest_core::report::check::{Annotation, AnnotationLevel, CheckOutput, output};
use difftest_core::report::comment::{CommentInput, SuiteSection, SuiteState};
use difftest_store::{Check, CheckStatus, Finding, Said};

use crate::github::checks::{self, AnnotationWrite, CheckWrite, OutputWrite};
use crate::plan::NO_SUITE;

/// The check run's name: what a branch protection rule requires.
pub fn check_name(suite: &str) -> String {
    match suite {
        NO_SUITE => "difftest".to_owned(),
        suite => format!("difftest / {suite}"),
    }
}

/// The writes that bring a check run to a state, in their order: GitHub takes 50 annotations a
/// call, adds them up, and has `skip` of them already.
pub fn check_writes(
    check: &Check,
    image_url: &dyn Fn(&ImageSha) -> String,
    skip: usize,
) -> Vec<CheckWrite> {
    let shown = shown(check, image_url);
    let left: Vec<AnnotationWrite> = shown.annotations.iter().skip(skip).map(annotation).collect();
    let mut batches: Vec<Vec<AnnotationWrite>> =
        left.chunks(checks::ANNOTATIONS_A_CALL).map(<[_]>::to_vec).collect();
    // The state goes last: whoever sees a concluded check sees all of it.
    let last = batches.pop().unwrap_or_default();
    let output = |annotations| OutputWrite {
        title: shown.title.clone(),
        summary: shown.summary.clone(),
        text: shown.text.clone(),
        annotations,
    };
    let mut writes: Vec<CheckWrite> = batches
        .into_iter()
        .map(|batch| CheckWrite { output: Some(output(batch)), ..CheckWrite::default() })
        .collect();
    writes.push(CheckWrite {
        status: Some(status(check.status)),
        conclusion: check.finding.as_ref().map(|finding| finding.conclusion.as_str()),
        output: Some(output(last)),
        ..CheckWrite::default()
    });
    writes
}

fn status(status: CheckStatus) -> checks::CheckStatus {
    match status {
        CheckStatus::Queued => checks::CheckStatus::Queued,
        CheckStatus::InProgress => checks::CheckStatus::InProgress,
        CheckStatus::Completed => checks::CheckStatus::Completed,
    }
}

fn shown(check: &Check, image_url: &dyn Fn(&ImageSha) -> String) -> CheckOutput {
    let commits = format!("`{}` against `{}`", check.head.short(), check.base.short());
    let waiting = |title: &str, summary: String| CheckOutput {
        title: title.to_owned(),
        summary,
        text: None,
        annotations: Vec::new(),
    };
    match (&check.finding, check.status) {
        (Some(Finding { said: Said::Verdict { comparison, sandbox }, .. }), _) => {
            output(comparison, *sandbox, image_url)
        }
        (Some(Finding { said: Said::Note(note), .. }), _) => note.clone(),
        (None, CheckStatus::InProgress) => {
            waiting("Running", format!("{commits}: a runner generates and scores the images."))
        }
        (None, CheckStatus::Queued | CheckStatus::Completed) => {
            waiting("Queued", format!("{commits}: waiting for a runner with the suite's labels."))
        }
    }
}

fn annotation(annotation: &Annotation) -> AnnotationWrite {
    AnnotationWrite {
        path: annotation.path.clone(),
        start_line: annotation.start_line,
        end_line: annotation.end_line,
        annotation_level: match annotation.level {
            AnnotationLevel::Notice => "notice",
            AnnotationLevel::Warning => "warning",
            AnnotationLevel::Failure => "failure",
        },
        title: annotation.title.clone(),
        message: annotation.message.clone(),
    }
}

/// The comment's content: the newest check of every suite at the pull request's head. None
/// without any.
pub fn comment(checks: Vec<Check>) -> Option<CommentInput> {
    let head = checks.first()?.head.clone();
    let suites = checks
        .into_iter()
        .map(|check| SuiteSection {
            name: match check.suite.as_str() {
                NO_SUITE => difftest_core::config::FILE.to_owned(),
                _ => check.suite,
            },
            base: check.base,
            state: match check.finding {
                Some(Finding { said: Said::Verdict { comparison, sandbox }, .. }) => {
                    SuiteState::Judged { comparison: Box::new(comparison), sandbox }
                }
                Some(Finding { conclusion, said: Said::Note(note) }) => SuiteState::Concluded {
                    conclusion,
                    title: note.title,
                    summary: note.summary,
                },
                None if check.status == CheckStatus::InProgress => SuiteState::Running,
                None => SuiteState::Queued,
            },
        })
        .collect();
    Some(CommentInput { head, suites })
}
