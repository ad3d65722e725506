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
                Some(Finding { conclusion, said: Said::Note(note) }) => {
                    SuiteState::Concluded { conclusion, title: note.title, summary: note.summary }
                }
                None if check.status == CheckStatus::InProgress => SuiteState::Running,
                None => SuiteState::Queued,
            },
        })
        .collect();
    Some(CommentInput { head, suites })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use difftest_core::report::check::Conclusion;
    use difftest_store::{CheckId, PullKey};

    use super::*;

    fn check(status: CheckStatus, annotations: usize) -> Check {
        let annotation = |index: usize| Annotation {
            path: "tests/test_a.py".into(),
            start_line: index as u32 + 1,
            end_line: index as u32 + 1,
            level: AnnotationLevel::Failure,
            title: "t".into(),
            message: "m".into(),
        };
        let note = CheckOutput {
            title: "Failed".into(),
            summary: "s".into(),
            text: None,
            annotations: (0..annotations).map(annotation).collect(),
        };
        let finding = Finding { conclusion: Conclusion::Failure, said: Said::Note(note) };
        Check {
            id: CheckId(1),
            pull: PullKey { repo_id: 9, number: 3 },
            suite: "shapes".into(),
            head: "b".repeat(40).parse().unwrap(),
            base: "a".repeat(40).parse().unwrap(),
            status,
            finding: (status == CheckStatus::Completed).then_some(finding),
            github_id: None,
            created_at: 0,
            started_at: None,
            completed_at: None,
        }
    }

    /// First line, count of annotations and conclusion of each write.
    fn writes(check: &Check, skip: usize) -> Vec<(Option<u32>, usize, Option<&'static str>)> {
        check_writes(check, &|_| String::new(), skip)
            .iter()
            .map(|write| {
                let annotations = &write.output.as_ref().unwrap().annotations;
                (annotations.first().map(|a| a.start_line), annotations.len(), write.conclusion)
            })
            .collect()
    }

    #[test]
    fn many_annotations_go_out_in_batches_and_the_conclusion_last() {
        let check = check(CheckStatus::Completed, 120);
        let failure = Some("failure");
        assert_eq!(
            writes(&check, 0),
            [(Some(1), 50, None), (Some(51), 50, None), (Some(101), 20, failure)]
        );
        assert_eq!(writes(&check, 50), [(Some(51), 50, None), (Some(101), 20, failure)]);
        assert_eq!(writes(&check, 120), [(None, 0, failure)]);
    }

    #[test]
    fn a_check_that_is_not_done_has_no_conclusion() {
        for status in [CheckStatus::Queued, CheckStatus::InProgress] {
            assert_eq!(writes(&check(status, 0), 0), [(None, 0, None)]);
        }
    }

    #[test]
    fn a_check_of_no_suite_speaks_for_the_configuration() {
        assert_eq!(check_name("shapes"), "difftest / shapes");
        assert_eq!(check_name(NO_SUITE), "difftest");
        let mut check = check(CheckStatus::Completed, 0);
        check.suite = NO_SUITE.into();
        assert_eq!(comment(vec![check]).unwrap().suites[0].name, "difftest.toml");
        assert_eq!(comment(Vec::new()), None);
    }
}
