//! Pull requests, as far as the App has heard of them.

use std::fmt;

use difftest_core::ids::{CommitSha, RepoName};
use sqlx::FromRow;

use crate::database::{Connection, Tx, sql};
use crate::error::{StoreError, from_id};
use crate::open::Store;

/// A pull request, by GitHub's number of its repository: names change, this does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullKey {
    pub repo_id: i64,
    pub number: i64,
}

impl fmt::Display for PullKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repo_id, self.number)
    }
}

/// A pull request as GitHub described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub key: PullKey,
    pub installation_id: i64,
    pub repository: RepoName,
    pub base_ref: String,
    pub base_sha: CommitSha,
    pub head_sha: CommitSha,
    pub fork: bool,
    pub open: bool,
    pub draft: bool,
    /// GitHub's `updated_at` in seconds since 1970. A description that is older than the stored
    /// one is not taken, nor what was planned from it.
    pub updated_at: i64,
}

/// A pull request and its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPull {
    pub pull: Pull,
    pub comment_id: Option<i64>,
    /// A person deleted the comment: it is not written again.
    pub comment_deleted: bool,
}

#[derive(FromRow)]
struct PullRow {
    repo_id: i64,
    number: i64,
    installation_id: i64,
    repository: String,
    base_ref: String,
    base_sha: String,
    head_sha: String,
    fork: bool,
    open: bool,
    draft: bool,
    updated_at: i64,
    comment_id: Option<i64>,
    comment_deleted: bool,
}

impl TryFrom<PullRow> for StoredPull {
    type Error = StoreError;
    fn try_from(row: PullRow) -> Result<Self, StoreError> {
        Ok(Self {
            pull: Pull {
                key: PullKey { repo_id: row.repo_id, number: row.number },
                installation_id: row.installation_id,
                repository: from_id("a repository", row.repository)?,
                base_ref: row.base_ref,
                base_sha: from_id("a base commit", row.base_sha)?,
                head_sha: from_id("a head commit", row.head_sha)?,
                fork: row.fork,
                open: row.open,
                draft: row.draft,
                updated_at: row.updated_at,
            },
            comment_id: row.comment_id,
            comment_deleted: row.comment_deleted,
        })
    }
}

impl Store {
    pub async fn pull(&self, key: PullKey) -> Result<Option<StoredPull>, StoreError> {
        read_pull(&mut self.db.read().await?, key).await
    }

    /// The comment that was written, so that the next post edits it.
    pub async fn set_comment_id(&self, key: PullKey, comment_id: i64) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        sql("UPDATE pulls SET comment_id = $3 WHERE repo_id = $1 AND number = $2")
            .bind(key.repo_id)
            .bind(key.number)
            .bind(comment_id)
            .execute(&mut tx)
            .await?;
        tx.commit(&self.hints).await
    }

    /// A person deleted the comment.
    pub async fn set_comment_deleted(&self, key: PullKey) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        sql("UPDATE pulls SET comment_id = NULL, comment_deleted = TRUE
             WHERE repo_id = $1 AND number = $2")
        .bind(key.repo_id)
        .bind(key.number)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await
    }
}

pub(crate) async fn read_pull(
    connection: &mut impl Connection,
    key: PullKey,
) -> Result<Option<StoredPull>, StoreError> {
    sql("SELECT * FROM pulls WHERE repo_id = $1 AND number = $2")
        .bind(key.repo_id)
        .bind(key.number)
        .fetch_optional::<PullRow>(connection)
        .await?
        .map(StoredPull::try_from)
        .transpose()
}

/// Reads and locks a pull request's row.
pub(crate) async fn lock_pull(tx: &mut Tx, key: PullKey) -> Result<StoredPull, StoreError> {
    sql("SELECT * FROM pulls WHERE repo_id = $1 AND number = $2")
        .bind(key.repo_id)
        .bind(key.number)
        .for_update()
        .fetch_optional::<PullRow>(tx)
        .await?
        .ok_or_else(|| StoreError::Missing { what: "pull request", id: key.to_string() })?
        .try_into()
}

/// Writes a pull request, and leaves its row locked. False where a newer description is stored.
pub(crate) async fn upsert_pull(tx: &mut Tx, pull: &Pull) -> Result<bool, StoreError> {
    let changed = sql("INSERT INTO pulls (repo_id, number, installation_id, repository, base_ref,
             base_sha, head_sha, fork, open, draft, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (repo_id, number) DO UPDATE SET
             installation_id = excluded.installation_id, repository = excluded.repository,
             base_ref = excluded.base_ref, base_sha = excluded.base_sha,
             head_sha = excluded.head_sha, fork = excluded.fork, open = excluded.open,
             draft = excluded.draft, updated_at = excluded.updated_at
         WHERE pulls.updated_at <= excluded.updated_at")
    .bind(pull.key.repo_id)
    .bind(pull.key.number)
    .bind(pull.installation_id)
    .bind(pull.repository.as_str())
    .bind(&pull.base_ref)
    .bind(pull.base_sha.as_str())
    .bind(pull.head_sha.as_str())
    .bind(pull.fork)
    .bind(pull.open)
    .bind(pull.draft)
    .bind(pull.updated_at)
    .execute(tx)
    .await?;
    Ok(changed > 0)
}
