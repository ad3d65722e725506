//! Reactions to comments: how a command is acknowledged.

use serde::de::IgnoredAny;
use serde_json::json;

use super::client::Repository;
use super::error::GitHubError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Seen, and being done.
    Eyes,
    /// Not understood, or not allowed.
    Confused,
}

impl Reaction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Confused => "confused",
        }
    }
}

impl Repository<'_> {
    /// GitHub keeps one reaction of a kind per user, so that repeating this changes nothing.
    pub async fn react(&self, comment: i64, reaction: Reaction) -> Result<(), GitHubError> {
        let path = format!("issues/comments/{comment}/reactions");
        let _: IgnoredAny = self.post(&path, &json!({ "content": reaction.as_str() })).await?;
        Ok(())
    }
}
