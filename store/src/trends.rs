//! How each metric of a run's tests went over the last runs.

use difftest_core::report::trend::{Trend, TrendPoint};
use difftest_core::result::Run;
use difftest_core::suite::TestId;
use sqlx::FromRow;

use crate::database::{Tx, sql};
use crate::error::StoreError;
use crate::open::Store;

#[derive(FromRow)]
struct PointRow {
    test: String,
    metric: String,
    run_id: String,
    model: String,
    generator: String,
    mean: f64,
    sample_count: i64,
    recorded_at: i64,
}

/// Writes what a run measured, beside its samples.
pub(crate) async fn record(tx: &mut Tx, run: &Run) -> Result<(), StoreError> {
    for test in run.report().results {
        for (metric, report) in test.metrics {
            sql("INSERT INTO metric_means (run_id, test, metric, mean, sample_count)
                 VALUES ($1, $2, $3, $4, $5)")
            .bind(&run.id)
            .bind(test.id.as_str())
            .bind(metric)
            .bind(report.summary.mean)
            .bind(report.summary.sample_count as i64)
            .execute(tx)
            .await?;
        }
    }
    Ok(())
}

impl Store {
    /// The last values, at most `last` of each, of every metric of every test that the run
    /// measured: its own and those of the runs recorded before it that came to their end. Oldest
    /// first. Empty for a run that is not recorded.
    pub async fn trends(&self, run: &str, last: u32) -> Result<Vec<Trend>, StoreError> {
        let rows = sql("WITH points AS (
                SELECT m.test, m.metric, m.run_id, r.model, r.generator, m.mean, m.sample_count,
                    r.recorded_at,
                    ROW_NUMBER() OVER (
                        PARTITION BY m.test, m.metric
                        ORDER BY CASE WHEN m.run_id = now.id THEN 0 ELSE 1 END,
                            r.recorded_at DESC, r.id DESC
                    ) AS nth
                FROM runs AS now
                JOIN metric_means AS own ON own.run_id = now.id
                JOIN metric_means AS m ON m.test = own.test AND m.metric = own.metric
                JOIN runs AS r ON r.id = m.run_id
                WHERE now.id = $1
                    AND (r.id = now.id
                        OR (r.recorded_at <= now.recorded_at AND r.status IN ('passed', 'failed')))
            )
            SELECT test, metric, run_id, model, generator, mean, sample_count, recorded_at
            FROM points WHERE nth <= $2 ORDER BY test, metric, nth DESC")
        .bind(run)
        .bind(i64::from(last))
        .fetch_all::<PointRow>(&mut self.db.read().await?)
        .await?;
        let mut trends: Vec<Trend> = Vec::new();
        for row in rows {
            let point = TrendPoint {
                run: row.run_id,
                model: row.model,
                generator: row.generator,
                mean: row.mean,
                samples: row.sample_count.unsigned_abs(),
                recorded_at: row.recorded_at,
            };
            match trends.last_mut() {
                Some(trend) if trend.test.as_str() == row.test && trend.metric == row.metric => {
                    trend.points.push(point);
                }
                _ => trends.push(Trend {
                    test: TestId(row.test),
                    metric: row.metric,
                    points: vec![point],
                }),
            }
        }
        Ok(trends)
    }
}
