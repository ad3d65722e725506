//! Leases: a runner holds a job for as long as it says so in time.

use difftest_core::protocol::{JobId, Renewal, Secret};

use crate::database::sql;
use crate::error::StoreError;
use crate::jobs::{HeldJob, JobState, give_back, hold, set_ended};
use crate::open::Store;

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub requeued: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl Store {
    /// Holds the job for another `lease_ttl_ms`. `drain` is for the caller to fill in: it belongs
    /// to the runner, not to the job.
    pub async fn renew(
        &self,
        job: JobId,
        lease: &Secret,
        lease_ttl_ms: u64,
    ) -> Result<Renewal, StoreError> {
        let mut tx = self.db.begin().await?;
        let row = hold(&mut tx, job, lease).await?;
        let until = tx.now().saturating_add_unsigned(lease_ttl_ms);
        sql("UPDATE jobs SET lease_until = $2 WHERE id = $1")
            .bind(job.0)
            .bind(until)
            .execute(&mut tx)
            .await?;
        tx.commit(&self.hints).await?;
        Ok(Renewal { cancel: row.cancel_requested, drain: false })
    }

    /// Takes away the leases whose time has passed: the jobs are tried again, at most
    /// [`crate::MAX_ATTEMPTS`] times. An App that was down calls it first after one lease's time,
    /// so that runners which still work can renew.
    pub async fn sweep_leases(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        // One transaction for each job: a crash in between loses nothing, and no lock is held long.
        while let Some(state) = self.sweep_one().await? {
            match state {
                JobState::Queued => swept.requeued += 1,
                JobState::Failed => swept.failed += 1,
                _ => swept.cancelled += 1,
            }
        }
        Ok(swept)
    }

    async fn sweep_one(&self) -> Result<Option<JobState>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some(row) = sql("SELECT id, check_id, attempt, cancel_requested FROM jobs
                             WHERE state = 'leased' AND lease_until <= $1 ORDER BY id LIMIT 1")
        .bind(now)
        .skip_locked()
        .fetch_optional::<HeldJob>(&mut tx)
        .await?
        else {
            return Ok(None);
        };
        let state = if row.cancel_requested {
            set_ended(&mut tx, JobId(row.id), "cancelled").await?;
            JobState::Cancelled
        } else {
            give_back(&mut tx, &row, now, "Its runner was lost: it stopped renewing its lease.")
                .await?
        };
        tx.commit(&self.hints).await?;
        Ok(Some(state))
    }
}
