//! An App's API with a store of its own, a runner's token, and one job to claim.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use difftest_app::api::{ApiState, GitTokenError, GitTokens, ImageKey, ImageSigner, routes};
use difftest_core::config::VerdictSettings;
use difftest_core::ids::{CommitSha, RepoName};
use difftest_core::protocol::{Claim, JobSpec, LEASE_HEADER, Secret};
use difftest_store::{NewCheck, PlanStep, Pull, PullKey, Store, Work};
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

pub const PUBLIC_URL: &str = "https://ci.example/difftest";

pub struct Door {
    pub store: Store,
    pub token: Secret,
    pub stop: CancellationToken,
    router: Router,
    _folder: TempDir,
}

/// GitHub, as far as a runner's token goes: it says for what it was asked.
struct Tokens;

impl GitTokens for Tokens {
    fn read_token<'a>(
        &'a self,
        installation: i64,
        repository: &'a RepoName,
    ) -> BoxFuture<'a, Result<Secret, GitTokenError>> {
        Box::pin(async move {
            match repository.name() {
                "gone" => Err(GitTokenError::Lasting { source: "not installed".into() }),
                "busy" => Err(GitTokenError::Passing {
                    retry_after: Duration::from_secs(7),
                    source: "rate limit".into(),
                }),
                _ => Ok(Secret::new(format!("ghs_{installation}_{repository}"))),
            }
        })
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub fn signer() -> ImageSigner {
    ImageSigner::new(ImageKey::from_bytes([7; 32]), Url::parse(PUBLIC_URL).unwrap())
}

pub async fn door() -> Door {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    let store = Store::open(&url, folder.path()).await.unwrap();
    let token = store.add_runner_token("gpu-1").await.unwrap();
    let stop = CancellationToken::new();
    let router = routes(ApiState {
        store: store.clone(),
        git_tokens: Arc::new(Tokens),
        signer: Arc::new(signer()),
        lease_ttl: Duration::from_secs(60),
        stop: stop.clone(),
    });
    Door { store, token, stop, router, _folder: folder }
}

impl Door {
    /// Queues a job for a push to `acme/{repository}`.
    pub async fn queue(&self, repository: &str, labels: &[&str]) {
        let commit = |digit: &str| digit.repeat(40).parse::<CommitSha>().unwrap();
        let repository: RepoName = format!("acme/{repository}").parse().unwrap();
        let key = PullKey { repo_id: 7, number: 12 };
        let pull = Pull {
            key,
            installation_id: 99,
            repository: repository.clone(),
            base_ref: "main".into(),
            base_sha: commit("0"),
            head_sha: commit("a"),
            fork: false,
            open: true,
            draft: false,
            updated_at: 1,
        };
        let spec = JobSpec {
            repository,
            clone_url: "https://github.test/acme/gen.git".into(),
            base: commit("0"),
            head: commit("a"),
            suite: "shapes".into(),
            timeout_s: 60,
            network: false,
            verdict: VerdictSettings::default(),
        };
        let check = NewCheck {
            effect_key: "push:1".into(),
            pull: key,
            suite: "shapes".into(),
            head: commit("a"),
            base: commit("0"),
            work: Work::Job {
                spec,
                labels: labels.iter().map(|l| (*l).to_owned()).collect(),
                verdict: VerdictSettings::default(),
            },
        };
        self.store.record_delivery("guid", "pull_request", None, "{}").await.unwrap();
        let steps = [PlanStep::UpsertPull(pull), PlanStep::StartCheck(check)];
        self.store.apply_plan("guid", &steps).await.unwrap();
    }

    /// A job, leased.
    pub async fn leased(&self) -> Claim {
        self.queue("gen", &[]).await;
        self.store.claim_job("gpu-1", &[], 60_000).await.unwrap().unwrap()
    }

    /// Takes a lease away, as the sweep does.
    pub async fn lose(&self, claim: &Claim) {
        self.store.renew(claim.job, &claim.lease_token, 0).await.unwrap();
        assert_eq!(self.store.sweep_leases().await.unwrap().requeued, 1);
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A call with the runner's token.
    pub async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// A call of a job's lease.
    pub async fn call_job(
        &self,
        claim: &Claim,
        method: Method,
        what: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/runner/jobs/{}/{what}", claim.job))
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .header(LEASE_HEADER, claim.lease_token.expose())
            .header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}

pub fn png(width: u32, height: u32) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner().into()
}
