//! The history of `difftest run`, kept in `.difftest/results.db`.

use difftest_core::event::RunStatus;
use difftest_core::result::{Run, RunReport};
use sqlx::FromRow;

use crate::database::sql;
use crate::error::{StoreError, from_json, from_word, to_json};
use crate::open::Store;

/// One line of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    pub id: String,
    pub model: String,
    pub generator: String,
    pub fingerprint: String,
    /// None where the run died.
    pub status: Option<RunStatus>,
    pub passed: i64,
    pub failed: i64,
    pub duration_ms: f64,
    /// Milliseconds since 1970.
    pub recorded_at: i64,
}

/// One score of one image.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Sample {
    pub test: String,
    pub prompt: String,
    pub seed: i64,
    pub metric: String,
    pub value: f64,
    pub image_sha: Option<String>,
}

#[derive(FromRow)]
struct RunRow {
    id: String,
    model: String,
    generator: String,
    fingerprint: String,
    status: Option<String>,
    passed: i64,
    failed: i64,
    duration_ms: f64,
    recorded_at: i64,
}

impl Store {
    /// Records a run with its samples. The same run again replaces what was recorded of it.
    pub async fn record_run(&self, run: &Run) -> Result<(), StoreError> {
        let report = run.report();
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        sql("DELETE FROM runs WHERE id = $1").bind(&run.id).execute(&mut tx).await?;
        sql("INSERT INTO runs (id, model, generator, fingerprint, status, passed, failed,
                 duration_ms, report, recorded_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(&run.id)
        .bind(&run.model)
        .bind(&run.generator)
        .bind(&run.fingerprint)
        .bind(run.status.map(status_word))
        .bind(report.total_passed as i64)
        .bind(report.total_failed as i64)
        .bind(run.duration_ms)
        .bind(to_json("a report", &report)?)
        .bind(now)
        .execute(&mut tx)
        .await?;
        for (key, cell) in run.tests.iter().flat_map(|t| &t.cells) {
            for (metric, value) in &cell.scores {
                sql("INSERT INTO samples (run_id, test, prompt, seed, metric, value, image_sha)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)")
                .bind(&run.id)
                .bind(key.test.to_string())
                .bind(&key.prompt)
                .bind(key.seed)
                .bind(metric)
                .bind(*value)
                .bind(cell.image.as_ref().map(|i| i.sha256.as_str()))
                .execute(&mut tx)
                .await?;
            }
        }
        crate::trends::record(&mut tx, run).await?;
        tx.commit(&self.hints).await
    }

    /// The newest runs first.
    pub async fn list_runs(&self, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        sql("SELECT id, model, generator, fingerprint, status, passed, failed, duration_ms,
                 recorded_at
             FROM runs ORDER BY recorded_at DESC, id DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all::<RunRow>(&mut self.db.read().await?)
        .await?
        .into_iter()
        .map(|row| {
            Ok(RunSummary {
                id: row.id,
                model: row.model,
                generator: row.generator,
                fingerprint: row.fingerprint,
                status: row.status.map(|s| from_word("a run's status", s)).transpose()?,
                passed: row.passed,
                failed: row.failed,
                duration_ms: row.duration_ms,
                recorded_at: row.recorded_at,
            })
        })
        .collect()
    }

    /// The report of a run, as `--output` wrote it.
    pub async fn run_report(&self, id: &str) -> Result<Option<RunReport>, StoreError> {
        sql("SELECT report FROM runs WHERE id = $1")
            .bind(id)
            .fetch_optional::<(String,)>(&mut self.db.read().await?)
            .await?
            .map(|(report,)| from_json("a report", &report))
            .transpose()
    }

    /// The scores of a run.
    pub async fn run_samples(&self, id: &str) -> Result<Vec<Sample>, StoreError> {
        sql("SELECT test, prompt, seed, metric, value, image_sha FROM samples
             WHERE run_id = $1 ORDER BY test, prompt, seed, metric")
        .bind(id)
        .fetch_all::<Sample>(&mut self.db.read().await?)
        .await
    }
}

fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Passed => "passed",
        RunStatus::Failed => "failed",
        RunStatus::Error => "error",
    }
}
