//! Comments on a pull request, found again by a hidden marker and the App's own authorship.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::client::{MAX_PAGES, PER_PAGE, Repository};
use super::error::GitHubError;

#[derive(Deserialize)]
struct CommentAnswer {
    id: i64,
    body: Option<String>,
    user: Option<Author>,
    performed_via_github_app: Option<Via>,
}

#[derive(Deserialize)]
struct Author {
    login: String,
}

#[derive(Deserialize)]
struct Via {
    id: u64,
}

#[derive(Deserialize)]
struct Created {
    id: i64,
}

impl Repository<'_> {
    pub async fn create_comment(&self, number: i64, body: &str) -> Result<i64, GitHubError> {
        let path = format!("issues/{number}/comments");
        let created: Created = self.post(&path, &json!({ "body": body })).await?;
        Ok(created.id)
    }

    /// [`GitHubError::NotFound`] when somebody deleted it.
    pub async fn edit_comment(&self, comment: i64, body: &str) -> Result<(), GitHubError> {
        let path = format!("issues/comments/{comment}");
        let _: IgnoredAny = self.patch(&path, &json!({ "body": body })).await?;
        Ok(())
    }

    /// This App's oldest comment that has the marker: anybody can write the marker, only the App
    /// can be its author.
    pub async fn find_comment(
        &self,
        number: i64,
        marker: &str,
    ) -> Result<Option<i64>, GitHubError> {
        let path = format!("issues/{number}/comments");
        let bot = format!("{}[bot]", self.github.slug().await?);
        let ours = |comment: &CommentAnswer| {
            comment.performed_via_github_app.as_ref().map(|app| app.id)
                == Some(self.github.app_id())
                || comment.user.as_ref().is_some_and(|user| user.login == bot)
        };
        for page in 1..=MAX_PAGES {
            let query = [("per_page", PER_PAGE.to_string()), ("page", page.to_string())];
            let query: Vec<(&str, &str)> = query.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let comments: Vec<CommentAnswer> = self.get(&path, &query).await?;
            let found = comments.iter().find(|comment| {
                comment.body.as_deref().is_some_and(|body| body.contains(marker)) && ours(comment)
            });
            if let Some(comment) = found {
                return Ok(Some(comment.id));
            }
            if comments.len() < PER_PAGE {
                break;
            }
        }
        Ok(None)
    }
}
