//! Who calls, and by what right.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use difftest_core::protocol::{JobId, LEASE_HEADER, Secret};
use difftest_store::RunnerIdentity;

use super::ApiState;
use super::error::ApiError;

/// A runner whose token is known.
pub(super) struct Runner(pub RunnerIdentity);

impl FromRequestParts<ApiState> for Runner {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| Secret::new(token.trim()))
            .ok_or(ApiError::Unauthorized)?;
        let identity = state.store.check_runner_token(&token).await?;
        identity.map(Self).ok_or(ApiError::Unauthorized)
    }
}

/// A job and the lease by which a runner speaks of it. Whether the lease still holds is for the
/// store to say, in the transaction that acts on it.
pub(super) struct Leased {
    pub runner: RunnerIdentity,
    pub job: JobId,
    pub lease: Secret,
}

impl FromRequestParts<ApiState> for Leased {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Runner(runner) = Runner::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::NotFound)?;
        let job = params
            .iter()
            .find(|(name, _)| *name == "job")
            .and_then(|(_, id)| id.parse().ok())
            .map(JobId)
            .ok_or(ApiError::NotFound)?;
        let lease = parts
            .headers
            .get(LEASE_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(Secret::new)
            .ok_or_else(|| {
                ApiError::BadRequest(format!("name the job's lease in the header {LEASE_HEADER}"))
            })?;
        Ok(Self { runner, job, lease })
    }
}
