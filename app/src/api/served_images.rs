//! Images for GitHub's image proxy and for browsers, under links that [`super::ImageSigner`] made.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use difftest_core::ids::ImageSha;
use serde::Deserialize;

use super::error::ApiError;
use super::{ApiState, Refused};

/// A year: what HTTP caches take for ever. The bytes under a name never change.
const LONGEST_CACHE_S: u64 = 365 * 24 * 3600;

#[derive(Deserialize)]
pub(super) struct Link {
    exp: Option<String>,
    sig: Option<String>,
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(link): Query<Link>,
) -> Result<Response, ApiError> {
    let sha = name
        .strip_suffix(".png")
        .and_then(|sha| sha.parse::<ImageSha>().ok())
        .ok_or(ApiError::NotFound)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let expires = link.exp.and_then(|e| e.parse().ok());
    // Whether an image is there is told only to those who may see it.
    let (Some(expires), Some(signature)) = (expires, link.sig) else {
        return Err(ApiError::Forbidden(Refused::Forged));
    };
    state.signer.verify(&sha, expires, &signature, now).map_err(ApiError::Forbidden)?;
    let bytes = state.store.get_image(&sha).await?.ok_or(ApiError::NotFound)?;
    let fresh_for = (expires - now).min(LONGEST_CACHE_S);
    Ok((
        [
            (header::CONTENT_TYPE, "image/png".to_owned()),
            // It was made by code nobody trusts: it is a picture to every browser, or nothing.
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
            (header::CACHE_CONTROL, format!("public, max-age={fresh_for}, immutable")),
        ],
        bytes,
    )
        .into_response())
}
