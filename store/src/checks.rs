//! Checks: what one suite says of one commit of a pull request, and how far it is.

use std::fmt;
use std::str::FromStr;

use difftest_core::compare::Comparison;
use difftest_core::ids::CommitSha;
use difftest_core::protocol::Sandbox;
use difftest_core::report::check::{CheckOutput, Conclusion};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::database::{Connection, Tx, sql};
use crate::error::{StoreError, from_id, from_json, from_word, to_json};
use crate::open::Store;
use crate::outbox::EffectKey;
use crate::pulls::PullKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub i64);

impl CheckId {
    const PREFIX: &str = "difftest-";

    /// The check run's `external_id` on GitHub: by it a run is found again that was created in a
    /// call whose answer was lost.
    pub fn external_id(self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }

    /// None for the `external_id` of another App, or of none.
    pub fn from_external_id(external_id: &str) -> Option<Self> {
        i64::from_str(external_id.strip_prefix(Self::PREFIX)?).ok().map(Self)
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Queued,
    InProgress,
    Completed,
}

impl CheckStatus {
    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub conclusion: Conclusion,
    pub said: Said,
}

/// What stands behind a conclusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one of them for each check that is read")]
pub enum Said {
    /// Both sides ran and were compared.
    Verdict { comparison: Comparison, sandbox: Sandbox },
    /// There is no comparison; this is why.
    Note(CheckOutput),
}

impl Said {
    /// A title and a summary in Markdown.
    pub fn note(title: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::Note(CheckOutput {
            title: title.into(),
            summary: summary.into(),
            text: None,
            annotations: Vec::new(),
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub id: CheckId,
    pub pull: PullKey,
    pub suite: String,
    pub head: CommitSha,
    pub base: CommitSha,
    pub status: CheckStatus,
    /// There exactly when the status is `Completed`.
    pub finding: Option<Finding>,
    /// The check run on GitHub, once it was created.
    pub github_id: Option<i64>,
    /// Milliseconds since 1970, as the following.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
}

#[derive(FromRow)]
struct CheckRow {
    id: i64,
    repo_id: i64,
    number: i64,
    suite: String,
    head_sha: String,
    base_sha: String,
    status: String,
    conclusion: Option<String>,
    said: Option<String>,
    github_id: Option<i64>,
    created_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
}

impl TryFrom<CheckRow> for Check {
    type Error = StoreError;
    fn try_from(row: CheckRow) -> Result<Self, StoreError> {
        let finding = match (row.conclusion, row.said) {
            (Some(conclusion), Some(said)) => Some(Finding {
                conclusion: from_word("a check's conclusion", conclusion)?,
                said: from_json("a check's finding", &said)?,
            }),
            _ => None,
        };
        Ok(Self {
            id: CheckId(row.id),
            pull: PullKey { repo_id: row.repo_id, number: row.number },
            suite: row.suite,
            head: from_id("a head commit", row.head_sha)?,
            base: from_id("a base commit", row.base_sha)?,
            status: from_word("a check's status", row.status)?,
            finding,
            github_id: row.github_id,
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
        })
    }
}

impl Store {
    pub async fn check(&self, id: CheckId) -> Result<Option<Check>, StoreError> {
        read_check(&mut self.db.read().await?, id).await
    }

    pub async fn check_by_github_id(&self, github_id: i64) -> Result<Option<Check>, StoreError> {
        sql("SELECT * FROM checks WHERE github_id = $1")
            .bind(github_id)
            .fetch_optional::<CheckRow>(&mut self.db.read().await?)
            .await?
            .map(Check::try_from)
            .transpose()
    }

    /// Remembers the check run that was created, so that the next post edits it.
    pub async fn set_check_github_id(&self, id: CheckId, github_id: i64) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        sql("UPDATE checks SET github_id = $2 WHERE id = $1")
            .bind(id.0)
            .bind(github_id)
            .execute(&mut tx)
            .await?;
        tx.commit(&self.hints).await
    }

    /// The newest check of every suite at the pull request's head, by suite: what its comment
    /// shows.
    pub async fn latest_checks(&self, pull: PullKey) -> Result<Vec<Check>, StoreError> {
        sql("SELECT c.* FROM checks c
             WHERE c.id IN (
                 SELECT MAX(n.id) FROM checks n
                 JOIN pulls p ON p.repo_id = n.repo_id AND p.number = n.number
                 WHERE n.repo_id = $1 AND n.number = $2 AND n.head_sha = p.head_sha
                 GROUP BY n.suite)
             ORDER BY c.suite")
        .bind(pull.repo_id)
        .bind(pull.number)
        .fetch_all::<CheckRow>(&mut self.db.read().await?)
        .await?
        .into_iter()
        .map(Check::try_from)
        .collect()
    }
}

pub(crate) async fn read_check(
    connection: &mut impl Connection,
    id: CheckId,
) -> Result<Option<Check>, StoreError> {
    sql("SELECT * FROM checks WHERE id = $1")
        .bind(id.0)
        .fetch_optional::<CheckRow>(connection)
        .await?
        .map(Check::try_from)
        .transpose()
}

#[derive(FromRow)]
struct Moved {
    repo_id: i64,
    number: i64,
}

/// A check changed: the check run and the comment must follow.
fn show(tx: &mut Tx, id: CheckId, moved: &Moved) {
    tx.want(&EffectKey::Check(id));
    let pull = PullKey { repo_id: moved.repo_id, number: moved.number };
    tx.want(&EffectKey::Comment(pull));
}

/// A check that has just been inserted.
pub(crate) fn show_new(tx: &mut Tx, id: CheckId, pull: PullKey) {
    show(tx, id, &Moved { repo_id: pull.repo_id, number: pull.number });
}

/// Work began. A check that runs already, after a lost runner, stays as it is.
pub(crate) async fn start_check(tx: &mut Tx, id: CheckId) -> Result<(), StoreError> {
    let now = tx.now();
    let moved = sql("UPDATE checks SET status = 'in_progress', started_at = $2
                     WHERE id = $1 AND status = 'queued' RETURNING repo_id, number")
    .bind(id.0)
    .bind(now)
    .fetch_optional::<Moved>(tx)
    .await?;
    if let Some(moved) = moved {
        show(tx, id, &moved);
    }
    Ok(())
}

/// Concludes a check, once. False where it was concluded before: the first finding stands.
pub(crate) async fn conclude_check(
    tx: &mut Tx,
    id: CheckId,
    finding: &Finding,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let moved = sql("UPDATE checks SET status = 'completed', conclusion = $2, said = $3,
                         completed_at = $4
                     WHERE id = $1 AND status <> 'completed' RETURNING repo_id, number")
    .bind(id.0)
    .bind(finding.conclusion.as_str())
    .bind(to_json("a check's finding", &finding.said)?)
    .bind(now)
    .fetch_optional::<Moved>(tx)
    .await?;
    if let Some(moved) = &moved {
        show(tx, id, moved);
    }
    Ok(moved.is_some())
}
