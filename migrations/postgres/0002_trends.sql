-- The same numbers and the same meaning as migrations/sqlite.

-- What each run measured, one row a metric of a test: its trend over the runs is read from here.
CREATE TABLE metric_means (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    test TEXT NOT NULL,
    metric TEXT NOT NULL,
    -- The mean over the test's images, or the one score of a batch metric.
    mean DOUBLE PRECISION NOT NULL,
    sample_count BIGINT NOT NULL,
    PRIMARY KEY (run_id, test, metric)
);
CREATE INDEX metric_means_of_test ON metric_means (test, metric);

INSERT INTO metric_means (run_id, test, metric, mean, sample_count)
SELECT run_id, test, metric, AVG(value), COUNT(*) FROM samples GROUP BY run_id, test, metric;
