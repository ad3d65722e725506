//! Tokens that leave the App: a runner's right to read one repository for one hour.

use axum::http::Method;
use difftest_core::ids::RepoName;
use difftest_core::protocol::Secret;
use serde_json::json;

use super::client::{GitHub, TokenAnswer};
use super::error::GitHubError;

impl GitHub {
    /// A fresh token that can read the contents of this repository and nothing else. Never the
    /// App's own, never kept: it is handed to a runner and forgotten.
    pub async fn read_token(
        &self,
        installation: i64,
        repository: &RepoName,
    ) -> Result<Secret, GitHubError> {
        let path = format!("app/installations/{installation}/access_tokens");
        let body = json!({
            "repositories": [repository.name()],
            "permissions": { "contents": "read" },
        });
        let answer: TokenAnswer = self.as_app(Method::POST, &path, Some(&body)).await?;
        Ok(answer.token)
    }
}
