//! A1111's web UI and Forge: `POST /sdapi/v1/txt2img`
//! (<https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API>).
//!
//! Asking again costs nothing but time, so every failure that may pass is tried again. Only our own
//! image is interrupted: each request has a task of its own (`force_task_id`), and `/progress` says
//! which one runs. Older servers do not say it; those are left to finish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use difftest_core::protocol::Secret;
use difftest_core::recipe::Recipe;
use difftest_core::recipe::a1111::{Dialect, request_in};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::describe::Facts;
use super::fault::{CallError, ImageError, OpenError};
use super::fields::with_input;
use super::options::{A1111Options, Common, Environment, Request, base_url, key, own_key, read};
use super::picture::from_base64;
use super::retry::{Pace, Repeat, Tally};
use super::transport::{Ask, Credentials, Transport, Wanted};
use super::work::{Made, Work, check_size, decoded};

const DEFAULT_URL: &str = "http://127.0.0.1:7860";

#[derive(Debug)]
pub struct A1111 {
    transport: Transport,
    base: Url,
    model: Option<String>,
    input: Map<String, Value>,
    dialect: Dialect,
    price: Option<f64>,
}

impl A1111 {
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<(Self, Facts), OpenError> {
        let (common, own): (Common, A1111Options) = read("a1111", &request.options)?;
        let (name, given) = match (&own.url, &own.endpoint) {
            (Some(_), Some(_)) => {
                return Err(OpenError::Options(
                    "[options] of a1111 has both `url` and `endpoint`; leave one of them out"
                        .into(),
                ));
            }
            (None, Some(endpoint)) => ("endpoint", endpoint.as_str()),
            (url, None) => ("url", url.as_deref().unwrap_or(DEFAULT_URL)),
        };
        let base = base_url(name, given)?;
        // A user's name is in a key only if it is for us; the environment's may be for another.
        let given = own.api_key.as_ref();
        let is_ours = |key: &Secret| key.expose().contains(':');
        let given = own_key(given, environment).or_else(|| given.filter(|key| is_ours(key)));
        let of_us = |name: &str| environment(name).filter(|key| key.contains(':'));
        let credentials = basic(key(given, &["DIFFTEST_API_KEY"], &of_us))?;
        let transport =
            Transport::new(&base, common.allow_private, credentials, pace, common.max_retries)
                .map_err(|e| OpenError::Options(e.to_string()))?;
        let mut facts = Facts::new("a1111", &base);
        let mut found = Self {
            transport,
            base,
            model: request.model().map(str::to_owned),
            input: own.input,
            dialect: Dialect::Combined,
            price: common.price_per_image,
        };
        found.greet(&mut facts).await?;
        facts.decides("input", json!(found.input));
        facts.decides("model", json!(found.model));
        Ok((found, facts))
    }

    /// Who is there, and what it has loaded. `/options` is as old as the API itself.
    async fn greet(&mut self, facts: &mut Facts) -> Result<(), OpenError> {
        let options = self.look("sdapi/v1/options").await.map_err(|error| {
            let hint = match error.status() {
                Some(401 | 403) => {
                    "give `api_key = \"user:password\"`, as the server's --api-auth has it"
                }
                Some(404) => "start the web UI with --api",
                _ => "start it, or name its address with `url` in [options]",
            };
            OpenError::BackEnd(format!("A1111: {error}; {hint}"))
        })?;
        let loaded = |name: &str| options[name].as_str().filter(|v| !v.is_empty());
        if self.model.is_none() {
            // What the server happens to have loaded makes the images: it is part of the recipe.
            facts.decides("sd_model_checkpoint", json!(loaded("sd_model_checkpoint")));
            facts.decides("sd_checkpoint_hash", json!(loaded("sd_checkpoint_hash")));
            facts.decides("sd_vae", json!(loaded("sd_vae")));
        }
        for name in ["sd_model_checkpoint", "sd_checkpoint_hash"] {
            if let Some(value) = loaded(name) {
                facts.version(name, value);
            }
        }
        match self.look("sdapi/v1/schedulers").await {
            Ok(_) => self.dialect = Dialect::Split,
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(OpenError::BackEnd(format!("A1111: {error}"))),
        }
        Ok(())
    }

    async fn look(&self, path: &str) -> Result<Value, CallError> {
        let ask = Ask::greeting(self.at(path)?);
        match self.transport.ask(&ask, &Tally::default()).await {
            Ok(answer) => answer.json(),
            Err(ImageError::Call(error) | ImageError::PerhapsCharged(error)) => Err(error),
            Err(other) => {
                Err(CallError::Malformed { url: self.base.to_string(), cause: other.to_string() })
            }
        }
    }

    fn at(&self, path: &str) -> Result<Url, CallError> {
        self.base.join(path).map_err(|e| CallError::Malformed {
            url: super::address::shown(&self.base),
            cause: e.to_string(),
        })
    }

    /// The request's body, without its task.
    pub fn body(&self, recipe: &Recipe) -> Result<Map<String, Value>, String> {
        let body = request_in(recipe, self.dialect).map_err(|e| e.to_string())?;
        let Value::Object(mut body) = body else { return Err("the request is no object".into()) };
        if let Some(model) = &self.model {
            let settings = body.entry("override_settings").or_insert_with(|| json!({}));
            settings["sd_model_checkpoint"] = json!(model);
        }
        with_input(body, &self.input)
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let mut body = self.body(recipe).map_err(ImageError::Recipe)?;
        let task = format!("difftest-{}", uuid::Uuid::new_v4().simple());
        body.insert("force_task_id".into(), json!(task));
        work.began(&task);
        work.is_at("asked for");
        let ask = Ask::post(self.at("sdapi/v1/txt2img")?, Value::Object(body), Repeat::Free);
        let answer = self.transport.ask(&ask, &work.tally).await?;
        work.ended();
        let json = answer.json()?;
        let Some(image) = json["images"][0].as_str() else {
            return Err(ImageError::BackEnd(format!(
                "A1111 answered without an image; its answer {}",
                super::json_path::kind(&json)
            )));
        };
        let mut picture = decoded(from_base64(image)?).await?;
        // `enable_hr` and its like change the size on purpose.
        if self.input.is_empty() {
            check_size(recipe, &picture)?;
        }
        if let Some(info) = json["info"].as_str() {
            picture.text.insert("info".into(), info.to_owned());
            // Not every server writes it into the PNG that its API gives.
            let parameters = serde_json::from_str::<Value>(info)
                .ok()
                .and_then(|info| info["infotexts"][0].as_str().map(str::to_owned));
            if let Some(parameters) = parameters {
                picture.text.entry("parameters".into()).or_insert(parameters);
            }
        }
        Ok(Made { picture, cost_usd: self.price })
    }

    /// Ends the image that runs, if it is ours.
    pub async fn cancel(&self, task: &str) -> Result<(), ImageError> {
        let mut progress = self.at("sdapi/v1/progress")?;
        progress.set_query(Some("skip_current_image=true"));
        let running = self.transport.once(&Ask::get(progress)).await?.json()?;
        if running["current_task"].as_str() == Some(task) {
            let stop = Ask::post(self.at("sdapi/v1/interrupt")?, json!({}), Repeat::Free);
            self.transport.once(&stop.wanting(Wanted::Anything)).await?;
        }
        Ok(())
    }
}

/// `user:password`, as the server's `--api-auth` has it (RFC 7617).
fn basic(given: Option<Secret>) -> Result<Credentials, OpenError> {
    let Some(key) = given else { return Ok(Credentials::default()) };
    if !key.expose().contains(':') {
        return Err(OpenError::Options(
            "the api_key for a1111 is `user:password`, as the server's --api-auth has it".into(),
        ));
    }
    let mut headers = HeaderMap::new();
    let value = format!("Basic {}", BASE64.encode(key.expose()));
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| OpenError::Options("the api_key cannot be sent in a header".into()))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(Credentials { headers, secrets: vec![key] })
}
