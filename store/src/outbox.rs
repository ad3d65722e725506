//! What GitHub is to show. One row for each thing there, not one for each message: the poster
//! renders the state of the moment, so that edits coalesce and a repeated post changes nothing.
//!
//! A change raises `wanted`; a post that succeeded sets `done` to the `wanted` that it had read
//! before it rendered. A change that comes while the post is under way leaves `done < wanted`, so
//! the row stays due: no change is ever lost.

use std::fmt;
use std::str::FromStr;

use sqlx::FromRow;

use crate::checks::CheckId;
use crate::database::sql;
use crate::error::StoreError;
use crate::open::Store;
use crate::pulls::PullKey;

/// How long a poster may take. It must give up on GitHub before, so that no two post one thing.
const LEASE_MS: i64 = 120_000;

/// A thing on GitHub that is to look like our state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EffectKey {
    /// The check run.
    Check(CheckId),
    /// The pull request's one comment.
    Comment(PullKey),
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(id) => write!(f, "check:{id}"),
            Self::Comment(pull) => write!(f, "comment:{pull}"),
        }
    }
}

impl FromStr for EffectKey {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let (kind, rest) = text.split_once(':')?;
            match kind {
                "check" => Some(Self::Check(CheckId(rest.parse().ok()?))),
                "comment" => {
                    let (repo_id, number) = rest.split_once(':')?;
                    let repo_id = repo_id.parse().ok()?;
                    Some(Self::Comment(PullKey { repo_id, number: number.parse().ok()? }))
                }
                _ => None,
            }
        };
        parse().ok_or_else(|| StoreError::Corrupt {
            what: "an effect's key",
            reason: format!("`{text}` names no thing on GitHub"),
        })
    }
}

/// Something to post, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub key: EffectKey,
    /// Tries since the last success or change, this one included.
    pub attempts: i64,
    wanted: i64,
    lease_until: i64,
}

#[derive(FromRow)]
struct EffectRow {
    effect: String,
    wanted: i64,
    attempts: i64,
    lease_until: i64,
}

impl Store {
    /// Asks for a post without a change, for instance when GitHub was found to show another state.
    pub async fn want(&self, key: EffectKey) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.want(&key);
        tx.commit(&self.hints).await
    }

    /// What has been due for longest, leased for two minutes. Read the state to post after this.
    pub async fn next_effect(&self) -> Result<Option<Effect>, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some((effect,)) = sql("SELECT effect FROM outbox
                 WHERE done < wanted AND not_before <= $1 AND lease_until <= $1
                 ORDER BY not_before, effect LIMIT 1")
        .bind(now)
        .skip_locked()
        .fetch_optional::<(String,)>(&mut tx)
        .await?
        else {
            return Ok(None);
        };
        let row = sql("UPDATE outbox SET attempts = attempts + 1, lease_until = $2
                       WHERE effect = $1 RETURNING effect, wanted, attempts, lease_until")
        .bind(effect)
        .bind(now + LEASE_MS)
        .fetch_one::<EffectRow>(&mut tx)
        .await?;
        tx.commit(&self.hints).await?;
        Ok(Some(Effect {
            key: row.effect.parse()?,
            attempts: row.attempts,
            wanted: row.wanted,
            lease_until: row.lease_until,
        }))
    }

    /// GitHub shows the state that was read after [`Store::next_effect`].
    pub async fn effect_done(&self, effect: &Effect) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        sql("UPDATE outbox SET done = $2, attempts = 0, last_error = NULL
             WHERE effect = $1 AND done < $2")
        .bind(effect.key.to_string())
        .bind(effect.wanted)
        .execute(&mut tx)
        .await?;
        sql("UPDATE outbox SET lease_until = 0 WHERE effect = $1 AND lease_until = $2")
            .bind(effect.key.to_string())
            .bind(effect.lease_until)
            .execute(&mut tx)
            .await?;
        tx.wake(crate::hints::Topic::Effects);
        tx.commit(&self.hints).await
    }

    /// The post failed: again in `retry_in_ms`, or, where it is None, not before the next change.
    pub async fn effect_failed(
        &self,
        effect: &Effect,
        error: &str,
        retry_in_ms: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        // A change that came in the meantime has asked for a post of its own: only what this
        // effect stood for is given up.
        let given_up = if retry_in_ms.is_none() { effect.wanted } else { 0 };
        sql("UPDATE outbox SET last_error = $3, not_before = $4, lease_until = 0,
                 done = CASE WHEN done < $5 THEN $5 ELSE done END
             WHERE effect = $1 AND lease_until = $2")
        .bind(effect.key.to_string())
        .bind(effect.lease_until)
        .bind(error)
        .bind(now.saturating_add_unsigned(retry_in_ms.unwrap_or(0)))
        .bind(given_up)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await
    }
}
