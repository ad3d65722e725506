//! The door for runners, as [`difftest_core::protocol`] describes it, and the door for the
//! browsers that look at images.
//!
//! Every call of a runner shows its token, every call of a job its lease as well. The lease is
//! compared in the same transaction that changes the job, so a runner that lost it, or that was
//! never given it, changes nothing.

mod auth;
mod claim;
mod error;
mod events;
mod git_tokens;
mod image_key;
mod image_signer;
mod job_calls;
mod png;
mod served_images;
mod taken_images;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use difftest_core::protocol::MAX_IMAGE_BYTES;
use difftest_store::Store;
use tokio_util::sync::CancellationToken;

pub use git_tokens::{GitTokenError, GitTokens};
pub use image_key::{ImageKey, ImageKeyError};
pub use image_signer::{ImageSigner, Refused};

/// What the calls need.
#[derive(Clone)]
pub struct ApiState {
    pub store: Store,
    pub git_tokens: Arc<dyn GitTokens>,
    pub signer: Arc<ImageSigner>,
    /// How long a job is a runner's without a renewal.
    pub lease_ttl: Duration,
    /// Ends the calls that are held open.
    pub stop: CancellationToken,
}

impl ApiState {
    fn lease_ttl_ms(&self) -> u64 {
        u64::try_from(self.lease_ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The largest JSON body.
const MAX_JSON_BYTES: usize = 64 << 10;
/// The largest piece of an event log in one call. A line may have 16 MiB.
const MAX_PIECE_BYTES: usize = 32 << 20;

/// Every address of this room.
pub fn routes(state: ApiState) -> Router {
    let job = Router::new()
        .route("/renew", post(job_calls::renew))
        .route("/git-token", post(job_calls::git_token))
        .route("/complete", post(job_calls::complete))
        .route("/events/{side}", post(events::append).layer(DefaultBodyLimit::max(MAX_PIECE_BYTES)))
        .route(
            "/images/{sha}",
            put(taken_images::put).layer(DefaultBodyLimit::max(MAX_IMAGE_BYTES)),
        );
    Router::new()
        .route("/api/v1/runner/claim", post(claim::claim))
        .nest("/api/v1/runner/jobs/{job}", job)
        .route("/images/{name}", get(served_images::get))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .with_state(state)
}
