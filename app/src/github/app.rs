//! The App itself, as GitHub knows it: its name, and whether it was given what it needs.

use std::collections::BTreeMap;

use axum::http::Method;
use serde::Deserialize;

use super::client::GitHub;
use super::error::GitHubError;

/// What the App must be allowed to do, and why. The order is that of GitHub's settings page.
const PERMISSIONS: [(&str, &str, &str); 4] = [
    ("checks", "write", "to show check runs"),
    ("contents", "read", "to read difftest.toml, and for runners to fetch commits"),
    ("issues", "write", "to react to commands"),
    ("pull_requests", "write", "to comment"),
];

/// What the App must be told of. Check runs' events come without subscribing.
const EVENTS: [&str; 2] = ["issue_comment", "pull_request"];

#[derive(Debug, Clone, Deserialize)]
pub struct AppSettings {
    pub slug: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
}

impl AppSettings {
    /// What is missing, a sentence each.
    pub fn lacking(&self) -> Vec<String> {
        let permissions = PERMISSIONS.iter().filter_map(|(name, level, why)| {
            let granted = self.permissions.get(*name).map(String::as_str);
            let enough = granted.is_some_and(|g| g == *level || g == "write" || g == "admin");
            (!enough).then(|| format!("the App needs the permission `{name}: {level}` {why}"))
        });
        let events = EVENTS
            .iter()
            .filter(|event| !self.events.iter().any(|e| e == *event))
            .map(|event| format!("the App must subscribe to the event `{event}`"));
        permissions.chain(events).collect()
    }
}

impl GitHub {
    /// Also shows whether the App ID and the private key belong together.
    pub async fn settings(&self) -> Result<AppSettings, GitHubError> {
        self.as_app(Method::GET, "app", None).await
    }

    /// The App's name in its own comments: `{slug}[bot]` is their author.
    pub(super) async fn slug(&self) -> Result<&str, GitHubError> {
        let slug = self.slug.get_or_try_init(|| async { Ok(self.settings().await?.slug) });
        slug.await.map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_app_was_not_given_is_named() {
        let settings = |permissions| -> AppSettings {
            let events = ["pull_request", "issue_comment"];
            serde_json::from_value(
                json!({ "slug": "difftest", "permissions": permissions, "events": events }),
            )
            .unwrap()
        };
        let all = json!({
            "checks": "write", "contents": "write", "issues": "write", "pull_requests": "write",
        });
        assert_eq!(settings(all).lacking(), Vec::<String>::new());
        let some = json!({ "checks": "read", "contents": "read", "issues": "write" });
        assert_eq!(
            settings(some).lacking(),
            [
                "the App needs the permission `checks: write` to show check runs",
                "the App needs the permission `pull_requests: write` to comment",
            ]
        );
    }
}
