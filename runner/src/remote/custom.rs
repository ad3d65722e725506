//! A back end that nobody here knows: a request template, and where the image is in the answer.
//!
//! Whether a repeated request costs anything only its owner knows (`free_to_repeat`); without that
//! word a POST is repeated after 429 and 503 alone, a GET as every reading is.

use std::path::Path;

use difftest_core::protocol::Secret;
use difftest_core::recipe::Recipe;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::address::shown;
use super::describe::Facts;
use super::fault::{ImageError, OpenError};
use super::json_path::{JsonPath, kind};
use super::link::fetch;
use super::options::{
    Common, CustomOptions, Environment, Provider, Request, base_url, own_key, read, required_key,
};
use super::retry::{Pace, Repeat};
use super::template::Template;
use super::transport::{Ask, Credentials, Transport, Wanted, is_image};
use super::work::{Made, Work, check_size, decoded};

const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const API_KEY: &str = "{api_key}";

pub struct Custom {
    transport: Transport,
    url: Url,
    method: Method,
    template: Template,
    model: Option<String>,
    response: Option<JsonPath>,
    cost: Option<JsonPath>,
    repeat: Repeat,
    price: Option<f64>,
}

/// The address may have a key in its query.
impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custom").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

impl Custom {
    pub fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<(Self, Facts), OpenError> {
        let (common, own): (Common, CustomOptions) = read("the provider custom", &request.options)?;
        let options = |message: String| OpenError::Options(message);
        let missing = |name: &str, example: &str| {
            options(format!("the provider custom needs `{name}` in [options], e.g. {example}"))
        };
        let endpoint = own.endpoint.as_deref().ok_or_else(|| {
            missing("endpoint", "endpoint = \"https://images.example.com/generate\"")
        })?;
        // Checked as every address; kept as written, since its path is the whole one.
        base_url("endpoint", endpoint.split('?').next().unwrap_or_default())?;
        let url = Url::parse(endpoint).map_err(|e| options(format!("`endpoint`: {e}")))?;
        let method = own.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            return Err(options(format!(
                "`method = \"{method}\"` is none of {}",
                METHODS.join(", ")
            )));
        }
        let body = own.request.ok_or_else(|| {
            missing("request", "[options.request] with prompt = \"{prompt}\" and seed = \"{seed}\"")
        })?;
        let body = table(&request.root, body).map_err(options)?;
        let template = Template::read(&body).map_err(|e| options(e.to_string()))?;
        let path = |name: &str, text: Option<&String>| -> Result<Option<JsonPath>, OpenError> {
            text.map(|text| text.parse().map_err(|e| options(format!("`{name}`: {e}")))).transpose()
        };
        let response = path("response", own.response.as_ref())?;
        let cost = path("cost", own.cost.as_ref())?;
        let credentials = credentials(&own.headers, own.api_key.as_ref(), environment)?;
        let transport =
            Transport::new(&url, common.allow_private, credentials, pace, common.max_retries)
                .map_err(|e| options(e.to_string()))?;
        let model = request.model().map(str::to_owned);
        if model.is_some() && !template.uses("model") {
            return Err(options(
                "a model is named, but the request has no {model}; add it to [options.request], or leave `model` out"
                    .into(),
            ));
        }
        let mut facts = Facts::new("api:custom", &url);
        facts.is_seeded = template.uses("seed");
        if !facts.is_seeded {
            facts.note("the request has no {seed}: the same recipe gives another image each time");
        }
        facts.decides("method", json!(method));
        facts.decides("request", body);
        facts.decides("model", json!(model));
        facts.decides("response", json!(own.response));
        let repeat = match own.free_to_repeat || method == "GET" {
            true => Repeat::Free,
            false => Repeat::MayCharge,
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|e| options(e.to_string()))?;
        let price = common.price_per_image;
        let custom =
            Self { transport, url, method, template, model, response, cost, repeat, price };
        Ok((custom, facts))
    }

    pub fn body(&self, recipe: &Recipe) -> Result<Value, String> {
        self.template.fill(recipe, self.model.as_deref())
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let body = self.body(recipe).map_err(ImageError::Recipe)?;
        let mut ask = Ask::image(self.url.clone()).wanting(Wanted::Anything);
        ask.method = self.method.clone();
        ask.repeat = self.repeat;
        if self.method == Method::GET {
            // There is no body: the fields are the query.
            for (name, value) in body.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                ask.url.query_pairs_mut().append_pair(name, &text);
            }
        } else {
            ask.body = Some(body);
        }
        work.is_at("asked for");
        let answer = self.transport.ask(&ask, &work.tally).await?;
        if is_image(&answer.content_type()) {
            let picture = decoded(answer.body).await?;
            self.check(recipe, &picture)?;
            return Ok(Made { picture, cost_usd: self.price });
        }
        self.transport.check_kind(
            &answer,
            if self.response.is_some() { Wanted::Json } else { Wanted::Image },
        )?;
        let Some(path) = &self.response else {
            let picture = decoded(answer.body).await?;
            self.check(recipe, &picture)?;
            return Ok(Made { picture, cost_usd: self.price });
        };
        let json = answer.json()?;
        let found = path.find(&json).map_err(|e| ImageError::BackEnd(e.to_string()))?;
        let link = found.as_str().ok_or_else(|| {
            ImageError::BackEnd(format!(
                "`{path}` is where `response` says that the image is, but it {}; a link or base64 was expected",
                kind(found)
            ))
        })?;
        let picture = fetch(&self.transport, link, work).await?;
        self.check(recipe, &picture)?;
        let cost = self.cost.as_ref().and_then(|cost| cost.find(&json).ok()?.as_f64());
        Ok(Made { picture, cost_usd: self.price.or(cost) })
    }

    /// Only where the size was sent.
    fn check(&self, recipe: &Recipe, picture: &super::picture::Picture) -> Result<(), ImageError> {
        let sends_size = self.template.uses("width") || self.template.uses("height");
        if sends_size { check_size(recipe, picture) } else { Ok(()) }
    }
}

/// The template itself, or the JSON file of the repository that has it.
fn table(root: &Path, given: Value) -> Result<Value, String> {
    let Value::String(path) = given else { return Ok(given) };
    let file = root.join(path);
    let text = std::fs::read_to_string(&file)
        .map_err(|e| format!("the request template {} cannot be read: {e}", file.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{} is not JSON: {e}", file.display()))
}

/// `[options.headers]`: all of them may be secret. `{api_key}` is the key.
fn credentials(
    given: &Map<String, Value>,
    api_key: Option<&Secret>,
    environment: Environment<'_>,
) -> Result<Credentials, OpenError> {
    let wrong = |name: &str, why: &str| {
        OpenError::Options(format!("the header `{name}` in [options.headers] {why}"))
    };
    let mut credentials = Credentials::default();
    let mut uses_key = false;
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let text = value.as_str().ok_or_else(|| wrong(name, "is no text"))?;
        let mut text = text.to_owned();
        if text.contains(API_KEY) {
            uses_key = true;
            let key = required_key(Provider::Custom, api_key, environment)?;
            text = text.replace(API_KEY, key.expose());
            credentials.secrets.push(key);
        }
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| wrong(name, "has a name that no header has"))?;
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| wrong(name, "has a value that no header has"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
        // A short value, `1` for instance, is no secret and would be struck out everywhere.
        if text.len() >= 8 {
            credentials.secrets.push(Secret::new(text));
        }
    }
    if !uses_key && own_key(api_key, environment).is_some() {
        return Err(OpenError::Options(
            "an api_key is given, but no header in [options.headers] has {api_key}; write for instance \
             Authorization = \"Bearer {api_key}\""
                .into(),
        ));
    }
    credentials.headers = headers;
    Ok(credentials)
}
