//! The queue: one table, one claim.
//!
//! ```text
//! queued ──claim──▶ leased ──complete──▶ reported ──judge──▶ judged
//!   ▲                 │  └──complete, infrastructure──┐
//!   └─── lease lost ──┘◀──────────────────────────────┘  at most three attempts, then failed
//! queued, leased, reported ──superseded──▶ cancelled
//! ```

use difftest_core::protocol::{Claim, Completion, JobId, Secret};
use difftest_core::report::check::Conclusion;
use difftest_core::report::markdown;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use crate::checks::{CheckId, Finding, Said, conclude_check, read_check, start_check};
use crate::database::{Statement, Tx, sql};
use crate::error::{StoreError, from_json, from_word, to_json};
use crate::hints::Topic;
use crate::open::Store;
use crate::pulls::{Pull, read_pull};

/// How often a job is tried before its machine, not its code, is called the cause.
pub const MAX_ATTEMPTS: i64 = 3;
/// Added for each attempt before a job is tried again whose runner said that it could not: the
/// same runner may be the first to ask, and its disk still full.
const RETRY_DELAY_MS: i64 = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Leased,
    /// The result is in and not yet judged.
    Reported,
    Judged,
    Cancelled,
    /// The machines failed it, attempt by attempt.
    Failed,
}

/// A job goes to a runner that has all of its labels. `$1` is the time, `$2` the labels as JSON.
const CLAIMABLE: Statement = Statement {
    sqlite: "SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.not_before <= $1
             AND NOT EXISTS (SELECT 1 FROM job_labels l WHERE l.job_id = j.id
                 AND l.label NOT IN (SELECT value FROM json_each($2)))
             ORDER BY j.id LIMIT 1",
    postgres: "SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.not_before <= $1
             AND NOT EXISTS (SELECT 1 FROM job_labels l WHERE l.job_id = j.id
                 AND l.label NOT IN (SELECT jsonb_array_elements_text(CAST($2 AS jsonb))))
             ORDER BY j.id LIMIT 1",
};

#[derive(FromRow)]
struct Claimed {
    check_id: i64,
    attempt: i64,
    spec: String,
}

/// The row of a leased job, locked.
#[derive(FromRow)]
pub(crate) struct HeldJob {
    pub(crate) id: i64,
    pub(crate) check_id: i64,
    pub(crate) attempt: i64,
    pub(crate) cancel_requested: bool,
}

/// The hash under which a token is kept. Tokens are random, so it needs no salt.
pub(crate) fn token_hash(token: &Secret) -> String {
    hex::encode(Sha256::digest(token.expose().as_bytes()))
}

/// A token of 244 random bits.
pub(crate) fn new_token(prefix: &str) -> Secret {
    Secret::new(format!("{prefix}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
}

impl Store {
    /// Leases the oldest job whose labels this runner has. Its check is then in progress.
    pub async fn claim_job(
        &self,
        runner: &str,
        labels: &[String],
        lease_ttl_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some((id,)) = sql(CLAIMABLE)
            .bind(now)
            .bind(to_json("labels", &labels)?)
            .skip_locked()
            .fetch_optional::<(i64,)>(&mut tx)
            .await?
        else {
            return Ok(None);
        };
        let lease_token = new_token("");
        let job = sql("UPDATE jobs SET state = 'leased', attempt = attempt + 1, runner = $2,
                           lease_hash = $3, lease_until = $4
                       WHERE id = $1 RETURNING check_id, attempt, spec")
        .bind(id)
        .bind(runner)
        .bind(token_hash(&lease_token))
        .bind(now.saturating_add_unsigned(lease_ttl_ms))
        .fetch_one::<Claimed>(&mut tx)
        .await?;
        start_check(&mut tx, CheckId(job.check_id)).await?;
        tx.commit(&self.hints).await?;
        Ok(Some(Claim {
            job: JobId(id),
            attempt: u32::try_from(job.attempt).unwrap_or(u32::MAX),
            lease_token,
            lease_ttl_ms,
            spec: from_json("a job", &job.spec)?,
        }))
    }

    /// The end of an attempt, as its runner saw it. Repeated by the same lease it changes nothing
    /// and is no error; from a lost lease it is refused.
    pub async fn complete_job(
        &self,
        job: JobId,
        lease: &Secret,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let hash = token_hash(lease);
        let row = match hold(&mut tx, job, lease).await {
            Err(StoreError::LeaseLost { .. }) if completed_by(&mut tx, job, &hash).await? => {
                return Ok(());
            }
            held => held?,
        };
        let now = tx.now();
        sql("UPDATE jobs SET completed_hash = $2, completion = $3 WHERE id = $1")
            .bind(job.0)
            .bind(hash)
            .bind(to_json("a completion", completion)?)
            .execute(&mut tx)
            .await?;
        match completion {
            _ if row.cancel_requested => set_ended(&mut tx, job, "cancelled").await?,
            Completion::Finished { .. } | Completion::TimedOut { .. } => {
                set_ended(&mut tx, job, "reported").await?;
                tx.wake(Topic::Reports);
            }
            Completion::Infrastructure { reason } => {
                let again_at = now + RETRY_DELAY_MS * row.attempt;
                give_back(&mut tx, &row, again_at, reason).await?;
            }
            // Nobody asked for it: the runner was told to stop.
            Completion::Cancelled => {
                give_back(&mut tx, &row, now, "Its runner was stopped.").await?;
            }
        }
        tx.commit(&self.hints).await
    }

    /// The pull request that a job is about, for a call of the lease that holds the job.
    pub async fn leased_pull(&self, job: JobId, lease: &Secret) -> Result<Pull, StoreError> {
        let mut tx = self.db.begin().await?;
        let held = hold(&mut tx, job, lease).await?;
        let check = read_check(&mut tx, CheckId(held.check_id))
            .await?
            .ok_or_else(|| StoreError::Missing { what: "check", id: held.check_id.to_string() })?;
        let pull = read_pull(&mut tx, check.pull).await?.ok_or_else(|| StoreError::Missing {
            what: "pull request",
            id: check.pull.to_string(),
        })?;
        tx.commit(&self.hints).await?;
        Ok(pull.pull)
    }

    pub async fn job_state(&self, job: JobId) -> Result<Option<JobState>, StoreError> {
        sql("SELECT state FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_optional::<(String,)>(&mut self.db.read().await?)
            .await?
            .map(|(state,)| from_word("a job's state", state))
            .transpose()
    }
}

/// Locks a job for a call of the lease that holds it now.
///
/// The lease is part of the condition, so that a stranger's call locks nothing: a claim or a
/// sweep at that moment would read past the row. A lease whose time has passed still holds its
/// job until the sweep takes it away: an App that was down for a while costs no runner its work.
/// A job that never was and a lease that is lost are one to a runner: stop.
pub(crate) async fn hold(tx: &mut Tx, job: JobId, lease: &Secret) -> Result<HeldJob, StoreError> {
    sql("SELECT id, check_id, attempt, cancel_requested FROM jobs
         WHERE id = $1 AND state = 'leased' AND lease_hash = $2")
    .bind(job.0)
    .bind(token_hash(lease))
    .for_update()
    .fetch_optional::<HeldJob>(tx)
    .await?
    .ok_or(StoreError::LeaseLost { job: job.0 })
}

/// Whether this lease was the last to complete the job.
async fn completed_by(tx: &mut Tx, job: JobId, hash: &str) -> Result<bool, StoreError> {
    let found = sql("SELECT id FROM jobs WHERE id = $1 AND completed_hash = $2")
        .bind(job.0)
        .bind(hash)
        .fetch_optional::<(i64,)>(tx)
        .await?;
    Ok(found.is_some())
}

pub(crate) async fn set_ended(tx: &mut Tx, job: JobId, state: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql("UPDATE jobs SET state = $2, finished_at = $3 WHERE id = $1")
        .bind(job.0)
        .bind(state)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

/// An attempt that came to nothing: the job is tried again, or given up with its check.
pub(crate) async fn give_back(
    tx: &mut Tx,
    job: &HeldJob,
    again_at: i64,
    reason: &str,
) -> Result<JobState, StoreError> {
    if job.attempt < MAX_ATTEMPTS {
        sql("UPDATE jobs SET state = 'queued', lease_hash = NULL, not_before = $2 WHERE id = $1")
            .bind(job.id)
            .bind(again_at)
            .execute(tx)
            .await?;
        tx.wake(Topic::Jobs);
        return Ok(JobState::Queued);
    }
    set_ended(tx, JobId(job.id), "failed").await?;
    let finding = Finding {
        conclusion: Conclusion::Cancelled,
        said: Said::note(
            "Not judged: the runners failed",
            format!(
                "The job was tried {MAX_ATTEMPTS} times and no runner finished it. This says \
                 nothing about the pull request. Re-run the check once the runners are well.\n\n\
                 What was seen last: {}",
                markdown::prose(reason)
            ),
        ),
    };
    conclude_check(tx, CheckId(job.check_id), &finding).await?;
    Ok(JobState::Failed)
}
