//! Why the App could not start, or had to stop.

use std::path::PathBuf;

use difftest_store::StoreError;

use crate::api::ImageKeyError;
use crate::github::{ClientError, KeyError};

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("`difftest app` needs {0}")]
    Missing(&'static str),
    #[error("{what}, {path}, cannot be read: {source}")]
    Unreadable { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} has no webhook secret; write the one of the App's settings into it")]
    NoSecret { path: PathBuf },
    #[error("{path}, line {line}: write a runner's name and its token, with a space between")]
    RunnerToken { path: PathBuf, line: usize },
    #[error("{path} cannot be used as the data directory: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    ImageKey(#[from] ImageKeyError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{address} cannot be listened on: {source}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("the server stopped: {0}")]
    Serve(#[source] std::io::Error),
}
