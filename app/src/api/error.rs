//! How a call fails: a status the protocol names, and a sentence for the runner's log.

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use difftest_core::protocol::Appended;
use difftest_store::StoreError;

use super::git_tokens::GitTokenError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("this runner token is not known; make one with `difftest app token NAME`")]
    Unauthorized,
    #[error("{0}")]
    BadRequest(String),
    #[error("there is nothing here")]
    NotFound,
    #[error("the link is not valid: {0}")]
    Forbidden(super::Refused),
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("this lease is lost; stop the job")]
    LeaseLost,
    #[error("the log has {length} bytes")]
    EventGap { length: u64 },
    #[error(transparent)]
    GitToken(#[from] GitTokenError),
    #[error("the App's store failed; try again")]
    Store(#[source] StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } => Self::LeaseLost,
            StoreError::EventGap { length } => Self::EventGap { length },
            StoreError::EventLogFull { limit } => Self::TooLarge { limit },
            StoreError::WrongHash { .. } => Self::BadRequest(error.to_string()),
            error => Self::Store(error),
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LeaseLost | Self::EventGap { .. } => StatusCode::CONFLICT,
            Self::GitToken(GitTokenError::Passing { .. }) | Self::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // A 5xx would be repeated for ever.
            Self::GitToken(GitTokenError::Lasting { .. }) => StatusCode::FAILED_DEPENDENCY,
        }
    }

    /// What the status asks for beside the sentence.
    fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer".into())),
            Self::GitToken(GitTokenError::Passing { retry_after, .. }) => {
                Some((header::RETRY_AFTER, retry_after.as_secs().max(1).to_string()))
            }
            Self::Store(_) => Some((header::RETRY_AFTER, "2".into())),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match &self {
            Self::Store(source) => tracing::error!(error = %source, "the store failed"),
            Self::GitToken(error) => tracing::warn!(%error, "no token for a runner"),
            _ => {}
        }
        let status = self.status();
        let mut response = match &self {
            Self::EventGap { length } => {
                (status, Json(Appended { length: *length })).into_response()
            }
            other => {
                let said = serde_json::json!({ "message": other.to_string() });
                (status, Json(said)).into_response()
            }
        };
        if let Some((name, value)) = self.header()
            && let Ok(value) = value.parse()
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
