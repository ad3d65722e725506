//! ComfyUI: its queue, its WebSocket, its history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::stand_in::{
    Client, Fault, Ledger, eventually, open, pixels, png, recipe, serve, status,
};

/// How the server treats the prompts that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    /// Closes the WebSocket once the prompt runs, and works on.
    HangsUp,
    /// Keeps the WebSocket and says nothing on it.
    Silent,
    Fails,
    /// Runs for ever.
    Stuck,
    /// Has somebody else's prompt run for ever; ours waits.
    Busy,
    /// Loses its queue.
    Forgets,
}

#[derive(Clone)]
struct Comfy {
    ledger: Ledger,
    mood: Mood,
    url: String,
    sockets: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Message>>>>,
    queue: Arc<Mutex<(Vec<Value>, Vec<Value>)>>,
    history: Arc<Mutex<serde_json::Map<String, Value>>>,
}

const PROMPT: &str = "POST /prompt";

/// The address of a server that works.
pub async fn working() -> String {
    Comfy::start(Mood::Works).await.url
}

impl Comfy {
    async fn start(mood: Mood) -> Self {
        let mut comfy = Self {
            ledger: Ledger::default(),
            mood,
            url: String::new(),
            sockets: Arc::default(),
            queue: Arc::default(),
            history: Arc::default(),
        };
        if mood == Mood::Busy {
            comfy.queue.lock().unwrap().0.push(json!([0, "theirs", {}, {"client_id": "them"}, []]));
        }
        let routes = Router::new()
            .route("/ws", get(socket))
            .route("/prompt", post(prompt))
            .route("/queue", get(queue).post(delete))
            .route("/interrupt", post(interrupt))
            .route("/history", get(async |State(c): State<Comfy>| Json(c.history.lock().unwrap().clone())))
            .route("/history/{id}", get(history))
            .route("/view", get(view))
            .route("/system_stats", get(async || {
                Json(json!({"system": {"comfyui_version": "0.3.60", "pytorch_version": "2.9.1+cu130",
                    "python_version": "3.12.3 (main, Aug 14 2025) [GCC 13.3.0]"},
                    "devices": [{"name": "cuda:0 NVIDIA H200", "type": "cuda"}]}))
            }))
            .route("/object_info/CheckpointLoaderSimple", get(async || {
                Json(json!({"CheckpointLoaderSimple": {"input": {"required":
                    {"ckpt_name": [["sd_xl_base_1.0.safetensors", "v1-5.safetensors"]]}}}}))
            }))
            .with_state(comfy.clone());
        comfy.url = serve(routes, &comfy.ledger).await;
        comfy
    }

    async fn client(&self) -> Client {
        self.client_with(json!({}), json!({})).await
    }

    async fn client_with(&self, mut options: Value, mut request: Value) -> Client {
        options["url"] = json!(self.url);
        request["generator"] = json!("comfyui");
        if options["workflow"].is_null() {
            request["model"] = json!("v1-5.safetensors");
        }
        request["options"] = options;
        open(request).await.unwrap()
    }

    fn tell(&self, client: &str, kind: &str, data: Value) {
        if let Some(socket) = self.sockets.lock().unwrap().get(client) {
            let _ = socket.send(Message::text(json!({"type": kind, "data": data}).to_string()));
        }
    }

    /// What a worker does with one prompt.
    async fn run(self, id: String, client: String, item: Value) {
        let at = |node: Value| json!({"node": node, "prompt_id": id});
        self.tell(&client, "status", json!({"status": {"exec_info": {"queue_remaining": 1}}}));
        {
            let mut queue = self.queue.lock().unwrap();
            queue.1.retain(|waiting| waiting[1] != json!(id));
            queue.0.push(item.clone());
        }
        match self.mood {
            Mood::HangsUp => drop(self.sockets.lock().unwrap().remove(&client)),
            Mood::Silent => {}
            _ => {
                self.tell(&client, "execution_start", json!({"prompt_id": id}));
                self.tell(&client, "execution_cached", json!({"nodes": ["1"], "prompt_id": id}));
                self.tell(&client, "executing", at(json!("5")));
                self.tell(
                    &client,
                    "progress",
                    json!({"value": 3, "max": 20, "node": "5", "prompt_id": id}),
                );
                // Another client's messages are none of ours.
                self.tell(&client, "executing", json!({"node": null, "prompt_id": "theirs"}));
            }
        }
        let stays = matches!(self.mood, Mood::Stuck);
        if stays {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.queue.lock().unwrap().0.retain(|running| running[1] != json!(id));
        let error = json!({"prompt_id": id, "node_id": "5", "node_type": "KSampler",
            "exception_type": "torch.OutOfMemoryError", "exception_message": "Allocation on device 0 failed\n"});
        let entry = match self.mood {
            Mood::Forgets => return,
            Mood::Fails => json!({"prompt": item, "outputs": {}, "status": {"status_str": "error",
                "completed": false, "messages": [["execution_error", error]]}}),
            _ => {
                let seed = item[2]["5"]["inputs"]["seed"].as_i64().unwrap();
                let image = json!({"filename": format!("{seed} &.png"), "subfolder": "a/b", "type": "temp"});
                json!({"prompt": item, "outputs": {"7": {"images": [image]}},
                    "status": {"status_str": "success", "completed": true, "messages": []}})
            }
        };
        self.history.lock().unwrap().insert(id.clone(), entry);
        if self.mood == Mood::Silent {
            return;
        }
        if self.mood == Mood::Fails {
            self.tell(&client, "execution_error", error);
        } else {
            self.tell(&client, "executed", at(json!("7")));
            self.tell(&client, "executing", at(Value::Null));
        }
    }
}

async fn socket(
    State(comfy): State<Comfy>,
    Query(query): Query<BTreeMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let (sender, mut messages) = mpsc::unbounded_channel();
        comfy.sockets.lock().unwrap().insert(query["clientId"].clone(), sender);
        // A preview, as ComfyUI sends it: bytes.
        let _ = socket.send(Message::binary(vec![0, 0, 0, 1, 0, 0, 0, 2, 0x89])).await;
        while let Some(message) = messages.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn prompt(State(comfy): State<Comfy>, Json(body): Json<Value>) -> Response {
    let client = body["client_id"].as_str().unwrap().to_owned();
    if body["prompt"]["1"]["inputs"]["ckpt_name"] == "gone.safetensors" {
        let refused = json!({"error": {"type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation", "details": "", "extra_info": {}},
            "node_errors": {"1": {"class_type": "CheckpointLoaderSimple", "dependent_outputs": ["7"], "errors":
                [{"type": "value_not_in_list", "message": "Value not in list",
                  "details": "ckpt_name: 'gone.safetensors' not in ['v1-5.safetensors']"}]}}});
        return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
    }
    let id = format!("prompt-{}", comfy.ledger.count(PROMPT));
    let item = json!([1, id, body["prompt"], {"client_id": client}, ["7"]]);
    comfy.queue.lock().unwrap().1.push(item.clone());
    if comfy.mood != Mood::Busy {
        tokio::spawn(comfy.run(id.clone(), client, item));
    }
    Json(json!({"prompt_id": id, "number": 1, "node_errors": {}})).into_response()
}

async fn queue(State(comfy): State<Comfy>) -> Json<Value> {
    let (running, waiting) = comfy.queue.lock().unwrap().clone();
    Json(json!({"queue_running": running, "queue_pending": waiting}))
}

async fn delete(State(comfy): State<Comfy>, Json(body): Json<Value>) {
    let gone = body["delete"].as_array().unwrap();
    comfy.queue.lock().unwrap().1.retain(|item| !gone.contains(&item[1]));
}

async fn interrupt(State(comfy): State<Comfy>) {
    comfy.queue.lock().unwrap().0.clear();
}

async fn history(State(comfy): State<Comfy>, Path(id): Path<String>) -> Json<Value> {
    let entry = comfy.history.lock().unwrap().get(&id).cloned();
    Json(entry.map_or(json!({}), |entry| json!({id: entry})))
}

async fn view(Query(query): Query<BTreeMap<String, String>>) -> Response {
    assert_eq!((query["subfolder"].as_str(), query["type"].as_str()), ("a/b", "temp"));
    let seed = query["filename"].strip_suffix(" &.png").unwrap().parse().unwrap();
    ([("content-type", "image/png")], png(64, 64, seed)).into_response()
}

#[tokio::test]
async fn images_come_over_the_socket_and_the_queue() {
    let comfy = Comfy::start(Mood::Works).await;
    let client = comfy.client_with(json!({}), json!({"jobs": 2})).await;
    let items = client.images((1..5).map(recipe).collect()).await;
    for (seed, item) in (1..5).zip(items) {
        assert_eq!(item.result.unwrap().picture.pixels, pixels(&png(64, 64, seed)));
        assert_eq!(item.retries, 0);
    }
    assert_eq!((comfy.ledger.count(PROMPT), comfy.ledger.count("GET /ws")), (4, 4));
    assert!(client.waits.all().is_empty(), "nothing was polled for");
    let body = &comfy.ledger.seen(PROMPT)[0].body;
    assert_eq!(body["prompt"]["1"]["inputs"]["ckpt_name"], "v1-5.safetensors");
    assert_eq!(client.remote.described()["versions"]["comfyui_version"], "0.3.60");
    assert_eq!(client.remote.described()["versions"]["python_version"], "3.12.3");
}

#[tokio::test]
async fn the_recipe_is_put_into_the_workflow() {
    let comfy = Comfy::start(Mood::Works).await;
    let client = comfy.client().await;
    let mut one = recipe(7);
    one.negative_prompt = Some("dogs".into());
    one.settings = serde_json::from_value(
        json!({"width": 48, "height": 32, "steps": 9, "guidance": 6.5, "scheduler": "dpmpp_2m_karras"}),
    )
    .unwrap();
    client.images(vec![one]).await.remove(0).result.unwrap();
    let nodes = &comfy.ledger.seen(PROMPT)[0].body["prompt"];
    assert_eq!(nodes["2"]["inputs"]["text"], "a cat, 7");
    assert_eq!(nodes["3"]["inputs"]["text"], "dogs");
    assert_eq!(nodes["4"]["inputs"], json!({"width": 48, "height": 32, "batch_size": 1}));
    let sampler = &nodes["5"]["inputs"];
    assert_eq!(
        (&sampler["seed"], &sampler["steps"], &sampler["cfg"]),
        (&json!(7), &json!(9), &json!(6.5))
    );
    assert_eq!(
        (&sampler["sampler_name"], &sampler["scheduler"]),
        (&json!("dpmpp_2m"), &json!("karras"))
    );
}

#[tokio::test]
async fn without_a_socket_the_history_is_asked() {
    let comfy = Comfy::start(Mood::Works).await;
    comfy.ledger.fault("GET /ws", status(404));
    let client = comfy.client().await;
    assert_eq!(client.image(1).await.result.unwrap().picture.pixels, pixels(&png(64, 64, 1)));
    assert_eq!(comfy.ledger.count(PROMPT), 1);
    assert!(!client.waits.all().is_empty());
}

#[tokio::test]
async fn a_socket_that_ends_midway_or_says_nothing_loses_no_image() {
    for mood in [Mood::HangsUp, Mood::Silent] {
        let comfy = Comfy::start(mood).await;
        let client = comfy.client().await;
        let made = client.image(1).await.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)), "{mood:?}");
        assert_eq!(comfy.ledger.count(PROMPT), 1, "{mood:?}");
    }
}

#[tokio::test]
async fn a_failure_names_the_node_over_the_socket_and_over_http() {
    for over_http in [false, true] {
        let comfy = Comfy::start(Mood::Fails).await;
        if over_http {
            comfy.ledger.fault("GET /ws", status(500));
            comfy.ledger.faults("GET /ws", &status(500), 9);
        }
        let failure =
            comfy.client_with(json!({"max_retries": 0}), json!({})).await.failure(1).await;
        assert_eq!(
            failure,
            "ComfyUI failed at node 5 (KSampler): torch.OutOfMemoryError: Allocation on device 0 failed"
        );
        assert_eq!(comfy.ledger.count(PROMPT), 1);
        assert_eq!(comfy.ledger.count("POST /interrupt"), 0, "it has ended already");
    }
}

#[tokio::test]
async fn a_running_image_past_its_time_is_interrupted() {
    let comfy = Comfy::start(Mood::Stuck).await;
    let client = comfy.client_with(json!({}), json!({"image_timeout_s": 0.4})).await;
    let failure = client.failure(1).await;
    assert!(failure.contains("(step 3 of 20 at node 5)"), "{failure}");
    let interrupts = comfy.ledger.seen("POST /interrupt");
    assert_eq!(interrupts.len(), 1);
    assert_eq!(interrupts[0].body["prompt_id"], "prompt-1");
}

#[tokio::test]
async fn a_waiting_image_is_deleted_and_another_s_left_to_run() {
    let comfy = Comfy::start(Mood::Busy).await;
    let client = comfy.client_with(json!({}), json!({"image_timeout_s": 0.4})).await;
    let failure = client.failure(1).await;
    assert!(failure.contains("(in ComfyUI's queue)"), "{failure}");
    assert_eq!(comfy.ledger.seen("POST /queue")[0].body, json!({"delete": ["prompt-1"]}));
    assert_eq!(comfy.ledger.count("POST /interrupt"), 0);
    assert_eq!(comfy.queue.lock().unwrap().1.len(), 0);
}

#[tokio::test]
async fn a_prompt_whose_answer_was_lost_is_found_and_not_queued_twice() {
    for mood in [Mood::Works, Mood::Silent] {
        let comfy = Comfy::start(mood).await;
        comfy.ledger.fault(PROMPT, Fault::LoseAnswer);
        let made = comfy.client().await.image(1).await.result.unwrap();
        assert_eq!(made.picture.pixels, pixels(&png(64, 64, 1)));
        assert_eq!(comfy.ledger.count(PROMPT), 1);
    }
}

#[tokio::test]
async fn a_prompt_that_was_surely_not_queued_is_queued_again() {
    let comfy = Comfy::start(Mood::Works).await;
    comfy.ledger.fault(PROMPT, status(503));
    comfy.ledger.fault(PROMPT, status(500));
    let item = comfy.client().await.image(1).await;
    assert!(item.result.is_ok());
    assert_eq!((item.retries, comfy.ledger.count(PROMPT)), (2, 3));
}

#[tokio::test]
async fn a_server_that_was_restarted_is_not_waited_for() {
    let comfy = Comfy::start(Mood::Forgets).await;
    comfy.ledger.fault("GET /ws", status(404));
    let failure = comfy.client().await.failure(1).await;
    assert!(failure.contains("was it restarted"), "{failure}");
}

#[tokio::test]
async fn a_stop_calls_off_all_that_were_begun() {
    use futures::StreamExt as _;

    let comfy = Comfy::start(Mood::Busy).await;
    let client = comfy.client_with(json!({}), json!({"jobs": 3})).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let images = client.remote.images((0..9).map(recipe).collect(), &stop);
    let waiting = tokio::spawn(images.collect::<Vec<_>>());
    eventually("three wait", || comfy.queue.lock().unwrap().1.len() == 3).await;
    stop.cancel();
    assert_eq!(waiting.await.unwrap().len(), 9);
    assert_eq!(comfy.queue.lock().unwrap().1.len(), 0);
    assert_eq!(comfy.ledger.count(PROMPT), 3);
}

#[tokio::test]
async fn a_refused_workflow_says_which_node_and_why() {
    let comfy = Comfy::start(Mood::Works).await;
    let folder = tempfile::tempdir().unwrap();
    let built_in = include_str!("../../src/remote/comfyui/default_workflow.json");
    let mut workflow: Value = serde_json::from_str(built_in).unwrap();
    workflow["1"]["inputs"]["ckpt_name"] = json!("gone.safetensors");
    std::fs::write(folder.path().join("w.json"), workflow.to_string()).unwrap();
    let client =
        comfy.client_with(json!({"workflow": "w.json"}), json!({"root": folder.path()})).await;
    let failure = client.failure(1).await;
    let expected = "answered 400: node 1 (CheckpointLoaderSimple): Value not in list: ckpt_name: \
        'gone.safetensors' not in ['v1-5.safetensors']";
    assert!(failure.ends_with(expected), "{failure}");
    assert_eq!(comfy.ledger.count(PROMPT), 1, "a refusal is not repeated");
}

#[tokio::test]
async fn the_workflow_s_content_is_part_of_the_fingerprint() {
    let comfy = Comfy::start(Mood::Works).await;
    let folder = tempfile::tempdir().unwrap();
    let built_in = include_str!("../../src/remote/comfyui/default_workflow.json");
    let of = async |text: String| {
        std::fs::write(folder.path().join("w.json"), text).unwrap();
        let request = json!({"root": folder.path()});
        comfy.client_with(json!({"workflow": "w.json"}), request).await.remote.fingerprint()
    };
    let one = of(built_in.to_owned()).await;
    assert_eq!(one, of(built_in.replace('\n', " ")).await, "blanks decide nothing");
    assert_ne!(one, of(built_in.replace("\"steps\": 20", "\"steps\": 21")).await);
}

#[tokio::test]
async fn a_checkpoint_that_the_server_lacks_ends_the_run_before_it_begins() {
    let comfy = Comfy::start(Mood::Works).await;
    let request =
        json!({"generator": "comfyui", "model": "v1-6.safetensors", "options": {"url": comfy.url}});
    let message = open(request).await.err().unwrap().to_string();
    assert!(message.ends_with("did you mean `v1-5.safetensors`?"), "{message}");
    let unnamed = open(json!({"generator": "comfyui", "options": {"url": comfy.url}})).await;
    let message = unnamed.err().unwrap().to_string();
    assert!(
        message.contains("name the checkpoint") && message.contains("sd_xl_base_1.0"),
        "{message}"
    );
}
