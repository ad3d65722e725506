//! fal's queue: submit, status, response
//! (<https://fal.ai/docs/documentation/model-apis/queue>).
//!
//! A submitted request is never submitted again: 429 and 503 say that nothing was queued, after
//! anything else the answer may be lost and the image charged. Status and response are read as
//! often as needed; fal itself retries its runners. What is given up is cancelled at `cancel_url`.

use difftest_core::recipe::Recipe;
use reqwest::Method;
use serde_json::{Map, Value};
use url::Url;

use super::complaint::complaint;
use super::describe::Facts;
use super::fault::{CallError, ImageError, OpenError};
use super::fields::{self, Inputs, with_input};
use super::hosted::Hosted;
use super::link::{fetch, own};
use super::options::{Environment, Provider, Request};
use super::prices;
use super::retry::{Pace, Repeat};
use super::transport::{Ask, Wanted};
use super::work::{Made, Work, check_size};

const ENDPOINT: &str = "https://queue.fal.run";
/// Every model's OpenAPI document, without a key
/// (<https://fal.ai/docs/documentation/setting-up/agent-surfaces>).
const SCHEMAS: &str = "https://fal.ai/api/openapi/queue/openapi.json";

#[derive(Debug)]
pub struct Fal {
    hosted: Hosted,
    url: Url,
    inputs: Option<Inputs>,
}

impl Fal {
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<(Self, Facts), OpenError> {
        let (hosted, mut facts) =
            Hosted::open(request, environment, pace, Provider::Fal, ENDPOINT, "Key")?;
        hosted.takes_no("price_per_second", hosted.price_per_second.is_none())?;
        let url = hosted.at(hosted.model.trim_matches('/'))?;
        // A gateway that has the document has it beside its models.
        let schema = if hosted.is_the_provider {
            Url::parse(SCHEMAS).ok()
        } else {
            hosted.at("openapi.json").ok()
        };
        let mut inputs = None;
        if let Some(mut schema) = schema {
            schema.query_pairs_mut().append_pair("endpoint_id", &hosted.model);
            inputs = hosted.look(schema).await.ok().as_ref().and_then(inputs_of);
        }
        if inputs.is_none() {
            facts.note("the model's inputs are not known: a setting that it lacks may be ignored");
        }
        Ok((Self { hosted, url, inputs }, facts))
    }

    pub fn body(&self, recipe: &Recipe) -> Result<Map<String, Value>, String> {
        let body = with_input(fields::fal(recipe, &self.hosted.names)?, &self.hosted.input)?;
        if let Some(inputs) = &self.inputs {
            inputs.check(&body, &self.hosted.model)?;
        }
        Ok(body)
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let body = self.body(recipe).map_err(ImageError::Recipe)?;
        let transport = &self.hosted.transport;
        work.is_at("asked for");
        let ask = Ask::post(self.url.clone(), Value::Object(body), Repeat::MayCharge);
        let queued = transport.ask(&ask, &work.tally).await?.json()?;
        let cancel = own(transport, queued["cancel_url"].as_str(), "cancel_url")?;
        work.began(cancel);
        let status = own(transport, queued["status_url"].as_str(), "status_url")?;
        let response = own(transport, queued["response_url"].as_str(), "response_url")?;
        self.wait(&status, work).await?;
        work.ended();
        let answer = transport.ask(&Ask::get(response), &work.tally).await?;
        let json = answer.json()?;
        let image = &json["images"][0];
        let image = if image.is_object() { image } else { &json["image"] };
        let Some(link) = image["url"].as_str() else {
            return Err(ImageError::BackEnd(format!(
                "fal answered without an image; its answer {}",
                super::json_path::kind(&json)
            )));
        };
        if json["has_nsfw_concepts"][0] == true {
            return Err(ImageError::BackEnd(
                "fal's safety checker took the image for unsafe and blacked it out".into(),
            ));
        }
        // A model without a seed draws its own, and says which.
        if let Some(used) = json["seed"].as_i64().filter(|used| *used != recipe.seed) {
            return Err(ImageError::BackEnd(format!(
                "fal made the image with the seed {used} instead of {}; does {} take a seed?",
                recipe.seed, self.hosted.model
            )));
        }
        let picture = fetch(transport, link, work).await?;
        check_size(recipe, &picture)?;
        let units = answer.headers.get("x-fal-billable-units");
        let units = units.and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
        let cost =
            units.and_then(|u| prices::fal(&self.hosted.model, u, self.hosted.price_per_unit));
        Ok(Made { picture, cost_usd: self.hosted.price.or(cost) })
    }

    async fn wait(&self, status: &Url, work: &Work) -> Result<(), ImageError> {
        let transport = &self.hosted.transport;
        loop {
            let json = transport.ask(&Ask::get(status.clone()), &work.tally).await?.json()?;
            match json["status"].as_str() {
                Some("COMPLETED") => {
                    let Some(error) = json["error"].as_str() else { return Ok(()) };
                    work.ended();
                    let kind =
                        json["error_type"].as_str().map_or(String::new(), |k| format!(" ({k})"));
                    let said = complaint(error.as_bytes());
                    return Err(ImageError::BackEnd(
                        transport.struck_out(format!("fal could not make the image: {said}{kind}")),
                    ));
                }
                Some("IN_QUEUE") => {
                    let before = json["queue_position"].as_u64();
                    work.is_at(before.map_or("in fal's queue".into(), |n| {
                        format!("{n} before it in fal's queue")
                    }));
                }
                Some("IN_PROGRESS") => work.is_at("being made"),
                other => {
                    return Err(CallError::Malformed {
                        url: super::address::shown(status),
                        cause: format!("the status {other:?} is not one of fal's queue"),
                    }
                    .into());
                }
            }
            transport.pace.sleep(transport.pace.poll).await;
        }
    }

    pub async fn cancel(&self, url: &str) -> Result<(), ImageError> {
        let url = own(&self.hosted.transport, Some(url), "cancel_url")?;
        let ask = Ask { method: Method::PUT, ..Ask::get(url) }.wanting(Wanted::Anything);
        self.hosted.transport.once(&ask).await?;
        Ok(())
    }
}

/// The properties of the body that the document's one `POST` takes.
fn inputs_of(document: &Value) -> Option<Inputs> {
    let paths = document["paths"].as_object()?;
    let post = paths.values().map(|path| &path["post"]).find(|post| post.is_object())?;
    let schema = &post["requestBody"]["content"]["application/json"]["schema"];
    let resolved = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#')?)?,
        None => schema,
    };
    Inputs::of_schema(resolved)
}
