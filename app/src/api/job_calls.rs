//! What a runner says of a job it holds: that it still works, that it needs to read the
//! repository, how the job ended.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use difftest_core::protocol::{Completion, GitToken, Renewal};

use super::ApiState;
use super::auth::Leased;
use super::error::ApiError;

pub(super) async fn renew(
    State(state): State<ApiState>,
    leased: Leased,
) -> Result<Json<Renewal>, ApiError> {
    let renewal = state.store.renew(leased.job, &leased.lease, state.lease_ttl_ms()).await?;
    Ok(Json(Renewal { drain: leased.runner.draining, ..renewal }))
}

pub(super) async fn git_token(
    State(state): State<ApiState>,
    leased: Leased,
) -> Result<Json<GitToken>, ApiError> {
    let pull = state.store.leased_pull(leased.job, &leased.lease).await?;
    let token = state.git_tokens.read_token(pull.installation_id, &pull.repository).await?;
    Ok(Json(GitToken { token }))
}

pub(super) async fn complete(
    State(state): State<ApiState>,
    leased: Leased,
    Json(completion): Json<Completion>,
) -> Result<StatusCode, ApiError> {
    state.store.complete_job(leased.job, &leased.lease, &completion).await?;
    tracing::info!(job = %leased.job, runner = leased.runner.name, ?completion, "a job was completed");
    Ok(StatusCode::NO_CONTENT)
}
