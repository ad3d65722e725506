//! ComfyUI: a workflow in its queue, followed over its WebSocket, its image fetched over HTTP
//! (<https://docs.comfy.org/development/comfyui-server/comms_routes>).
//!
//! Each image is a client of its own (`client_id`), and the queue keeps that id with each prompt.
//! So a prompt whose answer was lost is found again instead of being queued twice, and what is
//! called off is surely ours: a waiting prompt is deleted, a running one interrupted only while
//! it is ours that runs. Where the WebSocket fails, at the start or midway, the history is polled.

mod history;
mod messages;
mod socket;
mod workflow;

use difftest_core::recipe::{Recipe, comfyui};
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use self::history::{ImageRef, Outcome};
use self::messages::Event;
use self::socket::Socket;
use super::address::shown;
use super::complaint::complaint;
use super::describe::Facts;
use super::fault::{CallError, ImageError, OpenError};
use super::options::{ComfyUiOptions, Common, Environment, Request, base_url, key, own_key, read};
use super::retry::{Pace, Repeat, Tally};
use super::transport::{Ask, Credentials, Transport, Wanted};
use super::work::{Made, Work, decoded};

const DEFAULT_URL: &str = "http://127.0.0.1:8188";

#[derive(Debug)]
pub struct ComfyUi {
    transport: Transport,
    base: Url,
    workflow: Value,
    output_node: Option<String>,
    price: Option<f64>,
    max_retries: usize,
}

impl ComfyUi {
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<(Self, Facts), OpenError> {
        let (common, own): (Common, ComfyUiOptions) = read("comfyui", &request.options)?;
        let base = base_url("url", own.url.as_deref().unwrap_or(DEFAULT_URL))?;
        // ComfyUI itself has no keys; a proxy before it may, and then it takes a bearer's.
        let key = key(own_key(own.api_key.as_ref(), environment), &[], environment);
        let mut credentials = Credentials::default();
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| OpenError::Options("the api_key cannot be sent in a header".into()))?;
            value.set_sensitive(true);
            credentials.headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            credentials.secrets = vec![key];
        }
        let transport =
            Transport::new(&base, common.allow_private, credentials, pace, common.max_retries)
                .map_err(|e| OpenError::Options(e.to_string()))?;
        let mut facts = Facts::new("comfyui", &base);
        let mut found = Self {
            transport,
            base,
            workflow: Value::Null,
            output_node: own.output_node,
            price: common.price_per_image,
            max_retries: common.max_retries,
        };
        found.greet(&mut facts).await?;
        let model = request.model();
        let workflow = match own.workflow.as_deref() {
            Some(path) => workflow::read(&request.root, path).and_then(|workflow| match model {
                Some(model) => workflow::with_model(workflow, model),
                None => Ok(workflow),
            }),
            None => found.built_in(model).await?,
        };
        found.workflow = workflow.map_err(OpenError::Options)?;
        facts.decides("workflow", found.workflow.clone());
        facts.decides("output_node", json!(found.output_node));
        Ok((found, facts))
    }

    async fn greet(&self, facts: &mut Facts) -> Result<(), OpenError> {
        let stats = self.look("system_stats", &Tally::default()).await.map_err(|error| {
            OpenError::BackEnd(format!(
                "ComfyUI: {error}; start it, or name its address with --comfyui-url or `url` in [options]"
            ))
        })?;
        for name in ["comfyui_version", "pytorch_version", "python_version"] {
            if let Some(version) = stats["system"][name].as_str() {
                // Python's own has its compiler after a blank.
                facts.version(name, version.split_whitespace().next().unwrap_or(version));
            }
        }
        if let Some(device) = stats["devices"][0]["name"].as_str() {
            facts.version("comfyui_device", device);
        }
        Ok(())
    }

    async fn built_in(&self, model: Option<&str>) -> Result<Result<Value, String>, OpenError> {
        let path = "object_info/CheckpointLoaderSimple";
        let info = self
            .look(path, &Tally::default())
            .await
            .map_err(|e| OpenError::BackEnd(format!("ComfyUI: {e}")))?;
        let known = workflow::checkpoints(&info);
        Ok(workflow::check_checkpoint(model, &known).and_then(|model| workflow::built_in(&model)))
    }

    fn at(&self, path: &str) -> Result<Url, ImageError> {
        self.base.join(path).map_err(|e| {
            CallError::Malformed { url: shown(&self.base), cause: e.to_string() }.into()
        })
    }

    async fn look(&self, path: &str, tally: &Tally) -> Result<Value, ImageError> {
        let ask = Ask::get(self.at(path)?);
        Ok(self.transport.ask(&ask, tally).await?.json()?)
    }

    pub fn body(&self, recipe: &Recipe) -> Result<Value, String> {
        comfyui::inject(&self.workflow, recipe).map_err(|e| e.to_string())
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let workflow = self.body(recipe).map_err(ImageError::Recipe)?;
        let client_id = uuid::Uuid::new_v4().to_string();
        let mut url = self.at("ws")?;
        url.query_pairs_mut().append_pair("clientId", &client_id);
        // Before the prompt is queued, so that no message of it is missed.
        let socket = match socket::connect(&self.transport, url).await {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::debug!(%error, "no WebSocket; the history is polled instead");
                None
            }
        };
        work.began(&client_id);
        work.is_at("asked for");
        let prompt_id = self.submit(&workflow, &client_id, work).await?;
        work.is_at("in ComfyUI's queue");
        let image = self.follow(socket, &prompt_id, work).await;
        if !matches!(&image, Err(ImageError::Call(_))) {
            work.ended();
        }
        let picture = self.download(&image?, work).await?;
        Ok(Made { picture, cost_usd: self.price })
    }

    /// Queues the workflow once. After an answer that says nothing about whether it was queued,
    /// the queue is asked.
    async fn submit(
        &self,
        workflow: &Value,
        client_id: &str,
        work: &Work,
    ) -> Result<String, ImageError> {
        let body = json!({"prompt": workflow, "client_id": client_id});
        let ask = Ask::post(self.at("prompt")?, body, Repeat::MayCharge);
        let mut pauses =
            backon::BackoffBuilder::build(self.transport.pace.schedule(self.max_retries));
        loop {
            let error = match self.transport.ask(&ask, &work.tally).await {
                Ok(answer) => {
                    let json = answer.json()?;
                    // Queued without the outputs that were refused: the image would be another's.
                    if json["node_errors"].as_object().is_some_and(|errors| !errors.is_empty()) {
                        let left_out = self.transport.struck_out(complaint(&answer.body));
                        return Err(ImageError::BackEnd(format!(
                            "ComfyUI refused a part of the workflow: {left_out}"
                        )));
                    }
                    return match json["prompt_id"].as_str() {
                        Some(id) => Ok(id.to_owned()),
                        None => Err(CallError::Malformed {
                            url: shown(&answer.url),
                            cause: "it has no prompt_id".into(),
                        }
                        .into()),
                    };
                }
                Err(ImageError::PerhapsCharged(error)) => error,
                Err(other) => return Err(other),
            };
            if let Some(prompt_id) = self.find(client_id, work).await? {
                return Ok(prompt_id);
            }
            let Some(pause) = pauses.next() else { return Err(error.into()) };
            work.tally.repeated();
            let pause = self.transport.pace.pause(pause, error.retry_after(), rand::random());
            self.transport.pace.sleep(pause).await;
        }
    }

    /// A prompt of this client, wherever it is by now.
    async fn find(&self, client_id: &str, work: &Work) -> Result<Option<String>, ImageError> {
        let (running, waiting) = history::ours(&self.look("queue", &work.tally).await?, client_id);
        if let Some(found) = running.into_iter().chain(waiting).next() {
            return Ok(Some(found));
        }
        let ended = self.look("history?max_items=64", &work.tally).await?;
        Ok(history::ended(&ended, client_id))
    }

    /// Waits until the history has the prompt.
    async fn follow(
        &self,
        mut socket: Option<Socket>,
        prompt_id: &str,
        work: &Work,
    ) -> Result<ImageRef, ImageError> {
        let mut was_gone = false;
        loop {
            if let Some(open) = &mut socket {
                match tokio::time::timeout(self.transport.pace.quiet, open.next()).await {
                    Ok(Some(Ok(Message::Text(text)))) => match messages::event(&text, prompt_id) {
                        Some(Event::At(place)) => {
                            tracing::debug!(prompt_id, place, "ComfyUI");
                            work.is_at(place);
                            continue;
                        }
                        Some(Event::Failed(why)) => {
                            return Err(ImageError::BackEnd(self.transport.struck_out(why)));
                        }
                        Some(Event::Finished) => {}
                        None => continue,
                    },
                    // Previews, pings and pongs.
                    Ok(Some(Ok(message))) if !message.is_close() => continue,
                    Ok(ended) => {
                        tracing::debug!(prompt_id, ?ended, "the WebSocket ended; HTTP takes over");
                        socket = None;
                    }
                    // Silence: a message may be lost.
                    Err(_) => {}
                }
            } else {
                self.transport.pace.sleep(self.transport.pace.poll).await;
            }
            let history = self.look(&format!("history/{prompt_id}"), &work.tally).await?;
            match history::outcome(&history, prompt_id, self.output_node.as_deref()) {
                Outcome::Made(image) => return Ok(image),
                Outcome::Failed(why) => {
                    return Err(ImageError::BackEnd(self.transport.struck_out(why)));
                }
                Outcome::Unknown => {}
            }
            let queue = self.look("queue", &work.tally).await?;
            let is_gone = !history::is_queued(&queue, prompt_id);
            // Between the queue and the history there is a moment of neither.
            if is_gone && was_gone {
                return Err(ImageError::BackEnd(
                    "ComfyUI has the image neither in its queue nor in its history; was it restarted, or its \
                     queue cleared?"
                        .into(),
                ));
            }
            was_gone = is_gone;
        }
    }

    async fn download(
        &self,
        image: &ImageRef,
        work: &Work,
    ) -> Result<super::picture::Picture, ImageError> {
        let mut url = self.at("view")?;
        url.query_pairs_mut()
            .append_pair("filename", &image.filename)
            .append_pair("subfolder", &image.subfolder)
            .append_pair("type", &image.folder);
        work.is_at("downloading the image");
        decoded(self.transport.ask(&Ask::image(url), &work.tally).await?.body).await
    }

    /// Takes what this client asked for out of the queue. Two looks, since a waiting prompt may
    /// have begun to run between the look and the deletion.
    pub async fn cancel(&self, client_id: &str) -> Result<(), ImageError> {
        let queue = self.at("queue")?;
        for _ in 0..2 {
            let (running, waiting) = history::ours(
                &self.transport.once(&Ask::get(queue.clone())).await?.json()?,
                client_id,
            );
            if !waiting.is_empty() {
                let delete = Ask::post(queue.clone(), json!({"delete": waiting}), Repeat::Free);
                self.transport.once(&delete.wanting(Wanted::Anything)).await?;
            }
            if let Some(prompt_id) = running.first() {
                // Newer servers interrupt this prompt alone; older ones what runs, which is ours.
                let body = json!({"prompt_id": prompt_id});
                let interrupt = Ask::post(self.at("interrupt")?, body, Repeat::Free);
                self.transport.once(&interrupt.wanting(Wanted::Anything)).await?;
                return Ok(());
            }
        }
        Ok(())
    }
}
