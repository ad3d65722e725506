//! `.difftest/` at the repository's root: the runs, and the database of their results.

use std::path::{Path, PathBuf};

use difftest_core::result::Run;
use difftest_store::{Store, StoreError};

use super::error::EngineError;

const FOLDER: &str = ".difftest";
const DATABASE: &str = "results.db";

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

/// Adds a run to the history.
pub fn record(root: &Path, run: &Run) -> Result<(), HistoryError> {
    let folder = folder(root)?;
    let url = format!("sqlite://{}", folder.join(DATABASE).display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&url, &folder).await?;
        store.record_run(run).await?;
        Ok(())
    })
}
