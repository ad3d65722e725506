//! The event streams of a job's two sides, piece by piece.

use axum::Json;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use difftest_core::protocol::{Appended, Side};
use serde::Deserialize;

use super::ApiState;
use super::auth::Leased;
use super::error::ApiError;

#[derive(Deserialize)]
pub(super) struct Place {
    side: Side,
}

#[derive(Deserialize)]
pub(super) struct At {
    offset: u64,
}

pub(super) async fn append(
    State(state): State<ApiState>,
    leased: Leased,
    Path(Place { side }): Path<Place>,
    Query(At { offset }): Query<At>,
    body: Bytes,
) -> Result<Json<Appended>, ApiError> {
    let appended =
        state.store.append_events(leased.job, &leased.lease, side, offset, &body).await?;
    Ok(Json(appended))
}
