//! Results that came in, and what they are worth. Exactly one place concludes a judged check.

use difftest_core::config::VerdictSettings;
use difftest_core::protocol::{Completion, JobId, JobSpec};
use sqlx::FromRow;

use crate::checks::{Check, CheckId, Finding, conclude_check, read_check};
use crate::database::sql;
use crate::error::{StoreError, from_json};
use crate::open::Store;

/// How long a judge may take before another tries.
const LEASE_MS: i64 = 120_000;

/// A result to judge, leased to the caller.
#[derive(Debug, Clone)]
pub struct FinishedJob {
    pub job: JobId,
    /// The attempt whose events count.
    pub attempt: u32,
    pub check: Check,
    pub spec: JobSpec,
    pub verdict: VerdictSettings,
    /// `Finished` or `TimedOut`.
    pub completion: Completion,
    /// How often it was taken to be judged, this time included. A result that kills its judge
    /// must not be tried for ever.
    pub judge_attempts: i64,
}

#[derive(FromRow)]
struct FinishedRow {
    check_id: i64,
    attempt: i64,
    spec: String,
    settings: String,
    completion: Option<String>,
    judge_attempts: i64,
}

impl Store {
    /// The oldest result that is not judged, leased for two minutes.
    pub async fn next_unjudged_job(&self) -> Result<Option<FinishedJob>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some((id,)) = sql("SELECT id FROM jobs WHERE state = 'reported' AND judge_until <= $1
                               ORDER BY id LIMIT 1")
        .bind(now)
        .skip_locked()
        .fetch_optional::<(i64,)>(&mut tx)
        .await?
        else {
            return Ok(None);
        };
        let row = sql("UPDATE jobs SET judge_attempts = judge_attempts + 1, judge_until = $2
                       WHERE id = $1
                       RETURNING check_id, attempt, spec, settings, completion, judge_attempts")
        .bind(id)
        .bind(now + LEASE_MS)
        .fetch_one::<FinishedRow>(&mut tx)
        .await?;
        let check = read_check(&mut tx, CheckId(row.check_id))
            .await?
            .ok_or_else(|| StoreError::Missing { what: "check", id: row.check_id.to_string() })?;
        tx.commit(&self.hints).await?;
        Ok(Some(FinishedJob {
            job: JobId(id),
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            check,
            spec: from_json("a job", &row.spec)?,
            verdict: from_json("verdict settings", &row.settings)?,
            completion: from_json("a completion", row.completion.as_deref().unwrap_or_default())?,
            judge_attempts: row.judge_attempts,
        }))
    }

    /// Concludes a check and ends its job. False where the check was concluded before, by another
    /// judge or because it was superseded: the first finding stands.
    pub async fn finish_check(
        &self,
        check: CheckId,
        finding: &Finding,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        sql("UPDATE jobs SET state = 'judged', finished_at = $2
             WHERE check_id = $1 AND state = 'reported'")
        .bind(check.0)
        .bind(now)
        .execute(&mut tx)
        .await?;
        let first = conclude_check(&mut tx, check, finding).await?;
        tx.commit(&self.hints).await?;
        Ok(first)
    }
}
