//! What GitHub delivered: stored before it is acknowledged, worked on after, at least once.
//!
//! A worker that dies leaves its delivery leased; when the lease ends another takes it. Planning
//! twice is harmless because effects have their own keys (see [`crate::plan`]).

use sqlx::FromRow;

use crate::database::sql;
use crate::error::StoreError;
use crate::hints::Topic;
use crate::open::Store;

/// How long a worker may plan one delivery before another tries.
const LEASE_MS: i64 = 60_000;

/// A delivery, leased to the caller.
#[derive(Debug, Clone, FromRow)]
pub struct Delivery {
    /// `X-GitHub-Delivery`.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    pub action: Option<String>,
    /// The body as it came.
    pub payload: String,
    /// Counts from 1.
    pub attempts: i64,
}

impl Store {
    /// Stores a delivery. False if one with this GUID is there already: GitHub repeats itself.
    pub async fn record_delivery(
        &self,
        guid: &str,
        event: &str,
        action: Option<&str>,
        payload: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let new = sql("INSERT INTO deliveries (guid, event, action, payload, received_at)
                       VALUES ($1, $2, $3, $4, $5) ON CONFLICT (guid) DO NOTHING")
        .bind(guid)
        .bind(event)
        .bind(action)
        .bind(payload)
        .bind(now)
        .execute(&mut tx)
        .await?;
        if new > 0 {
            tx.wake(Topic::Deliveries);
        }
        tx.commit(&self.hints).await?;
        Ok(new > 0)
    }

    /// The oldest delivery that is due, leased for a minute.
    pub async fn next_delivery(&self) -> Result<Option<Delivery>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some((guid,)) = sql("SELECT guid FROM deliveries
                 WHERE state = 'pending' AND not_before <= $1 AND lease_until <= $1
                 ORDER BY received_at, guid LIMIT 1")
        .bind(now)
        .skip_locked()
        .fetch_optional::<(String,)>(&mut tx)
        .await?
        else {
            return Ok(None);
        };
        let delivery = sql("UPDATE deliveries SET attempts = attempts + 1, lease_until = $2
                            WHERE guid = $1
                            RETURNING guid, event, action, payload, attempts")
        .bind(guid)
        .bind(now + LEASE_MS)
        .fetch_one::<Delivery>(&mut tx)
        .await?;
        tx.commit(&self.hints).await?;
        Ok(Some(delivery))
    }

    /// A delivery that asks for nothing.
    pub async fn ignore_delivery(&self, guid: &str, why: &str) -> Result<(), StoreError> {
        self.settle_delivery(guid, "ignored", why, 0).await
    }

    /// Planning failed: again after `retry_after_ms`, or never where it is None.
    pub async fn fail_delivery(
        &self,
        guid: &str,
        error: &str,
        retry_after_ms: Option<u64>,
    ) -> Result<(), StoreError> {
        match retry_after_ms {
            Some(wait) => self.settle_delivery(guid, "pending", error, wait).await,
            None => self.settle_delivery(guid, "failed", error, 0).await,
        }
    }

    async fn settle_delivery(
        &self,
        guid: &str,
        state: &str,
        note: &str,
        wait_ms: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let not_before = tx.now().saturating_add_unsigned(wait_ms);
        // Only while pending: a delivery that another worker finished stays finished.
        sql("UPDATE deliveries SET state = $2, note = $3, not_before = $4, lease_until = 0
             WHERE guid = $1 AND state = 'pending'")
        .bind(guid)
        .bind(state)
        .bind(note)
        .bind(not_before)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await
    }
}
