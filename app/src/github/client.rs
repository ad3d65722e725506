//! One client, octocrab, for all calls: who speaks, what an answer means, when to leave GitHub alone.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use axum::http::header::{ACCEPT, HeaderMap, HeaderName, USER_AGENT};
use axum::http::{Method, Request, StatusCode};
use difftest_core::ids::RepoName;
use difftest_core::protocol::Secret;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use octocrab::service::middleware::retry::RetryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::error::{Call, ClientError, GitHubError, Transport};
use super::key::AppKey;
use super::limits::{self, Pauses};

const API_VERSION: &str = "2022-11-28";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Items a page; GitHub's largest.
pub(super) const PER_PAGE: usize = 100;
/// A list longer than this is not read to its end: 3,000 comments on one pull request.
pub(super) const MAX_PAGES: usize = 30;

/// GitHub as one App sees it.
#[derive(Debug)]
pub struct GitHub {
    app_id: u64,
    /// Speaks as the App itself.
    app: Octocrab,
    /// Speak as an installation each. octocrab makes their tokens, keeps them while they live, and
    /// repeats a call once with a fresh one where GitHub no longer knows the old.
    installations: Mutex<HashMap<i64, Octocrab>>,
    pauses: Pauses,
    pub(super) slug: OnceCell<String>,
}

/// One repository through the eyes of the installation that covers it.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    pub(super) github: &'a GitHub,
    pub(super) installation: i64,
    pub(super) name: &'a RepoName,
}

#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) token: Secret,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    message: String,
}

impl GitHub {
    /// `api` is `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server.
    /// To be called inside a tokio runtime.
    pub fn new(api: &Url, key: AppKey) -> Result<Self, ClientError> {
        let app = Octocrab::builder()
            .base_uri(api.as_str().trim_end_matches('/'))?
            .app(AppId(key.app_id), key.key)
            // Nothing is repeated here, and least of all a POST: the outbox repeats, after looking
            // at what is there.
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(CONNECT_TIMEOUT))
            .add_header(USER_AGENT, concat!("difftest/", env!("CARGO_PKG_VERSION")).into())
            .add_header(ACCEPT, "application/vnd.github+json".into())
            .add_header(HeaderName::from_static("x-github-api-version"), API_VERSION.into())
            .build()?;
        Ok(Self {
            app_id: key.app_id,
            app,
            installations: Mutex::default(),
            pauses: Pauses::default(),
            slug: OnceCell::new(),
        })
    }

    pub fn app_id(&self) -> u64 {
        self.app_id
    }

    pub fn repository<'a>(&'a self, installation: i64, name: &'a RepoName) -> Repository<'a> {
        Repository { github: self, installation, name }
    }

    /// A call as the App itself.
    pub(super) async fn as_app<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, GitHubError> {
        let (call, text) = send(&self.app, method, path, &[], body).await?;
        read(call, &text)
    }

    async fn installation(&self, id: i64) -> Result<Octocrab, octocrab::Error> {
        let mut installations = self.installations.lock().await;
        if let Some(crab) = installations.get(&id) {
            return Ok(crab.clone());
        }
        let crab = self.app.installation(InstallationId(id.unsigned_abs()))?;
        installations.insert(id, crab.clone());
        Ok(crab)
    }

    /// A token keeps the permissions it was made with: once a missing one is granted, only a fresh
    /// token has it.
    async fn forget_token(&self, installation: i64) {
        self.installations.lock().await.remove(&installation);
    }
}

/// One request, at most [`TIMEOUT`] long, and what its answer means. octocrab carries it; answers
/// are read into our own types, see the room's head.
async fn send(
    crab: &Octocrab,
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<(Call, String), GitHubError> {
    let mut call = Call { what: format!("{method} /{path}"), request_id: None };
    let request = Request::builder()
        .method(method)
        .uri(format!("/{path}{}", encoded(query)))
        .header("content-type", "application/json")
        .body(body.map(Value::to_string).unwrap_or_default());
    let request = match request {
        Ok(request) => request,
        Err(source) => return Err(GitHubError::Unaskable { call, source }),
    };
    let answer = tokio::time::timeout(TIMEOUT, async {
        let response = crab.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok::<_, octocrab::Error>((status, headers, crab.body_to_string(response).await?))
    });
    let (status, headers, text) = match answer.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => return Err(without_answer(call, source)),
        Err(_) => {
            let source = Transport::TimedOut(TIMEOUT);
            return Err(GitHubError::Unreachable { call, source });
        }
    };
    call.request_id = header(&headers, "x-github-request-id");
    if status.is_success() {
        return Ok((call, text));
    }
    let message = serde_json::from_str::<ErrorAnswer>(&text).unwrap_or_default().message;
    Err(meaning(call, status, &headers, message))
}

fn encoded(query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return String::new();
    }
    format!(
        "?{}",
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish()
    )
}

/// octocrab gave no answer: the request was lost, or GitHub gave no token to ask with.
fn without_answer(call: Call, error: octocrab::Error) -> GitHubError {
    match error {
        octocrab::Error::GitHub { source, .. } => {
            meaning(call, source.status_code, &HeaderMap::new(), source.message)
        }
        source => GitHubError::Unreachable { call, source: Transport::Client(Box::new(source)) },
    }
}

fn meaning(call: Call, status: StatusCode, headers: &HeaderMap, message: String) -> GitHubError {
    if let Some(wait) = limits::wait(status, headers, &message, SystemTime::now()) {
        return GitHubError::RateLimited { call, wait };
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => GitHubError::NotFound { call },
        StatusCode::FORBIDDEN => GitHubError::Forbidden {
            call,
            message,
            needed: header(headers, "x-accepted-github-permissions"),
        },
        status if status.is_server_error() => GitHubError::Broken {
            call,
            status: status.as_u16(),
            retry_after: limits::retry_after(headers),
        },
        status => GitHubError::Refused { call, status: status.as_u16(), message },
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn read<T: DeserializeOwned>(call: Call, text: &str) -> Result<T, GitHubError> {
    // 204 has no body; `()` and `Option` read null.
    let text = if text.is_empty() { "null" } else { text };
    serde_json::from_str(text).map_err(|source| GitHubError::Unreadable { call, source })
}

impl Repository<'_> {
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, GitHubError> {
        self.call(Method::GET, path, query, None).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, GitHubError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, GitHubError> {
        self.call(Method::PATCH, path, &[], Some(body)).await
    }

    /// A call below `repos/{owner}/{name}/` with the installation's token.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, GitHubError> {
        let github = self.github;
        let path = format!("repos/{}/{path}", self.name);
        if let Some(wait) = github.pauses.left(self.installation) {
            let call = Call { what: format!("{method} /{path}"), request_id: None };
            return Err(GitHubError::RateLimited { call, wait });
        }
        let answer = match github.installation(self.installation).await {
            Ok(crab) => send(&crab, method, &path, query, body).await,
            Err(source) => {
                let call = Call { what: format!("{method} /{path}"), request_id: None };
                Err(without_answer(call, source))
            }
        };
        match &answer {
            Err(GitHubError::RateLimited { wait, .. }) => {
                github.pauses.pause(self.installation, *wait);
            }
            Err(GitHubError::Forbidden { .. }) => github.forget_token(self.installation).await,
            _ => {}
        }
        let (call, text) = answer?;
        read(call, &text)
    }
}
