//! What an event leads to, written in one transaction with the wish to show it on GitHub.
//!
//! What may happen to a delivery, and what keeps it harmless:
//! - the same GUID twice: the second is never stored ([`Store::record_delivery`]);
//! - one cause under two GUIDs: [`NewCheck::effect_key`] is unique, the second changes nothing;
//! - an older description of a pull request after a newer one: the whole plan is left undone;
//! - a worker that dies in the middle: nothing was written, the delivery is planned again;
//! - a plan applied by two workers: the delivery's row is taken first, the second finds it done.

use difftest_core::config::VerdictSettings;
use difftest_core::ids::CommitSha;
use difftest_core::protocol::JobSpec;
use difftest_core::report::check::Conclusion;

use crate::checks::{CheckId, Finding, Said, conclude_check, show_new};
use crate::database::{Tx, sql};
use crate::error::{StoreError, to_json};
use crate::hints::Topic;
use crate::open::Store;
use crate::pulls::{Pull, PullKey, lock_pull, upsert_pull};

#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a plan has a handful of steps")]
pub enum PlanStep {
    /// First, where the event describes a pull request.
    UpsertPull(Pull),
    /// Ends the checks of every other commit of the pull request: a queued job is not run, the
    /// runner of a leased one is told to stop, a result that came in is not judged.
    CancelSuperseded {
        pull: PullKey,
        keep_head: CommitSha,
    },
    StartCheck(NewCheck),
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewCheck {
    /// The cause of the check. `push:{repo_id}:{number}:{head_sha}:{suite}` for a pull request's
    /// events, `comment:{comment_id}:{suite}` for a command, `rerun:{check_id}` for a re-run.
    pub effect_key: String,
    pub pull: PullKey,
    pub suite: String,
    pub head: CommitSha,
    pub base: CommitSha,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    Job {
        spec: JobSpec,
        labels: Vec<String>,
        verdict: VerdictSettings,
    },
    /// There is nothing to run; this is what to say.
    Concluded(Finding),
}

/// What a plan changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The checks that were started; those whose cause was known are not among them.
    Started(Vec<CheckId>),
    /// The delivery had been finished before. Nothing was changed.
    AlreadyDone,
    /// A newer description of the pull request is stored. Only the delivery was finished.
    Outdated,
}

impl Store {
    /// Applies a plan and finishes its delivery, or changes nothing.
    pub async fn apply_plan(&self, guid: &str, steps: &[PlanStep]) -> Result<Applied, StoreError> {
        let mut tx = self.db.begin().await?;
        let taken = sql("UPDATE deliveries SET state = 'done', lease_until = 0
                         WHERE guid = $1 AND state = 'pending'")
        .bind(guid)
        .execute(&mut tx)
        .await?;
        if taken == 0 {
            return Ok(Applied::AlreadyDone);
        }
        let mut started = Vec::new();
        for step in steps {
            match step {
                PlanStep::UpsertPull(pull) => {
                    if !upsert_pull(&mut tx, pull).await? {
                        tx.commit(&self.hints).await?;
                        return Ok(Applied::Outdated);
                    }
                }
                PlanStep::CancelSuperseded { pull, keep_head } => {
                    cancel_superseded(&mut tx, *pull, keep_head).await?;
                }
                PlanStep::StartCheck(check) => {
                    started.extend(insert_check(&mut tx, check).await?);
                }
            }
        }
        tx.commit(&self.hints).await?;
        Ok(Applied::Started(started))
    }
}

async fn cancel_superseded(
    tx: &mut Tx,
    pull: PullKey,
    keep_head: &CommitSha,
) -> Result<(), StoreError> {
    lock_pull(tx, pull).await?;
    let now = tx.now();
    let open = sql("SELECT j.id, j.check_id, j.state FROM jobs j
                    WHERE j.state IN ('queued', 'leased', 'reported')
                        AND j.check_id IN (
                            SELECT c.id FROM checks c
                            WHERE c.repo_id = $1 AND c.number = $2 AND c.head_sha <> $3)
                    ORDER BY j.id")
    .bind(pull.repo_id)
    .bind(pull.number)
    .bind(keep_head.as_str())
    .for_update()
    .fetch_all::<(i64, i64, String)>(tx)
    .await?;
    let finding = Finding {
        conclusion: Conclusion::Cancelled,
        said: Said::note(
            "Superseded",
            format!("The pull request moved on to {}.", keep_head.short()),
        ),
    };
    for (job, check, state) in open {
        // A runner holds a leased job: it is told at its next renewal.
        let change = if state == "leased" {
            sql("UPDATE jobs SET cancel_requested = TRUE WHERE id = $1").bind(job)
        } else {
            sql("UPDATE jobs SET cancel_requested = TRUE, state = 'cancelled', finished_at = $2
                 WHERE id = $1")
            .bind(job)
            .bind(now)
        };
        change.execute(tx).await?;
        conclude_check(tx, CheckId(check), &finding).await?;
    }
    Ok(())
}

async fn insert_check(tx: &mut Tx, new: &NewCheck) -> Result<Option<CheckId>, StoreError> {
    lock_pull(tx, new.pull).await?;
    let now = tx.now();
    let inserted = sql("INSERT INTO checks
            (effect_key, repo_id, number, suite, head_sha, base_sha, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (effect_key) DO NOTHING RETURNING id")
    .bind(&new.effect_key)
    .bind(new.pull.repo_id)
    .bind(new.pull.number)
    .bind(&new.suite)
    .bind(new.head.as_str())
    .bind(new.base.as_str())
    .bind(now)
    .fetch_optional::<(i64,)>(tx)
    .await?;
    let Some((id,)) = inserted else { return Ok(None) };
    let id = CheckId(id);
    match &new.work {
        Work::Job { spec, labels, verdict } => insert_job(tx, id, spec, labels, verdict).await?,
        Work::Concluded(finding) => {
            conclude_check(tx, id, finding).await?;
        }
    }
    show_new(tx, id, new.pull);
    Ok(Some(id))
}

async fn insert_job(
    tx: &mut Tx,
    check: CheckId,
    spec: &JobSpec,
    labels: &[String],
    verdict: &VerdictSettings,
) -> Result<(), StoreError> {
    let now = tx.now();
    let (job,) = sql("INSERT INTO jobs (check_id, spec, settings, queued_at)
                      VALUES ($1, $2, $3, $4) RETURNING id")
    .bind(check.0)
    .bind(to_json("a job", spec)?)
    .bind(to_json("verdict settings", verdict)?)
    .bind(now)
    .fetch_one::<(i64,)>(tx)
    .await?;
    for label in labels {
        sql("INSERT INTO job_labels (job_id, label) VALUES ($1, $2)
             ON CONFLICT (job_id, label) DO NOTHING")
        .bind(job)
        .bind(label)
        .execute(tx)
        .await?;
    }
    tx.wake(Topic::Jobs);
    Ok(())
}
