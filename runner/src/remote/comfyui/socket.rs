//! A WebSocket over the same guarded transport as everything else (RFC 6455, 4.1).

use reqwest::header::{CONNECTION, HeaderValue, UPGRADE};
use reqwest::{StatusCode, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use crate::remote::address::shown;
use crate::remote::fault::CallError;
use crate::remote::transport::{Ask, Patience, Transport, innermost};

pub type Socket = WebSocketStream<Upgraded>;

/// Previews come as messages, too; larger ones end the connection, and HTTP takes over.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

pub async fn connect(transport: &Transport, url: Url) -> Result<Socket, CallError> {
    let key = generate_key();
    let mut ask = Ask { patience: Patience::Image, ..Ask::get(url) };
    ask.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    ask.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    ask.headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    let malformed = |cause: String| CallError::Malformed { url: shown(&ask.url), cause };
    let header = HeaderValue::from_str(&key).map_err(|e| malformed(e.to_string()))?;
    ask.headers.insert("sec-websocket-key", header);
    let late = CallError::Lost { url: shown(&ask.url), cause: "no answer in time".into() };
    let response = tokio::time::timeout(transport.pace.greeting, transport.send(&ask))
        .await
        .map_err(|_| late)??;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(malformed(format!("{} instead of a WebSocket", response.status())));
    }
    let accepted = response.headers().get("sec-websocket-accept").and_then(|v| v.to_str().ok());
    if accepted != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(malformed("its handshake is not of a WebSocket".into()));
    }
    let upgraded = response.upgrade().await.map_err(|e| malformed(innermost(&e)))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}
