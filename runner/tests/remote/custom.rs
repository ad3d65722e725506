//! A back end by template: what is sent, and every form in which the image may come.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::stand_in::{Client, Fault, Ledger, open, pixels, png, recipe, serve, status};

/// `/generate` gives what it was told to; `/files/1.png` is an image.
#[derive(Clone, Default)]
pub struct Own {
    pub ledger: Ledger,
    pub url: String,
    answer: Arc<Mutex<Value>>,
}

pub const GENERATE: &str = "POST /generate";
pub const FILE: &str = "GET /files";

impl Own {
    pub async fn start() -> Self {
        let mut own = Self::default();
        let routes = Router::new()
            .route(
                "/generate",
                any(async |State(own): State<Own>| -> Response {
                    let answer = own.answer.lock().unwrap().clone();
                    if answer.is_null() {
                        return ([("content-type", "image/png")], png(64, 64, 1)).into_response();
                    }
                    Json(answer).into_response()
                }),
            )
            .route("/files/1.png", get(async || ([("content-type", "image/png")], png(64, 64, 1))))
            .with_state(own.clone());
        own.url = serve(routes, &own.ledger).await;
        own
    }

    pub fn answers(&self, answer: Value) -> &Self {
        *self.answer.lock().unwrap() = answer;
        self
    }

    /// Answers with a link to this server's image.
    pub fn answers_link(&self) -> &Self {
        self.answers(
            json!({"data": [{"url": format!("{}/files/1.png", self.url)}], "usage": {"usd": 0.07}}),
        )
    }

    pub fn request(&self, options: Value) -> Value {
        let mut all = json!({"provider": "custom", "endpoint": format!("{}/generate", self.url),
            "request": {"prompt": "{prompt}", "seed": "{seed}"}});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        json!({"generator": "api", "options": all, "image_timeout_s": 5.0})
    }

    pub async fn client(&self, options: Value) -> Client {
        open(self.request(options)).await.unwrap()
    }
}

#[tokio::test]
async fn the_template_is_filled_and_headers_are_sent() {
    let own = Own::start().await;
    let mut request = own.request(json!({
        "request": {"input": {"text": "{prompt}", "seed": "{seed}", "size": "{width}x{height}"}, "n": 1},
        "headers": {"X-Token": "Token {api_key}", "X-Version": "1"}, "api_key": "k3y-of-the-team",
    }));
    request["recipe"] = json!({"width": 64, "height": 64});
    let client = open(request).await.unwrap();
    let mut one = recipe(7);
    (one.settings.width, one.settings.height) = (Some(64), Some(64));
    let made = client.images(vec![one]).await.remove(0).result.unwrap();
    assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)), "the body itself is the image");
    let sent = own.ledger.seen(GENERATE).remove(0);
    assert_eq!(
        sent.body,
        json!({"input": {"text": "a cat, 7", "seed": 7, "size": "64x64"}, "n": 1})
    );
    assert_eq!(sent.headers["x-token"], "Token k3y-of-the-team");
    assert_eq!(sent.headers["x-version"], "1");
    let everything = format!("{:?} {:?}", client.remote, client.remote.described());
    assert!(!everything.contains("k3y-of-the-team"), "{everything}");
}

#[tokio::test]
async fn the_image_is_a_link_base64_or_a_data_uri() {
    let base64 = BASE64.encode(png(64, 64, 1));
    for (answer, path) in [
        (json!({"images": [base64]}), "images[0]"),
        (
            json!({"images": {"0": {"b64": format!("data:image/png;base64,{base64}")}}}),
            "images.0.b64",
        ),
    ] {
        let own = Own::start().await;
        own.answers(answer);
        let made = own.client(json!({"response": path})).await.image(1).await.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)), "{path}");
    }
    let own = Own::start().await;
    own.answers_link();
    let client = own.client(json!({"response": "data[0].url", "cost": "usage.usd"})).await;
    let made = client.image(1).await.result.unwrap();
    assert_eq!((made.picture.pixels, made.cost_usd), (pixels(&png(64, 64, 1)), Some(0.07)));
}

#[tokio::test]
async fn an_answer_of_another_form_says_what_it_has() {
    let own = Own::start().await;
    own.answers(json!({"output": [{"href": "x"}], "id": 1}));
    let failure = own.client(json!({"response": "data[0].url"})).await.failure(1).await;
    assert_eq!(failure, "the answer has nothing at `data[0].url`: the answer has id, output");
    let failure = own.client(json!({"response": "output[0]"})).await.failure(1).await;
    assert!(failure.contains("but it has href; a link or base64 was expected"), "{failure}");
    let failure = own.client(json!({})).await.failure(1).await;
    assert!(failure.contains("application/json instead of an image"), "{failure}");
}

#[tokio::test]
async fn get_puts_the_fields_into_the_query_and_is_free_to_repeat() {
    let own = Own::start().await;
    own.ledger.fault("GET /generate", status(500));
    let item = own.client(json!({"method": "get"})).await.image(7).await;
    assert!(item.result.is_ok());
    assert_eq!(item.retries, 1);
    assert_eq!(own.ledger.seen("GET /generate")[1].query, "prompt=a+cat%2C+7&seed=7");
    let keyed = json!({"method": "get", "endpoint": format!("{}/generate?token=s3cret", own.url)});
    let client = own.client(keyed).await;
    assert!(client.image(7).await.result.is_ok());
    assert_eq!(own.ledger.seen("GET /generate")[2].query, "token=s3cret&prompt=a+cat%2C+7&seed=7");
    let everything = format!("{:?} {:?}", client.remote, client.remote.described());
    assert!(!everything.contains("s3cret"), "{everything}");
}

#[tokio::test]
async fn a_post_is_repeated_only_where_that_is_free() {
    for (free, count) in [(false, 1), (true, 2)] {
        let own = Own::start().await;
        own.ledger.fault(GENERATE, Fault::LoseAnswer);
        let item = own.client(json!({"free_to_repeat": free})).await.image(1).await;
        assert_eq!((item.result.is_ok(), own.ledger.count(GENERATE)), (free, count));
    }
}

#[tokio::test]
async fn without_a_seed_it_says_so() {
    let own = Own::start().await;
    let client = own.client(json!({"request": {"prompt": "{prompt}"}})).await;
    assert_eq!(client.remote.described()["seeds"], "unseeded");
    let seeded = own.client(json!({})).await;
    assert_eq!(seeded.remote.described()["seeds"], "seeded");
    assert_ne!(client.remote.fingerprint(), seeded.remote.fingerprint());
}

#[tokio::test]
async fn headers_are_no_part_of_the_fingerprint_and_a_mistake_is_named() {
    let own = Own::start().await;
    let with =
        own.client(json!({"headers": {"X-Token": "a-secret-value"}})).await.remote.fingerprint();
    assert_eq!(with, own.client(json!({})).await.remote.fingerprint());
    let message =
        async |options: Value| open(own.request(options)).await.err().unwrap().to_string();
    let said = message(json!({"request": {"prompt": "{promt}"}})).await;
    assert!(said.contains("did you mean {prompt}?"), "{said}");
    let said = message(json!({"response": "a..b"})).await;
    assert!(said.contains("`response`") && said.contains("a key is empty"), "{said}");
    let said = message(json!({"method": "DELETE"})).await;
    assert!(said.contains("GET, POST, PUT"), "{said}");
    let said = message(json!({"headers": {"X": "{api_key}"}})).await;
    assert!(said.contains("DIFFTEST_API_KEY"), "{said}");
    let said = message(json!({"api_key": "k"})).await;
    assert!(said.contains("Bearer {api_key}"), "{said}");
    let said = message(json!({"endpoint": null})).await;
    assert!(said.contains("needs `endpoint`"), "{said}");
    let said = message(json!({"request": "missing.json"})).await;
    assert!(said.contains("missing.json cannot be read"), "{said}");
    let said = message(json!({"reqest": {}})).await;
    assert!(said.ends_with("did you mean `request`?"), "{said}");
}
