//! Where a runner's right to read one repository comes from.

use std::error::Error;
use std::time::Duration;

use difftest_core::ids::RepoName;
use difftest_core::protocol::Secret;
use futures::future::BoxFuture;

use crate::github::GitHub;

/// Gives out tokens that can read one repository and nothing else.
pub trait GitTokens: Send + Sync {
    fn read_token<'a>(
        &'a self,
        installation: i64,
        repository: &'a RepoName,
    ) -> BoxFuture<'a, Result<Secret, GitTokenError>>;
}

#[derive(Debug, thiserror::Error)]
pub enum GitTokenError {
    #[error("no token for the repository now: {source}")]
    Passing { retry_after: Duration, source: Box<dyn Error + Send + Sync> },
    /// Somebody has to mend it first: a permission is missing, or the App was uninstalled.
    #[error("no token for the repository: {source}")]
    Lasting { source: Box<dyn Error + Send + Sync> },
}

impl GitTokens for GitHub {
    fn read_token<'a>(
        &'a self,
        installation: i64,
        repository: &'a RepoName,
    ) -> BoxFuture<'a, Result<Secret, GitTokenError>> {
        Box::pin(async move {
            Self::read_token(self, installation, repository).await.map_err(|error| {
                if error.is_passing() {
                    let retry_after = error.retry_after().unwrap_or(Duration::from_secs(2));
                    GitTokenError::Passing { retry_after, source: Box::new(error) }
                } else {
                    GitTokenError::Lasting { source: Box::new(error) }
                }
            })
        })
    }
}
