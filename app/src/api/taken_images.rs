//! Images that runners bring. What they hold was made by code nobody trusts.

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use difftest_core::ids::ImageSha;
use difftest_core::protocol::MAX_IMAGE_BYTES;
use serde::Deserialize;

use super::ApiState;
use super::auth::Leased;
use super::error::ApiError;
use super::png;

#[derive(Deserialize)]
pub(super) struct Named {
    sha: String,
}

pub(super) async fn put(
    State(state): State<ApiState>,
    leased: Leased,
    Path(Named { sha }): Path<Named>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let sha = ImageSha::try_from(sha).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    // Before the body is read: whoever has no job has no memory of ours either.
    state.store.leased_pull(leased.job, &leased.lease).await?;
    let bytes = read(request, &state).await?;
    png::dimensions(&bytes).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    let new = state.store.put_image(&sha, bytes).await?;
    state.store.link_image(leased.job, &leased.lease, &sha).await?;
    Ok(if new { StatusCode::CREATED } else { StatusCode::OK })
}

/// The body, within the route's limit.
async fn read(request: Request, state: &ApiState) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { limit: MAX_IMAGE_BYTES as u64 },
        _ => ApiError::BadRequest("the body broke off".into()),
    })
}
