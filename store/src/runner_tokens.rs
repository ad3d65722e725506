//! Who may claim jobs. A token is shown once; the store has its SHA-256.

use difftest_core::protocol::Secret;
use sqlx::FromRow;

use crate::database::sql;
use crate::error::StoreError;
use crate::jobs::{new_token, token_hash};
use crate::open::Store;

/// A runner that showed its token.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RunnerIdentity {
    pub name: String,
    /// It finishes what it has and gets no more.
    pub draining: bool,
}

impl Store {
    /// A new token. This is the only time that it can be seen.
    pub async fn add_runner_token(&self, name: &str) -> Result<Secret, StoreError> {
        let token = new_token("dtr_");
        if self.insert_token(name, &token).await? {
            Ok(token)
        } else {
            Err(StoreError::RunnerExists { name: name.to_owned() })
        }
    }

    /// Takes a token that was chosen elsewhere, for instance by whoever deploys App and runners
    /// together. The name's former token ends.
    pub async fn set_runner_token(&self, name: &str, token: &Secret) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        sql("INSERT INTO runner_tokens (name, token_hash, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash")
        .bind(name)
        .bind(token_hash(token))
        .bind(now)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await
    }

    /// Whose token it is; None where it is nobody's.
    ///
    /// The look-up is by hash, so its time tells an attacker nothing about any token.
    pub async fn check_runner_token(
        &self,
        token: &Secret,
    ) -> Result<Option<RunnerIdentity>, StoreError> {
        sql("SELECT name, draining FROM runner_tokens WHERE token_hash = $1")
            .bind(token_hash(token))
            .fetch_optional::<RunnerIdentity>(&mut self.db.read().await?)
            .await
    }

    /// Lets a runner finish what it has and gives it no more, or takes that back. False where
    /// there is no such runner.
    pub async fn drain_runner(&self, name: &str, draining: bool) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let known = sql("UPDATE runner_tokens SET draining = $2 WHERE name = $1")
            .bind(name)
            .bind(draining)
            .execute(&mut tx)
            .await?;
        tx.commit(&self.hints).await?;
        Ok(known > 0)
    }

    /// Ends a token. False where there is none of that name.
    pub async fn remove_runner_token(&self, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let known =
            sql("DELETE FROM runner_tokens WHERE name = $1").bind(name).execute(&mut tx).await?;
        tx.commit(&self.hints).await?;
        Ok(known > 0)
    }

    async fn insert_token(&self, name: &str, token: &Secret) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let new = sql("INSERT INTO runner_tokens (name, token_hash, created_at)
                       VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(token_hash(token))
        .bind(now)
        .execute(&mut tx)
        .await?;
        tx.commit(&self.hints).await?;
        Ok(new > 0)
    }
}
