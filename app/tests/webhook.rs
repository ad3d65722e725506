//! `POST /webhook` at its edge: who is let in, and that nothing is lost after the 2xx.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use axum::body::Body;
use axum::http::{Request, StatusCode};
use difftest_app::WebhookSecrets;
use difftest_app::webhook::{MAX_BYTES, routes};
use difftest_store::Store;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tower::ServiceExt as _;

const SECRET: &str = "the new secret";
const OLD_SECRET: &str = "the old secret";

struct Hook {
    store: Store,
    _folder: tempfile::TempDir,
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn request(body: impl Into<Vec<u8>>) -> Request<Body> {
    let body = body.into();
    Request::post("/webhook")
        .header("x-hub-signature-256", sign(SECRET, &body))
        .header("x-github-event", "ping")
        .header("x-github-delivery", "guid-1")
        .body(Body::from(body))
        .unwrap()
}

impl Hook {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("app.db").display());
        Self { store: Store::open(&url, folder.path()).await.unwrap(), _folder: folder }
    }

    async fn answer(&self, request: Request<Body>) -> StatusCode {
        let secrets = WebhookSecrets::from_lines(&format!("{SECRET}\n{OLD_SECRET}\n")).unwrap();
        routes(self.store.clone(), secrets).oneshot(request).await.unwrap().status()
    }
}

#[tokio::test]
async fn a_signed_delivery_is_stored_before_it_is_accepted() {
    let hook = Hook::new().await;
    let body = r#"{"action":"opened",  "zen":"✓"}"#;
    assert_eq!(hook.answer(request(body)).await, StatusCode::ACCEPTED);
    assert_eq!(hook.answer(request(body)).await, StatusCode::ACCEPTED, "repeated");
    let delivery = hook.store.next_delivery().await.unwrap().unwrap();
    assert_eq!((delivery.guid.as_str(), delivery.event.as_str()), ("guid-1", "ping"));
    assert_eq!(delivery.action.as_deref(), Some("opened"));
    assert_eq!(delivery.payload, body, "byte for byte");
    hook.store.ignore_delivery("guid-1", "a test").await.unwrap();
    assert!(hook.store.next_delivery().await.unwrap().is_none(), "stored once");
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_are_good() {
    let hook = Hook::new().await;
    for (secret, status) in [
        (SECRET, StatusCode::ACCEPTED),
        (OLD_SECRET, StatusCode::ACCEPTED),
        ("another", StatusCode::UNAUTHORIZED),
    ] {
        let mut signed = request("{}");
        let signature = sign(secret, b"{}").parse().unwrap();
        signed.headers_mut().insert("x-hub-signature-256", signature);
        assert_eq!(hook.answer(signed).await, status, "{secret}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_own_status_and_not_stored() {
    let hook = Hook::new().await;
    let without = |header: &str| {
        let mut request = request("{}");
        request.headers_mut().remove(header);
        request
    };
    assert_eq!(hook.answer(without("x-hub-signature-256")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(hook.answer(without("x-github-event")).await, StatusCode::BAD_REQUEST);
    assert_eq!(hook.answer(without("x-github-delivery")).await, StatusCode::BAD_REQUEST);
    assert_eq!(hook.answer(request("payload=%7B%7D")).await, StatusCode::BAD_REQUEST);
    assert_eq!(hook.answer(request([b'"', 0xff, b'"'])).await, StatusCode::BAD_REQUEST);
    assert_eq!(hook.answer(request("")).await, StatusCode::BAD_REQUEST);
    let large = request(vec![b' '; MAX_BYTES + 1]);
    assert_eq!(hook.answer(large).await, StatusCode::PAYLOAD_TOO_LARGE);
    let mut tampered = request("{}");
    *tampered.body_mut() = Body::from("[]");
    assert_eq!(hook.answer(tampered).await, StatusCode::UNAUTHORIZED);
    assert!(hook.store.next_delivery().await.unwrap().is_none());
}

#[tokio::test]
async fn the_largest_payload_github_sends_is_taken() {
    let hook = Hook::new().await;
    let mut body = vec![b' '; MAX_BYTES];
    body[..2].copy_from_slice(b"{}");
    assert_eq!(hook.answer(request(body)).await, StatusCode::ACCEPTED);
}
