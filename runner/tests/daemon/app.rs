//! An App that has one job, keeps what it is sent, and can be told to misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use difftest_core::event::{Event, read_stream};
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{
    Appended, Claim, ClaimRequest, Completion, GitToken, JobId, JobSpec, LEASE_HEADER, Renewal,
    Secret,
};

use crate::git;

pub const RUNNER_TOKEN: &str = "runner-token-5c1d";
pub const LEASE_TOKEN: &str = "lease-token-77aa";
pub const GIT_TOKEN: &str = "git-token-e0b2";
pub const LEASE_TTL_MS: u64 = 2_000;

#[derive(Debug, Default)]
pub struct Story {
    job: Option<JobSpec>,
    pub renewals: u32,
    pub events: BTreeMap<String, Vec<u8>>,
    pub images: BTreeSet<ImageSha>,
    pub image_puts: u32,
    pub completions: Vec<Completion>,
    /// Calls that named another lease or token than they should.
    pub strangers: u32,
    pub late_writes: u32,
    pub git_tokens: u32,
    // What it is told to do.
    pub lease_lost: bool,
    pub silent: bool,
    pub cancel: bool,
    pub drain: bool,
    /// So many event calls are taken, and answered as if they were not.
    pub lose_answers: u32,
    pub refuse_calls: u32,
}

#[derive(Debug, Clone)]
pub struct App {
    story: Arc<Mutex<Story>>,
    pub port: u16,
}

impl App {
    pub async fn start(repository: &git::Repository) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self { story: Arc::default(), port: listener.local_addr().unwrap().port() };
        let job = "/api/v1/runner/jobs/{job}";
        let router = Router::new()
            .route("/api/v1/runner/claim", post(claim))
            .route(&format!("{job}/renew"), post(renew))
            .route(&format!("{job}/git-token"), post(git_token))
            .route(&format!("{job}/events/{{side}}"), post(events))
            .route(&format!("{job}/images/{{sha}}"), put(image))
            .route(&format!("{job}/complete"), post(complete))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(app.clone())
            .merge(git::serve(repository, GIT_TOKEN));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        app
    }

    pub fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn offer(&self, job: JobSpec) {
        self.story().job = Some(job);
    }

    pub fn log(&self, side: &str) -> Vec<Event> {
        read_stream(self.story().events.get(side).map_or(&[], Vec::as_slice)).unwrap()
    }

    /// All that the runner or the job logged on a side.
    pub fn said(&self, side: &str) -> Vec<String> {
        let messages = self.log(side).into_iter().filter_map(|event| match event {
            Event::Log { message, .. } => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// Waits until the story is as expected.
    pub async fn until(&self, what: &str, holds: impl Fn(&Story) -> bool) {
        for _ in 0..600 {
            if holds(&self.story()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {what}; {:?}", self.story());
    }

    /// Refuses who has not both tokens, or whose lease is gone.
    fn fence(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let mut story = self.story();
        let held = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        if held("authorization") != format!("Bearer {RUNNER_TOKEN}")
            || held(LEASE_HEADER) != LEASE_TOKEN
        {
            story.strangers += 1;
            return Err(StatusCode::UNAUTHORIZED);
        }
        if story.lease_lost {
            return Err(StatusCode::CONFLICT);
        }
        if story.refuse_calls > 0 {
            story.refuse_calls -= 1;
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        Ok(())
    }
}

async fn claim(
    State(app): State<App>,
    headers: HeaderMap,
    axum::Json(request): axum::Json<ClaimRequest>,
) -> Response {
    if headers.get("authorization").unwrap() != &format!("Bearer {RUNNER_TOKEN}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(request.labels, ["cpu"]);
    let job = app.story().job.take();
    let Some(spec) = job else {
        tokio::time::sleep(Duration::from_millis(200)).await;
        return StatusCode::NO_CONTENT.into_response();
    };
    axum::Json(Claim {
        job: JobId(7),
        attempt: 1,
        lease_token: Secret::new(LEASE_TOKEN),
        lease_ttl_ms: LEASE_TTL_MS,
        spec,
    })
    .into_response()
}

async fn renew(State(app): State<App>, headers: HeaderMap) -> Response {
    if app.story().silent {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    if let Err(refused) = app.fence(&headers) {
        return refused.into_response();
    }
    let mut story = app.story();
    story.renewals += 1;
    axum::Json(Renewal { cancel: story.cancel, drain: story.drain }).into_response()
}

async fn git_token(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Err(refused) = app.fence(&headers) {
        return refused.into_response();
    }
    app.story().git_tokens += 1;
    axum::Json(GitToken { token: Secret::new(GIT_TOKEN) }).into_response()
}

#[derive(serde::Deserialize)]
struct Offset {
    offset: u64,
}

async fn events(
    State(app): State<App>,
    Path((_, side)): Path<(i64, String)>,
    Query(Offset { offset }): Query<Offset>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refused) = app.fence(&headers) {
        app.story().late_writes += 1;
        return refused.into_response();
    }
    let mut story = app.story();
    let log = story.events.entry(side).or_default();
    let length = log.len() as u64;
    if offset > length {
        return (StatusCode::CONFLICT, axum::Json(Appended { length })).into_response();
    }
    let known = usize::try_from(length - offset).unwrap().min(body.len());
    log.extend_from_slice(&body[known..]);
    let length = log.len() as u64;
    if story.lose_answers > 0 {
        story.lose_answers -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    axum::Json(Appended { length }).into_response()
}

async fn image(
    State(app): State<App>,
    Path((_, sha)): Path<(i64, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refused) = app.fence(&headers) {
        return refused.into_response();
    }
    assert_eq!(ImageSha::of(&body).as_str(), sha, "the runner sent other bytes than it named");
    let mut story = app.story();
    story.image_puts += 1;
    let new = story.images.insert(ImageSha::of(&body));
    if new { StatusCode::CREATED } else { StatusCode::OK }.into_response()
}

async fn complete(
    State(app): State<App>,
    headers: HeaderMap,
    axum::Json(completion): axum::Json<Completion>,
) -> Response {
    if let Err(refused) = app.fence(&headers) {
        return refused.into_response();
    }
    app.story().completions.push(completion);
    StatusCode::NO_CONTENT.into_response()
}
