//! `POST /webhook`: verified over the raw bytes, stored, answered. The work happens afterwards:
//! GitHub gives a webhook ten seconds and does not repeat it.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use difftest_store::Store;
use futures::StreamExt as _;
use serde_json::Value;

use crate::signature::WebhookSecrets;

/// GitHub sends at most 25 MB.
pub const MAX_BYTES: usize = 25 << 20;

/// A delivery that GitHub signed. It cannot be had otherwise.
#[derive(Debug)]
pub struct Verified {
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    /// The body as it came. It is JSON.
    pub payload: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the payload is larger than the 25 MB GitHub sends")]
    TooLarge,
    #[error("X-Hub-Signature-256 is missing or was not made with this App's webhook secret")]
    BadSignature,
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    #[error("the payload is not JSON; set the webhook's content type to application/json")]
    NotJson,
    #[error("the connection ended before the payload did")]
    CutOff,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::MissingHeader(_) | Self::NotJson | Self::CutOff => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

impl<S> FromRequest<S> for Verified
where
    S: Send + Sync,
    WebhookSecrets: FromRef<S>,
{
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = limited(&parts.headers, body).await?;
        // Nothing of the body is looked at before its signature holds.
        let signature = text(&parts.headers, "x-hub-signature-256").unwrap_or_default();
        if !WebhookSecrets::from_ref(state).signed(signature, &bytes) {
            return Err(Refused::BadSignature);
        }
        let named = |name| text(&parts.headers, name).ok_or(Refused::MissingHeader(name));
        let event = named("x-github-event")?.to_owned();
        let guid = named("x-github-delivery")?.to_owned();
        let payload = String::from_utf8(bytes.into()).map_err(|_| Refused::NotJson)?;
        // Only the action is read here; the planner reads the rest.
        let envelope: Value = serde_json::from_str(&payload).map_err(|_| Refused::NotJson)?;
        let action = envelope.get("action").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { guid, event, action, payload })
    }
}

async fn limited(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    let announced = text(headers, header::CONTENT_LENGTH.as_str()).and_then(|n| n.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(Refused::TooLarge);
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refused::CutOff)?;
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(Refused::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

#[derive(Debug, Clone)]
struct HookState {
    store: Store,
    secrets: WebhookSecrets,
}

impl FromRef<HookState> for WebhookSecrets {
    fn from_ref(state: &HookState) -> Self {
        state.secrets.clone()
    }
}

/// `POST /webhook`.
pub fn routes(store: Store, secrets: WebhookSecrets) -> Router {
    Router::new().route("/webhook", post(receive)).with_state(HookState { store, secrets })
}

/// Stores the delivery and answers 202, whatever the event is. The same GUID twice is one delivery.
async fn receive(State(hook): State<HookState>, delivery: Verified) -> Response {
    let Verified { guid, event, action, payload } = delivery;
    match hook.store.record_delivery(&guid, &event, action.as_deref(), &payload).await {
        Ok(new) => {
            tracing::info!(guid, event, action, new, "delivery");
            (StatusCode::ACCEPTED, "accepted").into_response()
        }
        // GitHub keeps a delivery that failed, and a person can ask for it again.
        Err(error) => {
            tracing::error!(guid, event, %error, "a delivery could not be stored");
            (StatusCode::SERVICE_UNAVAILABLE, "the delivery could not be stored").into_response()
        }
    }
}
