//! One HTTP client for all calls: who speaks, what an answer means, when to leave GitHub alone.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use difftest_core::ids::RepoName;
use difftest_core::protocol::Secret;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::error::{Call, GitHubError};
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
    http: reqwest::Client,
    api: Url,
    key: AppKey,
    tokens: Mutex<HashMap<i64, CachedToken>>,
    pauses: Pauses,
    pub(super) slug: OnceCell<String>,
}

#[derive(Debug)]
struct CachedToken {
    token: Secret,
    until: Instant,
}

/// Installation tokens live an hour and cannot be prolonged; a call must not start with one that
/// ends under its feet.
const TOKEN_KEPT: Duration = Duration::from_secs(50 * 60);

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
    pub fn new(api: Url, key: AppKey) -> Result<Self, reqwest::Error> {
        // Nothing is repeated here: the outbox repeats, after looking at what is there.
        let http = reqwest::Client::builder()
            .user_agent(concat!("difftest/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self {
            http,
            api,
            key,
            tokens: Mutex::default(),
            pauses: Pauses::default(),
            slug: OnceCell::new(),
        })
    }

    pub fn app_id(&self) -> u64 {
        self.key.app_id()
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
        let token = self.key.token(SystemTime::now())?;
        let request = self.request(method, path, &[], body, &token);
        let (call, bytes) = self.send(request).await?;
        read(call, &bytes)
    }

    async fn installation_token(&self, installation: i64) -> Result<Secret, GitHubError> {
        // Held over the call on purpose: ten workers that start together ask for one token.
        let mut tokens = self.tokens.lock().await;
        if let Some(cached) = tokens.get(&installation)
            && cached.until > Instant::now()
        {
            return Ok(cached.token.clone());
        }
        let path = format!("app/installations/{installation}/access_tokens");
        let answer: TokenAnswer = self.as_app(Method::POST, &path, None).await?;
        let until = Instant::now() + TOKEN_KEPT;
        tokens.insert(installation, CachedToken { token: answer.token.clone(), until });
        Ok(answer.token)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        token: &Secret,
    ) -> reqwest::RequestBuilder {
        let base = self.api.as_str().trim_end_matches('/');
        let mut request = self
            .http
            .request(method, format!("{base}/{path}"))
            .bearer_auth(token.expose())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if !query.is_empty() {
            request = request.query(query);
        }
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(Call, Vec<u8>), GitHubError> {
        let (client, request) = request.build_split();
        let mut call = Call { what: String::new(), request_id: None };
        let request = match request {
            Ok(request) => request,
            Err(source) => return Err(GitHubError::Unreachable { call, source }),
        };
        call.what = format!("{} {}", request.method(), request.url().path());
        let response = match client.execute(request).await {
            Ok(response) => response,
            Err(source) => return Err(GitHubError::Unreachable { call, source }),
        };
        let status = response.status();
        let headers = response.headers().clone();
        call.request_id = header(&headers, "x-github-request-id");
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes.to_vec(),
            Err(source) => return Err(GitHubError::Unreachable { call, source }),
        };
        if status.is_success() {
            return Ok((call, bytes));
        }
        let message = serde_json::from_slice::<ErrorAnswer>(&bytes).unwrap_or_default().message;
        if let Some(wait) = limits::wait(status, &headers, &message, SystemTime::now()) {
            return Err(GitHubError::RateLimited { call, wait });
        }
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => GitHubError::NotFound { call },
            StatusCode::FORBIDDEN => GitHubError::Forbidden {
                call,
                message,
                needed: header(&headers, "x-accepted-github-permissions"),
            },
            status if status.is_server_error() => GitHubError::Broken {
                call,
                status: status.as_u16(),
                retry_after: limits::retry_after(&headers),
            },
            status => GitHubError::Refused { call, status: status.as_u16(), message },
        })
    }
}

fn header(headers: &reqwest::header::HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn read<T: DeserializeOwned>(call: Call, bytes: &[u8]) -> Result<T, GitHubError> {
    // 204 has no body; `()` and `Option` read null.
    let bytes = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes).map_err(|source| GitHubError::Unreadable { call, source })
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
        let token = github.installation_token(self.installation).await?;
        let request = github.request(method.clone(), &path, query, body, &token);
        let answer = match github.send(request).await {
            // The token was revoked or has ended early. Nothing was done, so any call may be
            // repeated once with a fresh one.
            Err(GitHubError::Refused { status: 401, .. }) => {
                github.forget_token(self.installation, &token).await;
                let token = github.installation_token(self.installation).await?;
                github.send(github.request(method, &path, query, body, &token)).await
            }
            answer => answer,
        };
        match &answer {
            Err(GitHubError::RateLimited { wait, .. }) => {
                github.pauses.pause(self.installation, *wait);
            }
            // A token keeps the permissions it was made with: once the missing one is granted,
            // only a fresh token has it.
            Err(GitHubError::Forbidden { .. }) => {
                github.forget_token(self.installation, &token).await;
            }
            _ => {}
        }
        let (call, bytes) = answer?;
        read(call, &bytes)
    }
}

impl GitHub {
    async fn forget_token(&self, installation: i64, token: &Secret) {
        let mut tokens = self.tokens.lock().await;
        if tokens.get(&installation).is_some_and(|cached| cached.token == *token) {
            tokens.remove(&installation);
        }
    }
}
