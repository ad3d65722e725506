//! The event streams of jobs: append-only, by byte offset, so that a resend adds nothing twice.

use bytes::Bytes;
use difftest_core::protocol::{Appended, JobId, MAX_EVENT_BYTES, Secret, Side};

use crate::database::{Connection, sql};
use crate::error::StoreError;
use crate::jobs::hold;
use crate::open::Store;

impl Store {
    /// Appends what lies beyond the log's end. Bytes that are there already are passed over; an
    /// `offset` beyond the end is refused with [`StoreError::EventGap`].
    pub async fn append_events(
        &self,
        job: JobId,
        lease: &Secret,
        side: Side,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Appended, StoreError> {
        let mut tx = self.db.begin().await?;
        let row = hold(&mut tx, job, lease).await?;
        let length = log_length(&mut tx, job, row.attempt, side).await?;
        let Some(known) = length.checked_sub(offset) else {
            return Err(StoreError::EventGap { length });
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        let grown = length + new.len() as u64;
        if grown > MAX_EVENT_BYTES {
            return Err(StoreError::EventLogFull { limit: MAX_EVENT_BYTES });
        }
        if !new.is_empty() {
            sql("INSERT INTO job_events (job_id, attempt, side, starts_at, size, bytes)
                 VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(job.0)
            .bind(row.attempt)
            .bind(side.as_str())
            .bind(length as i64)
            .bind(new.len() as i64)
            .bind(new.to_vec())
            .execute(&mut tx)
            .await?;
        }
        tx.commit(&self.hints).await?;
        Ok(Appended { length: grown })
    }

    /// The whole stream of one side of one attempt; empty where nothing came.
    pub async fn read_events(
        &self,
        job: JobId,
        attempt: u32,
        side: Side,
    ) -> Result<Bytes, StoreError> {
        let pieces = sql("SELECT bytes FROM job_events
                          WHERE job_id = $1 AND attempt = $2 AND side = $3 ORDER BY starts_at")
        .bind(job.0)
        .bind(i64::from(attempt))
        .bind(side.as_str())
        .fetch_all::<(Vec<u8>,)>(&mut self.db.read().await?)
        .await?;
        Ok(pieces.into_iter().flat_map(|(bytes,)| bytes).collect())
    }
}

async fn log_length(
    connection: &mut impl Connection,
    job: JobId,
    attempt: i64,
    side: Side,
) -> Result<u64, StoreError> {
    let (length,) = sql("SELECT COALESCE(MAX(starts_at + size), 0) FROM job_events
                         WHERE job_id = $1 AND attempt = $2 AND side = $3")
    .bind(job.0)
    .bind(attempt)
    .bind(side.as_str())
    .fetch_one::<(i64,)>(connection)
    .await?;
    Ok(length.unsigned_abs())
}
