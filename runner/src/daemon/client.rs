//! The runner's side of [`difftest_core::protocol`].

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{
    Appended, Claim, ClaimRequest, Completion, GitToken, JobId, LEASE_HEADER, Renewal, Secret, Side,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tracing::debug;
use url::{Host, Url};

use super::backoff;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the lease is lost")]
    LeaseLost,
    #[error(
        "the App refused the runner's token ({0}): make a new one with `difftest app token NAME`"
    )]
    Unauthorized(StatusCode),
    #[error("the App refused the call: {status} {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the App is not available: {status}")]
    Unavailable { status: StatusCode, retry_after: Option<Duration> },
    #[error("the App cannot be reached: {0}")]
    Network(String),
    #[error("the App's answer is not understood: {0}")]
    Malformed(String),
}

impl CallError {
    /// Whether the same call may go better later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Network(_))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        // The innermost cause says what happened; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        if error.is_decode() {
            Self::Malformed(cause.to_string())
        } else {
            Self::Network(cause.to_string())
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("--url {0} is not an address of an App: use https://HOST or http://HOST:PORT")]
    Url(Url),
    #[error("the runner token has characters that no token has: is it the right file?")]
    Token,
    #[error("the HTTP client could not be made: {0}")]
    Build(#[from] reqwest::Error),
}

/// Calls that belong to no job.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
}

impl Client {
    pub fn new(url: &Url, token: &Secret) -> Result<Self, ClientError> {
        // Another part of the process may have installed it; the first wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if !matches!(url.scheme(), "http" | "https")
            || url.host().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(ClientError::Url(url.clone()));
        }
        let mut base = url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", url.path()));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ClientError::Token)?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .user_agent(concat!("difftest-runner/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            // A token must not follow an answer to another address.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, base, authorization })
    }

    /// Asks for a job; `None` when the App has none. Not repeated here: a claim whose answer was
    /// lost holds a job that its lease will give back.
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Option<Claim>, CallError> {
        let response = checked(
            self.call(Method::POST, "api/v1/runner/claim")?
                .timeout(Duration::from_millis(request.wait_ms) + Duration::from_secs(15))
                .json(request)
                .send()
                .await?,
        )
        .await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            _ => Ok(Some(decoded(response).await?)),
        }
    }

    /// The calls of one leased job.
    pub fn job(&self, job: JobId, lease: &Secret) -> Result<JobClient, CallError> {
        let mut header = HeaderValue::from_str(lease.expose())
            .map_err(|_| CallError::Malformed("the lease token is not a header".into()))?;
        header.set_sensitive(true);
        Ok(JobClient { client: self.clone(), job, lease: header })
    }

    fn call(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        let url = self.base.join(path).map_err(|e| CallError::Malformed(e.to_string()))?;
        Ok(self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone()))
    }
}

/// Calls that the lease fences.
#[derive(Debug, Clone)]
pub struct JobClient {
    client: Client,
    job: JobId,
    lease: HeaderValue,
}

impl JobClient {
    /// One try: the lease decides when the next one is due.
    pub async fn renew(&self, timeout: Duration) -> Result<Renewal, CallError> {
        let request = self.call(Method::POST, "renew")?.timeout(timeout);
        decoded(checked(request.send().await?).await?).await
    }

    pub async fn git_token(&self) -> Result<GitToken, CallError> {
        self.repeated("git-token", || async {
            let request = self.call(Method::POST, "git-token")?.timeout(Duration::from_secs(60));
            decoded(checked(request.send().await?).await?).await
        })
        .await
    }

    /// Appends to a side's log. Also where `offset` is beyond what the App has, the answer is how
    /// far it has the log: the caller goes on from there.
    pub async fn append(
        &self,
        side: Side,
        offset: u64,
        lines: Bytes,
    ) -> Result<Appended, CallError> {
        self.repeated("events", || async {
            let response = self
                .call(Method::POST, &format!("events/{}?offset={offset}", side.as_str()))?
                .header(CONTENT_TYPE, "application/x-ndjson")
                .timeout(Duration::from_secs(60))
                .body(lines.clone())
                .send()
                .await?;
            if response.status() == StatusCode::CONFLICT {
                // A gap and a lost lease have the same status: only a gap has a length.
                return decoded(response).await.map_err(|_| CallError::LeaseLost);
            }
            decoded(checked(response).await?).await
        })
        .await
    }

    pub async fn put_image(&self, sha: &ImageSha, png: Bytes) -> Result<(), CallError> {
        self.repeated("images", || async {
            let request = self
                .call(Method::PUT, &format!("images/{sha}"))?
                .header(CONTENT_TYPE, "image/png")
                .timeout(Duration::from_secs(300))
                .body(png.clone());
            checked(request.send().await?).await.map(drop)
        })
        .await
    }

    pub async fn complete(&self, completion: &Completion) -> Result<(), CallError> {
        self.repeated("complete", || async {
            let request = self
                .call(Method::POST, "complete")?
                .timeout(Duration::from_secs(60))
                .json(completion);
            checked(request.send().await?).await.map(drop)
        })
        .await
    }

    fn call(&self, method: Method, what: &str) -> Result<RequestBuilder, CallError> {
        let path = format!("api/v1/runner/jobs/{}/{what}", self.job);
        Ok(self.client.call(method, &path)?.header(LEASE_HEADER, self.lease.clone()))
    }

    /// Repeats an idempotent call for as long as it may go better. It has no limit of its own: the
    /// caller drops it when the lease is lost.
    async fn repeated<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(error) if error.is_transient() => {
                    attempt += 1;
                    let pause = backoff::drawn_pause(attempt, error.retry_after());
                    debug!(job = %self.job, what, attempt, ?pause, %error, "repeating a call");
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
    }
}

/// Whether an address is this machine's own, by its text alone.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Sorts an answer's status.
async fn checked(response: Response) -> Result<Response, CallError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    match status {
        StatusCode::CONFLICT => Err(CallError::LeaseLost),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Unauthorized(status)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(CallError::Unavailable { status, retry_after: retry_after(&response) })
        }
        _ if status.is_server_error() => {
            Err(CallError::Unavailable { status, retry_after: retry_after(&response) })
        }
        _ => {
            let message = response.text().await.unwrap_or_default().chars().take(300).collect();
            Err(CallError::Refused { status, message })
        }
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn decoded<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    response.json().await.map_err(|error| {
        if error.is_timeout() || error.is_body() {
            CallError::Network(error.without_url().to_string())
        } else {
            CallError::Malformed(error.without_url().to_string())
        }
    })
}
