//! A ComfyUI: its queue, its WebSocket, its history, and its moods.

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

use crate::stand_in::{Client, Ledger, open, png, serve};

/// How the server treats the prompts that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
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
pub struct Comfy {
    pub ledger: Ledger,
    mood: Mood,
    pub url: String,
    sockets: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Message>>>>,
    /// What runs, and what waits.
    pub queue: Arc<Mutex<(Vec<Value>, Vec<Value>)>>,
    history: Arc<Mutex<serde_json::Map<String, Value>>>,
}

pub const PROMPT: &str = "POST /prompt";

impl Comfy {
    pub async fn start(mood: Mood) -> Self {
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

    pub async fn client(&self) -> Client {
        self.client_with(json!({}), json!({})).await
    }

    pub async fn client_with(&self, mut options: Value, mut request: Value) -> Client {
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
