//! What can go wrong between difftest and GitHub, said so that a person can mend it.

use std::time::Duration;

/// Which call it was, and GitHub's own name for it (`X-GitHub-Request-Id`), which its support asks
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `POST /repos/acme/gen/check-runs`.
    pub what: String,
    pub request_id: Option<String>,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// The client for GitHub cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the client for GitHub cannot be made: {}", .0.to_string().lines().next().unwrap_or_default())]
pub struct ClientError(#[source] Box<octocrab::Error>);

impl From<octocrab::Error> for ClientError {
    fn from(error: octocrab::Error) -> Self {
        Self(Box::new(error))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Transport {
    #[error("nothing came within {} s", .0.as_secs())]
    TimedOut(Duration),
    // octocrab's own text goes on with a backtrace.
    #[error("{}", .0.to_string().lines().next().unwrap_or_default())]
    Client(Box<octocrab::Error>),
}

#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    #[error("GitHub did not answer {call}; whether it was done is not known: {source}")]
    Unreachable { call: Call, source: Transport },
    #[error("GitHub's rate limit is reached at {call}; it allows the next call in {} s", .wait.as_secs())]
    RateLimited { call: Call, wait: Duration },
    #[error("GitHub refuses {call}: {message}.{}", needed_hint(.needed))]
    Forbidden { call: Call, message: String, needed: Option<String> },
    #[error("GitHub knows nothing at {call}: it is not there, or the App may not see it")]
    NotFound { call: Call },
    #[error("GitHub refuses {call} with status {status}: {message}")]
    Refused { call: Call, status: u16, message: String },
    #[error("GitHub failed at {call} with status {status}")]
    Broken { call: Call, status: u16, retry_after: Option<Duration> },
    #[error("GitHub's answer to {call} is not what its documentation promises: {source}")]
    Unreadable { call: Call, source: serde_json::Error },
    #[error("{call} cannot be asked: {source}")]
    Unaskable { call: Call, source: axum::http::Error },
}

/// `X-Accepted-GitHub-Permissions` names what the call needed: the one thing to grant.
fn needed_hint(needed: &Option<String>) -> String {
    needed.as_ref().map_or(String::new(), |needed| {
        format!(
            " It needs `{needed}`: grant it in the App's settings (\"Permissions & events\"), then \
             accept it where the App is installed"
        )
    })
}

impl GitHubError {
    /// How long GitHub asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait, .. } => Some(*wait),
            Self::Broken { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the same call may go better later without anybody's doing.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. } | Self::Broken { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_named_with_how_to_grant_it() {
        let error = GitHubError::Forbidden {
            call: Call {
                what: "POST /repos/acme/gen/check-runs".into(),
                request_id: Some("AB:1".into()),
            },
            message: "Resource not accessible by integration".into(),
            needed: Some("checks=write".into()),
        };
        insta::assert_snapshot!(error, @r#"GitHub refuses POST /repos/acme/gen/check-runs (request AB:1): Resource not accessible by integration. It needs `checks=write`: grant it in the App's settings ("Permissions & events"), then accept it where the App is installed"#);
    }
}
