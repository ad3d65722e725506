//! The worker that judges results: the one place where events become a conclusion.
//!
//! What a runner says is worth nothing here; only the events count, and those of the base and the
//! head are folded and compared by `core`.

use std::time::Duration;

use difftest_core::compare::compare;
use difftest_core::event::{MalformedLine, read_stream};
use difftest_core::protocol::{Completion, Sandbox, Side};
use difftest_core::report::check::{Conclusion, conclusion};
use difftest_core::report::markdown::prose;
use difftest_core::result::Run;
use difftest_store::{Finding, FinishedJob, Said, Store, StoreError};

use crate::fault;

/// A result that cannot be judged in this many tries is reported as such.
const TRIES: i64 = 5;
/// A judge that works longer than its lease would be joined by a second.
const LONGEST: Duration = Duration::from_secs(110);

/// Judges the next result. False where none is in.
pub async fn step(store: &Store) -> Result<bool, StoreError> {
    let Some(job) = store.next_unjudged_job().await? else { return Ok(false) };
    fault::point("abort-before-judge");
    let finding = if job.judge_attempts > TRIES {
        tracing::error!(job = %job.job, "a result could not be judged");
        unjudgeable()
    } else {
        let base = store.read_events(job.job, job.attempt, Side::Base).await?;
        let head = store.read_events(job.job, job.attempt, Side::Head).await?;
        let judged = job.clone();
        let work = tokio::task::spawn_blocking(move || judge(&judged, &base, &head));
        match tokio::time::timeout(LONGEST, work).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(panicked)) => {
                tracing::error!(job = %job.job, %panicked, "the judge broke off");
                unjudgeable()
            }
            Err(_) => {
                tracing::error!(job = %job.job, "the judge took too long");
                unjudgeable()
            }
        }
    };
    let first = store.finish_check(job.check.id, &finding).await?;
    let conclusion = finding.conclusion.as_str();
    tracing::info!(job = %job.job, check = %job.check.id, conclusion, first, "judged");
    Ok(true)
}

/// What a finished job comes to. Pure.
fn judge(job: &FinishedJob, base: &[u8], head: &[u8]) -> Finding {
    let sandbox = match &job.completion {
        Completion::Finished { sandbox } => *sandbox,
        Completion::TimedOut { reason } => return timed_out(job.spec.timeout_s, reason),
        Completion::Infrastructure { reason } => return machine(reason),
        Completion::Cancelled => return machine("The runner was stopped."),
    };
    let fold = |bytes: &[u8]| read_stream(bytes).map(|events| Run::from_events(&events));
    let base_run = match fold(base) {
        Ok(run) => run,
        Err(malformed) => return malformed_stream(Side::Base, &malformed, sandbox),
    };
    let head_run = match fold(head) {
        Ok(run) => run,
        Err(malformed) => return malformed_stream(Side::Head, &malformed, sandbox),
    };
    // A base that never started has nothing to compare with; the thresholds still hold.
    let base_run = (!base.is_empty()).then_some(base_run);
    let comparison = compare(base_run.as_ref(), &head_run, &job.verdict);
    Finding { conclusion: conclusion(&comparison), said: Said::Verdict { comparison, sandbox } }
}

/// The machine's failure is never the pull request's.
fn machine(reason: &str) -> Finding {
    Finding {
        conclusion: Conclusion::Cancelled,
        said: Said::note(
            "Not judged: the machine failed",
            format!(
                "The runner could not do the job. This says nothing about the pull request. \
                 Re-run the check once the machine is well.\n\n{}",
                prose(reason)
            ),
        ),
    }
}

fn timed_out(limit_s: u64, reason: &str) -> Finding {
    Finding {
        conclusion: Conclusion::TimedOut,
        said: Said::note(
            "The time limit passed",
            format!(
                "The suite did not end within its limit of {limit_s} s, so nothing is claimed. \
                 The limit is the suite's `timeout` in `difftest.toml` on the base branch.\n\n{}",
                prose(reason)
            ),
        ),
    }
}

/// The stream comes out of the sandbox: a line that is no event was written by the code under
/// test, or by a version that this App does not know.
fn malformed_stream(side: Side, malformed: &MalformedLine, sandbox: Sandbox) -> Finding {
    let unsandboxed = match sandbox {
        Sandbox::None => difftest_core::report::check::UNSANDBOXED,
        Sandbox::Bubblewrap => "",
    };
    Finding {
        conclusion: Conclusion::Failure,
        said: Said::note(
            format!("The {} run's events cannot be read", side.as_str()),
            format!(
                "The {} commit's run wrote something other than events into its stream, so \
                 nothing is claimed. Look for code that prints to the stream's file, or for a \
                 runner that is newer than this App.\n\n{}\n{unsandboxed}",
                side.as_str(),
                prose(&malformed.to_string())
            ),
        ),
    }
}

fn unjudgeable() -> Finding {
    Finding {
        conclusion: Conclusion::Cancelled,
        said: Said::note(
            "Not judged: difftest failed",
            "The result came in, but difftest could not judge it. This says nothing about the \
             pull request; the App's log has the reason. Re-run the check.",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use difftest_core::config::VerdictSettings;
    use difftest_core::protocol::{JobId, JobSpec};
    use difftest_store::{Check, CheckId, CheckStatus, PullKey};

    use super::*;

    fn job(completion: Completion) -> FinishedJob {
        let (base, head) = ("a".repeat(40), "b".repeat(40));
        FinishedJob {
            job: JobId(1),
            attempt: 1,
            check: Check {
                id: CheckId(1),
                pull: PullKey { repo_id: 9, number: 3 },
                suite: "shapes".into(),
                head: head.parse().unwrap(),
                base: base.parse().unwrap(),
                status: CheckStatus::InProgress,
                finding: None,
                github_id: None,
                created_at: 0,
                started_at: None,
                completed_at: None,
            },
            spec: JobSpec {
                repository: "acme/gen".parse().unwrap(),
                clone_url: String::new(),
                base: base.parse().unwrap(),
                head: head.parse().unwrap(),
                suite: "shapes".into(),
                timeout_s: 60,
                network: false,
                verdict: VerdictSettings::default(),
            },
            verdict: VerdictSettings::default(),
            completion,
            judge_attempts: 1,
        }
    }

    fn title(finding: &Finding) -> &str {
        match &finding.said {
            Said::Note(note) => &note.title,
            Said::Verdict { .. } => "a verdict",
        }
    }

    #[test]
    fn a_machines_failure_is_never_a_failure_of_the_change() {
        let broken = Completion::Infrastructure { reason: "no space left".into() };
        let finding = judge(&job(broken), b"", b"");
        assert_eq!(finding.conclusion, Conclusion::Cancelled);
        assert_eq!(title(&finding), "Not judged: the machine failed");
        let late = judge(&job(Completion::TimedOut { reason: "60 s".into() }), b"", b"");
        assert_eq!(late.conclusion, Conclusion::TimedOut);
    }

    #[test]
    fn a_stream_that_holds_something_else_is_never_a_pass() {
        let finished = job(Completion::Finished { sandbox: Sandbox::Bubblewrap });
        let finding = judge(&finished, b"", b"{\"event\":\"telemetry\"}\n");
        assert_eq!(finding.conclusion, Conclusion::Failure);
        assert_eq!(title(&finding), "The head run's events cannot be read");
        let finding = judge(&finished, b"not JSON\n", b"");
        assert_eq!(title(&finding), "The base run's events cannot be read");
        // Nothing at all, too: the comparison says so.
        assert_ne!(judge(&finished, b"", b"").conclusion, Conclusion::Success);
    }
}
