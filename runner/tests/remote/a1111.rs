//! A1111: its documented protocol, and what every back end has in common.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use difftest_runner::remote::Pace;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::stand_in::{
    Client, Fault, Ledger, eventually, open, page, pixels, png, recipe, serve, status,
};

#[derive(Clone, Default)]
pub struct WebUi {
    pub ledger: Ledger,
    /// The task that runs and is held there.
    running: Arc<Mutex<Option<String>>>,
    holds: Arc<Mutex<bool>>,
    pub url: String,
}

pub const TXT2IMG: &str = "POST /sdapi/v1/txt2img";

impl WebUi {
    pub async fn start() -> Self {
        let mut ui = Self::default();
        let routes = Router::new()
            .route(
                "/sdapi/v1/options",
                get(|| async {
                    Json(json!({"sd_model_checkpoint": "base.safetensors [31e35c80fc]",
                    "sd_checkpoint_hash": "31e35c80fc", "sd_vae": "Automatic"}))
                }),
            )
            .route("/sdapi/v1/schedulers", get(|| async { Json(json!([{"name": "karras"}])) }))
            .route("/sdapi/v1/txt2img", post(txt2img))
            .route("/sdapi/v1/progress", get(progress))
            .route("/sdapi/v1/interrupt", post(|| async { Json(json!({})) }))
            .with_state(ui.clone());
        ui.url = serve(routes, &ui.ledger).await;
        ui
    }

    pub async fn client(&self) -> Client {
        self.client_with(json!({}), json!({})).await
    }

    pub async fn client_with(&self, mut options: Value, mut request: Value) -> Client {
        options["url"] = json!(self.url);
        request["generator"] = json!("a1111");
        request["options"] = options;
        open(request).await.unwrap()
    }
}

async fn txt2img(State(ui): State<WebUi>, Json(body): Json<Value>) -> Json<Value> {
    let is_held = *ui.holds.lock().unwrap();
    if is_held {
        *ui.running.lock().unwrap() = body["force_task_id"].as_str().map(str::to_owned);
        std::future::pending::<()>().await;
    }
    let answer = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let side = |name: &str| body[name].as_u64().unwrap_or(64) as u32;
        let image = png(side("width"), side("height"), body["seed"].as_i64().unwrap());
        let info = json!({"seed": body["seed"], "infotexts": ["a cat\nSteps: 20, Seed: 7"]});
        Json(
            json!({"images": [BASE64.encode(image)], "parameters": body, "info": info.to_string()}),
        )
    };
    ui.ledger.counted(answer).await
}

async fn progress(State(ui): State<WebUi>) -> Json<Value> {
    Json(json!({"progress": 0.5, "current_task": *ui.running.lock().unwrap()}))
}

#[tokio::test]
async fn images_come_in_order_with_what_the_server_says_of_them() {
    let ui = WebUi::start().await;
    let client = ui.client_with(json!({"price_per_image": 0.01}), json!({"jobs": 4})).await;
    let items = client.images((0..9).map(recipe).collect()).await;
    for (seed, item) in items.into_iter().enumerate() {
        let made = item.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, seed as i64)), "seed {seed}");
        assert_eq!(made.picture.text["parameters"], "a cat\nSteps: 20, Seed: 7");
        assert!(made.picture.text["info"].contains("infotexts"));
        assert_eq!((made.cost_usd, item.retries), (Some(0.01), 0));
    }
    assert_eq!(ui.ledger.count(TXT2IMG), 9);
}

#[tokio::test]
async fn the_recipe_arrives_in_the_server_s_own_words() {
    let ui = WebUi::start().await;
    let settings = json!({"width": 48, "height": 32, "steps": 9, "guidance": 6.5, "scheduler": "dpmpp_2m_karras",
        "clip_skip": 2, "loras": [{"name": "style", "weight": 0.8}]});
    let client = ui
        .client_with(
            json!({"input": {"tiling": true}}),
            json!({"recipe": settings, "model": "other.safetensors"}),
        )
        .await;
    let mut one = recipe(7);
    one.negative_prompt = Some("dogs".into());
    one.settings = serde_json::from_value(settings).unwrap();
    client.images(vec![one]).await.remove(0).result.unwrap();
    let body = ui.ledger.seen(TXT2IMG).remove(0).body;
    let expected = json!({"prompt": "a cat, 7 <lora:style:0.8>", "negative_prompt": "dogs", "seed": 7, "width": 48,
        "height": 32, "steps": 9, "cfg_scale": 6.5, "sampler_name": "DPM++ 2M", "scheduler": "Karras",
        "tiling": true, "batch_size": 1});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name} in {body}");
    }
    assert_eq!(
        body["override_settings"],
        json!({"CLIP_stop_at_last_layers": 2, "sd_model_checkpoint": "other.safetensors"})
    );
}

#[tokio::test]
async fn an_older_server_is_told_sampler_and_schedule_in_one_name() {
    let ui = WebUi::start().await;
    ui.ledger.fault("GET /sdapi/v1/schedulers", status(404));
    let client = ui.client().await;
    let mut one = recipe(7);
    one.settings.scheduler = Some("dpmpp_2m_karras".into());
    client.images(vec![one]).await.remove(0).result.unwrap();
    let body = ui.ledger.seen(TXT2IMG).remove(0).body;
    assert_eq!((&body["sampler_name"], body.get("scheduler")), (&json!("DPM++ 2M Karras"), None));
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_jobs() {
    let ui = WebUi::start().await;
    let client = ui.client_with(json!({}), json!({"jobs": 3})).await;
    assert!(client.remote.batch_size() >= 3);
    client.images((0..12).map(recipe).collect()).await;
    assert_eq!(ui.ledger.most_at_once(), 3);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_counted() {
    let ui = WebUi::start().await;
    for fault in [status(500), status(502), status(503), Fault::LoseAnswer] {
        ui.ledger.fault(TXT2IMG, fault);
    }
    let client = ui.client().await;
    let item = client.image(1).await;
    assert_eq!(item.retries, 4);
    assert_eq!(item.result.unwrap().picture.pixels, pixels(&png(64, 64, 1)));
    let waits = client.waits.all();
    let most = [500, 1000, 2000, 4000].map(Duration::from_millis);
    assert_eq!(waits.len(), 4);
    assert!(waits.iter().zip(most).all(|(wait, most)| *wait <= most), "{waits:?}");
}

#[tokio::test]
async fn retry_after_is_honoured_and_capped() {
    let ui = WebUi::start().await;
    let asked = |after: &str| {
        Fault::Answer(
            429,
            vec![("retry-after", after.into())],
            b"{\"detail\":\"slow down\"}".to_vec(),
        )
    };
    let in_a_minute =
        httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(60));
    for after in ["7", "86400", in_a_minute.as_str()] {
        ui.ledger.fault(TXT2IMG, asked(after));
    }
    let client = ui.client().await;
    assert_eq!(client.image(1).await.retries, 3);
    let waits: Vec<u64> = client.waits.all().iter().map(Duration::as_secs).collect();
    assert_eq!(waits[..2], [7, 120]);
    assert!((55..=60).contains(&waits[2]), "{waits:?}");
}

#[tokio::test]
async fn what_cannot_go_better_is_not_tried_again() {
    for refused in [400, 401, 404, 422] {
        let ui = WebUi::start().await;
        ui.ledger.fault(TXT2IMG, status(refused));
        let client = ui.client().await;
        let failure = client.failure(1).await;
        assert!(failure.contains(&format!("answered {refused}: fault {refused}")), "{failure}");
        assert_eq!(ui.ledger.count(TXT2IMG), 1);
        assert!(client.waits.all().is_empty());
    }
}

#[tokio::test]
async fn repetitions_end() {
    let ui = WebUi::start().await;
    ui.ledger.faults(TXT2IMG, &status(500), 99);
    let client = ui.client_with(json!({"max_retries": 2}), json!({})).await;
    let item = client.image(1).await;
    assert_eq!((item.retries, ui.ledger.count(TXT2IMG)), (2, 3));
    assert!(item.result.unwrap_err().to_string().contains("answered 500"));
}

#[tokio::test]
async fn one_failure_is_one_image_s() {
    let ui = WebUi::start().await;
    ui.ledger.fault(TXT2IMG, status(422));
    let client = ui.client().await;
    let items = client.images((0..3).map(recipe).collect()).await;
    assert!(items[0].result.is_err());
    assert!(items[1].result.is_ok() && items[2].result.is_ok());
}

#[tokio::test]
async fn an_image_past_its_time_ends_here_and_there() {
    let ui = WebUi::start().await;
    let client = ui.client_with(json!({}), json!({"image_timeout_s": 0.3})).await;
    *ui.holds.lock().unwrap() = true;
    let failure = client.failure(1).await;
    assert!(failure.starts_with("no image after 0.3 s (asked for)"), "{failure}");
    assert_eq!(ui.ledger.count("POST /sdapi/v1/interrupt"), 1);
}

#[tokio::test]
async fn another_s_image_is_not_interrupted() {
    let ui = WebUi::start().await;
    let client = ui.client_with(json!({}), json!({"image_timeout_s": 0.3})).await;
    ui.ledger.fault(TXT2IMG, Fault::Hang);
    *ui.running.lock().unwrap() = Some("task(somebody-else)".into());
    client.failure(1).await;
    assert_eq!(ui.ledger.count("GET /sdapi/v1/progress"), 1);
    assert_eq!(ui.ledger.count("POST /sdapi/v1/interrupt"), 0);
}

#[tokio::test]
async fn a_stop_ends_what_is_under_way_and_begins_nothing_more() {
    use futures::StreamExt as _;

    let ui = WebUi::start().await;
    let client = ui.client_with(json!({}), json!({"jobs": 1})).await;
    *ui.holds.lock().unwrap() = true;
    let stop = CancellationToken::new();
    let images = client.remote.images((0..5).map(recipe).collect(), &stop);
    let waiting = tokio::spawn(images.collect::<Vec<_>>());
    eventually("the first image runs", || ui.running.lock().unwrap().is_some()).await;
    stop.cancel();
    let items = waiting.await.unwrap();
    assert_eq!(items.len(), 5);
    for item in items {
        assert_eq!(item.result.unwrap_err().to_string(), "interrupted");
    }
    assert_eq!(ui.ledger.count("POST /sdapi/v1/interrupt"), 1);
    assert_eq!(ui.ledger.count(TXT2IMG), 1);
}

#[tokio::test]
async fn a_slow_consumer_does_not_run_anything_out_of_time() {
    use futures::StreamExt as _;

    let ui = WebUi::start().await;
    let client = ui.client_with(json!({}), json!({"jobs": 2, "image_timeout_s": 2.0})).await;
    let stop = CancellationToken::new();
    let mut images = Box::pin(client.remote.images((0..4).map(recipe).collect(), &stop));
    images.next().await.unwrap().result.unwrap();
    tokio::time::sleep(Duration::from_millis(2300)).await;
    while let Some(item) = images.next().await {
        item.result.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_no_image_says_what_it_is() {
    let cases: Vec<(Fault, &str)> = vec![
        (
            page("<html><title>Gradio is starting</title>"),
            "text/html instead of JSON: Gradio is starting",
        ),
        (
            Fault::Answer(
                200,
                vec![("content-type", "application/json".into())],
                b"{\"images\":[".to_vec(),
            ),
            "is not understood",
        ),
        (
            Fault::Answer(
                200,
                vec![("content-type", "application/json".into())],
                b"{\"images\":[]}".to_vec(),
            ),
            "without an image; its answer has images",
        ),
    ];
    for (fault, expected) in cases {
        let ui = WebUi::start().await;
        ui.ledger.fault(TXT2IMG, fault);
        let failure = ui.client().await.failure(1).await;
        assert!(failure.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn half_an_image_is_no_image() {
    let ui = WebUi::start().await;
    let whole = png(64, 64, 1);
    let body = json!({"images": [BASE64.encode(&whole[..whole.len() / 2])], "info": "{}"});
    let headers = vec![("content-type", "application/json".into())];
    ui.ledger.fault(TXT2IMG, Fault::Answer(200, headers, body.to_string().into_bytes()));
    let failure = ui.client().await.failure(1).await;
    assert_eq!(failure, format!("the PNG image of {} bytes is cut short", whole.len() / 2));
}

#[tokio::test]
async fn another_size_than_asked_for_is_not_passed_over() {
    let ui = WebUi::start().await;
    let client = ui.client().await;
    let body = json!({"images": [BASE64.encode(png(64, 64, 1))]});
    let headers = vec![("content-type", "application/json".into())];
    ui.ledger.fault(TXT2IMG, Fault::Answer(200, headers, body.to_string().into_bytes()));
    let mut one = recipe(1);
    (one.settings.width, one.settings.height) = (Some(60), Some(60));
    let failure = client.images(vec![one]).await.remove(0).result.unwrap_err().to_string();
    assert!(failure.contains("asks for 60x60, and the back end made 64x64"), "{failure}");
}

#[tokio::test]
async fn a_password_goes_to_the_server_and_nowhere_else() {
    let ui = WebUi::start().await;
    let client = ui.client_with(json!({"api_key": "me:s3cret-pass"}), json!({})).await;
    ui.ledger.fault(
        TXT2IMG,
        Fault::Answer(401, vec![], b"{\"detail\":\"wrong: me:s3cret-pass\"}".to_vec()),
    );
    let failure = client.failure(1).await;
    let sent = &ui.ledger.seen(TXT2IMG)[0].headers["authorization"];
    assert_eq!(sent, &format!("Basic {}", BASE64.encode("me:s3cret-pass")));
    let everything = format!("{failure} {:?} {:?}", client.remote, client.remote.described());
    assert!(
        !everything.contains("s3cret") && !everything.contains(&BASE64.encode("me:s3cret-pass"))
    );
    assert!(failure.contains("wrong: ***"), "{failure}");
}

#[tokio::test]
async fn what_is_loaded_is_part_of_the_fingerprint() {
    let ui = WebUi::start().await;
    let plain = ui.client().await.remote;
    assert_eq!(plain.fingerprint(), ui.client().await.remote.fingerprint());
    let priced = ui.client_with(json!({"price_per_image": 1.0, "api_key": "a:b"}), json!({})).await;
    assert_eq!(plain.fingerprint(), priced.remote.fingerprint(), "prices and keys move no pixel");
    let named = ui.client_with(json!({}), json!({"model": "other"})).await;
    assert_ne!(plain.fingerprint(), named.remote.fingerprint());
    let tiled = ui.client_with(json!({"input": {"tiling": true}}), json!({})).await;
    assert_ne!(plain.fingerprint(), tiled.remote.fingerprint());
    let described = plain.described();
    assert_eq!(described["device"], "remote");
    assert_eq!(described["deterministic"], false);
    assert_eq!(described["seeds"], "seeded");
    assert_eq!(described["versions"]["sd_checkpoint_hash"], "31e35c80fc");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_mend() {
    let refused = open(json!({"generator": "a1111", "options": {"url": "127.0.0.1:9"}})).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("http://127.0.0.1:9/sdapi/v1/options cannot be reached"), "{message}");
    assert!(message.contains("`url` in [options]"), "{message}");
}

#[tokio::test]
async fn a_recipe_that_the_server_cannot_take_ends_the_run_before_it_begins() {
    let ui = WebUi::start().await;
    let request =
        json!({"generator": "a1111", "options": {"url": ui.url}, "recipe": {"denoise": 0.5}});
    let message = open(request).await.err().unwrap().to_string();
    assert!(message.contains("`denoise`"), "{message}");
    assert_eq!(ui.ledger.count(TXT2IMG), 0);
}

#[tokio::test]
async fn another_service_s_key_in_the_environment_is_not_sent() {
    let ui = WebUi::start().await;
    let open = async |key: &'static str| {
        let request = json!({"generator": "a1111", "model": "shapes", "root": ".",
            "options": {"endpoint": ui.url, "api_key": key}});
        let request: difftest_runner::remote::Request = serde_json::from_value(request).unwrap();
        let environment = |name: &str| (name == "DIFFTEST_API_KEY").then(|| key.to_owned());
        difftest_runner::remote::Remote::open(&request, &environment, Pace::default()).await
    };
    open("sk-of-another").await.unwrap();
    open("me:s3cret").await.unwrap();
    let sent = ui.ledger.seen("GET /sdapi/v1/options");
    assert!(sent[0].headers.get("authorization").is_none());
    assert!(sent[1].headers.get("authorization").is_some());
}
