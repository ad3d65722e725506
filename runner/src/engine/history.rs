//! `.difftest/` at the repository's root: the runs, and the database of their results.

use std::path::{Path, PathBuf};

use difftest_core::report::trend::Trend;
use difftest_core::result::{Run, RunReport};
use difftest_store::{Store, StoreError};

use super::error::EngineError;

const FOLDER: &str = ".difftest";
const DATABASE: &str = "results.db";
/// Runs that a trend goes back to.
const TREND_RUNS: u32 = 20;

/// The folder, made if need be, and kept out of the repository's commits.
pub fn folder(root: &Path) -> Result<PathBuf, EngineError> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(EngineError::file("make", &folder))?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n").map_err(EngineError::file("write", &ignore))?;
    }
    Ok(folder)
}

/// Where runs are that were given no other place.
pub fn runs_dir(root: &Path) -> Result<PathBuf, EngineError> {
    Ok(folder(root)?.join("runs"))
}

/// Where `--incremental` keeps images.
pub fn cache_dir(root: &Path) -> PathBuf {
    root.join(FOLDER).join("cache")
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Folder(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Runtime(#[from] std::io::Error),
}

/// Adds a run to the history. Answers how its metrics went over the last runs.
pub fn record(root: &Path, run: &Run) -> Result<Vec<Trend>, HistoryError> {
    with_store(root, async |store| {
        store.record_run(run).await?;
        store.trends(&run.id, TREND_RUNS).await
    })
}

/// The results of the last runs, the newest first.
pub fn reports(root: &Path, last: u32) -> Result<Vec<RunReport>, HistoryError> {
    with_store(root, async |store| {
        let mut reports = Vec::new();
        for run in store.list_runs(last).await? {
            reports.extend(store.run_report(&run.id).await?);
        }
        Ok(reports)
    })
}

fn with_store<T>(
    root: &Path,
    work: impl AsyncFnOnce(Store) -> Result<T, StoreError>,
) -> Result<T, HistoryError> {
    let folder = folder(root)?;
    let url = format!("sqlite://{}", folder.join(DATABASE).display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(work(Store::open(&url, &folder).await?).await?) })
}
