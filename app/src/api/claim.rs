//! A runner asks for a job and is kept waiting until there is one.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use difftest_core::protocol::ClaimRequest;
use tokio::time::Instant;

use super::ApiState;
use super::auth::Runner;
use super::error::ApiError;

/// The longest a call is held open: proxies close idle ones at a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Another process may have queued a job, or a job's pause may be over: no hint tells of those.
const POLL: Duration = Duration::from_secs(1);
const MAX_LABELS: usize = 64;
const MAX_LABEL_BYTES: usize = 200;

pub(super) async fn claim(
    State(state): State<ApiState>,
    Runner(runner): Runner,
    Json(request): Json<ClaimRequest>,
) -> Result<Response, ApiError> {
    let labels_fit = request.labels.len() <= MAX_LABELS
        && request.labels.iter().all(|label| label.len() <= MAX_LABEL_BYTES);
    if !labels_fit {
        return Err(ApiError::BadRequest(format!(
            "a runner has at most {MAX_LABELS} labels of at most {MAX_LABEL_BYTES} bytes"
        )));
    }
    let deadline = Instant::now() + Duration::from_millis(request.wait_ms).min(LONGEST_WAIT);
    loop {
        // Asked for before looking, so that a job which comes in between is not slept through.
        let hint = state.store.hints().job();
        if !runner.draining {
            let claim =
                state.store.claim_job(&runner.name, &request.labels, state.lease_ttl_ms()).await?;
            if let Some(claim) = claim {
                tracing::info!(
                    job = %claim.job, attempt = claim.attempt, runner = runner.name,
                    "a job was claimed"
                );
                return Ok(Json(claim).into_response());
            }
        }
        if Instant::now() >= deadline || state.stop.is_cancelled() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        tokio::select! {
            () = hint => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + POLL)) => {}
            () = state.stop.cancelled() => {}
        }
    }
}
