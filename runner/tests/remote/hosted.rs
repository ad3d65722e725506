//! One server with the documented protocols of fal, Replicate and OpenAI.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::stand_in::{Client, Ledger, open, png, serve};

#[derive(Clone, Default)]
pub struct Hosts {
    pub ledger: Ledger,
    pub url: String,
    /// Looks before a job is done; `None` is never.
    pub looks: Arc<Mutex<Option<usize>>>,
    /// What is changed in the last answer about a job.
    pub twist: Arc<Mutex<Value>>,
    jobs: Arc<Mutex<BTreeMap<String, Job>>>,
}

#[derive(Clone)]
struct Job {
    input: Value,
    looks: usize,
}

pub const FAL: &str = "POST /fal-ai/flux/dev";
pub const REPLICATE: &str = "POST /v1/models/acme/sdxl/predictions";
pub const OPENAI: &str = "POST /v1/images/generations";

impl Hosts {
    pub async fn start() -> Self {
        let mut hosts = Self { looks: Arc::new(Mutex::new(Some(2))), ..Self::default() };
        let listener_url = Arc::new(Mutex::new(String::new()));
        let fal = {
            let url = Arc::clone(&listener_url);
            post(async move |State(hosts): State<Hosts>, Json(input): Json<Value>| {
                let url = url.lock().unwrap().clone();
                let id = hosts.begin(input);
                let at = format!("{url}/fal-ai/flux/requests/{id}");
                Json(
                    json!({"request_id": id, "response_url": at, "status_url": format!("{at}/status"),
                    "cancel_url": format!("{at}/cancel"), "queue_position": 0, "status": "IN_QUEUE"}),
                )
            })
        };
        let (create, poll) = {
            let (one, two) = (Arc::clone(&listener_url), Arc::clone(&listener_url));
            (
                post(async move |State(hosts): State<Hosts>, Json(body): Json<Value>| {
                    let url = one.lock().unwrap().clone();
                    let id = hosts.begin(body["input"].clone());
                    (StatusCode::CREATED, Json(hosts.prediction(&url, &id)))
                }),
                get(async move |State(hosts): State<Hosts>, Path(id): Path<String>| {
                    let url = two.lock().unwrap().clone();
                    Json(hosts.prediction(&url, &id))
                }),
            )
        };
        let routes = Router::new()
            .route("/openapi.json", get(schema))
            .route("/fal-ai/flux/dev", fal)
            .route("/fal-ai/flux/requests/{id}/status", get(fal_status))
            .route("/fal-ai/flux/requests/{id}", get({
                let url = Arc::clone(&listener_url);
                async move |State(hosts): State<Hosts>, Path(id): Path<String>| {
                    let url = url.lock().unwrap().clone();
                    hosts.fal_response(&url, &id)
                }
            }))
            .route("/fal-ai/flux/requests/{id}/cancel", put(async || {
                (StatusCode::ACCEPTED, Json(json!({"status": "CANCELLATION_REQUESTED"})))
            }))
            .route("/v1/models/{owner}/{name}", get(async || {
                let inputs = ["prompt", "negative_prompt", "seed", "width", "height", "num_inference_steps", "guidance", "refine"];
                let properties: serde_json::Map<_, _> =
                    inputs.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
                Json(json!({"owner": "acme", "name": "sdxl", "latest_version": {"id": "v42",
                    "openapi_schema": {"components": {"schemas": {"Input": {"properties": properties}}}}}}))
            }))
            .route("/v1/models/{owner}/{name}/versions/{version}", get(async |Path(at): Path<(String, String, String)>| Json(json!({"id": at.2}))))
            .route("/v1/models/{owner}/{name}/predictions", create.clone())
            .route("/v1/predictions", create)
            .route("/v1/predictions/{id}", poll)
            .route("/v1/predictions/{id}/cancel", post(async || Json(json!({"status": "canceled"}))))
            .route("/v1/models/{model}", get(async |Path(model): Path<String>| {
                Json(json!({"id": model, "object": "model"}))
            }))
            .route("/v1/images/generations", post(openai))
            .route("/files/{name}", get(async |Path(name): Path<String>| {
                let seed = name.trim_end_matches(".png").parse().unwrap();
                ([("content-type", "image/png")], png(64, 64, seed))
            }))
            .with_state(hosts.clone());
        hosts.url = serve(routes, &hosts.ledger).await;
        *listener_url.lock().unwrap() = hosts.url.clone();
        hosts
    }

    pub async fn client(&self, provider: &str) -> Client {
        self.client_with(provider, json!({}), json!({})).await
    }

    pub async fn client_with(&self, provider: &str, options: Value, request: Value) -> Client {
        open(self.request(provider, options, request)).await.unwrap()
    }

    pub fn request(&self, provider: &str, mut options: Value, mut request: Value) -> Value {
        let (model, path) = match provider {
            "fal" => ("fal-ai/flux/dev", ""),
            "replicate" => ("acme/sdxl", "/v1"),
            _ => ("gpt-image-2", "/v1"),
        };
        options["provider"] = json!(provider);
        options["endpoint"] = json!(format!("{}{path}", self.url));
        options["api_key"] = json!("k3y-of-the-team");
        request["generator"] = json!("api");
        if request["model"].is_null() {
            request["model"] = json!(model);
        }
        request["options"] = options;
        request
    }

    /// What the last answer about a job says besides.
    pub fn twist(&self, twist: Value) {
        *self.twist.lock().unwrap() = twist;
    }

    fn begin(&self, input: Value) -> String {
        let mut jobs = self.jobs.lock().unwrap();
        let id = format!("job{}", jobs.len() + 1);
        jobs.insert(id.clone(), Job { input, looks: 0 });
        id
    }

    /// Whether it is done, by the number of looks.
    fn look(&self, id: &str) -> (Job, bool) {
        let mut jobs = self.jobs.lock().unwrap();
        let job = jobs.get_mut(id).unwrap();
        job.looks += 1;
        let is_done = self.looks.lock().unwrap().is_some_and(|looks| job.looks > looks);
        (job.clone(), is_done)
    }

    fn twisted(&self, mut answer: Value) -> Value {
        if let Some(twist) = self.twist.lock().unwrap().as_object() {
            answer.as_object_mut().unwrap().extend(twist.clone());
        }
        answer
    }

    fn prediction(&self, url: &str, id: &str) -> Value {
        let (job, is_done) = self.look(id);
        let urls = json!({"get": format!("{url}/v1/predictions/{id}"),
            "cancel": format!("{url}/v1/predictions/{id}/cancel")});
        if !is_done {
            let status = if job.looks == 1 { "starting" } else { "processing" };
            return json!({"id": id, "status": status, "output": null, "error": null, "urls": urls});
        }
        self.twisted(json!({"id": id, "status": "succeeded", "error": null, "urls": urls,
            "output": [format!("{url}/files/{}.png", job.input["seed"])], "metrics": {"predict_time": 2.5}}))
    }

    fn fal_response(&self, url: &str, id: &str) -> Response {
        let (job, _) = self.look(id);
        let answer = self.twisted(json!({"seed": job.input["seed"], "has_nsfw_concepts": [false],
            "images": [{"url": format!("{url}/files/{}.png", job.input["seed"]), "content_type": "image/png"}]}));
        ([("x-fal-billable-units", "2")], Json(answer)).into_response()
    }
}

async fn fal_status(State(hosts): State<Hosts>, Path(id): Path<String>) -> Response {
    let (job, is_done) = hosts.look(&id);
    match (is_done, job.looks) {
        (true, _) => {
            let mut answer = json!({"status": "COMPLETED", "metrics": {"inference_time": 1.5}});
            if let Some(error) = hosts.twist.lock().unwrap().get("error") {
                answer["error"] = error.clone();
                answer["error_type"] = json!("runner_disconnected");
            }
            Json(answer).into_response()
        }
        (false, 1) => {
            (StatusCode::ACCEPTED, Json(json!({"status": "IN_QUEUE", "queue_position": 3})))
                .into_response()
        }
        (false, _) => (StatusCode::ACCEPTED, Json(json!({"status": "IN_PROGRESS", "logs": null})))
            .into_response(),
    }
}

async fn schema() -> Json<Value> {
    let names = [
        "prompt",
        "seed",
        "image_size",
        "num_inference_steps",
        "guidance_scale",
        "output_format",
        "enable_safety_checker",
    ];
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    Json(json!({"paths": {"/fal-ai/flux/dev": {"post": {"requestBody": {"content":
        {"application/json": {"schema": {"$ref": "#/components/schemas/FluxDevInput"}}}}}}},
        "components": {"schemas": {"FluxDevInput": {"properties": properties}}}}))
}

async fn openai(State(hosts): State<Hosts>, Json(body): Json<Value>) -> Json<Value> {
    assert!(body.get("seed").is_none());
    let side =
        body["size"].as_str().map_or(64, |size| size.split('x').next().unwrap().parse().unwrap());
    Json(hosts.twisted(
        json!({"created": 1, "data": [{"b64_json": BASE64.encode(png(side, side, 0))}],
        "usage": {"input_tokens": 100, "output_tokens": 4160, "total_tokens": 4260,
            "input_tokens_details": {"text_tokens": 100, "image_tokens": 0}}}),
    ))
}
