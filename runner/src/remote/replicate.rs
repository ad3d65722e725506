//! Replicate's predictions (<https://replicate.com/docs/reference/http>).
//!
//! A prediction is created once; 429 and 503 say that none was. Then it is polled. It carries its
//! own deadline (`Cancel-After`): even one whose answer was lost, or whose run died, ends and stops
//! costing. `Prefer: wait` is short, so that there soon is an id by which it can be cancelled.

use std::time::Duration;

use difftest_core::recipe::Recipe;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};
use url::Url;

use super::complaint::one_line;
use super::describe::Facts;
use super::fault::{CallError, ImageError, OpenError};
use super::fields::{self, Inputs, with_input};
use super::hosted::Hosted;
use super::link::{fetch, own};
use super::options::{Environment, Provider, Request};
use super::retry::{Pace, Repeat};
use super::transport::{Ask, Wanted};
use super::work::{Made, Work, check_size};

const ENDPOINT: &str = "https://api.replicate.com/v1";
/// The shortest deadline that Replicate takes.
const SHORTEST_DEADLINE_S: u64 = 5;

#[derive(Debug)]
pub struct Replicate {
    hosted: Hosted,
    url: Url,
    /// Of a pinned model.
    version: Option<String>,
    inputs: Option<Inputs>,
    deadline: HeaderValue,
}

impl Replicate {
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
        image_timeout: Duration,
    ) -> Result<(Self, Facts), OpenError> {
        let (hosted, mut facts) =
            Hosted::open(request, environment, pace, Provider::Replicate, ENDPOINT, "Bearer")?;
        hosted.takes_no("price_per_unit", hosted.price_per_unit.is_none())?;
        let (name, version) = match hosted.model.split_once(':') {
            Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
            None => (hosted.model.clone(), None),
        };
        if name.split('/').filter(|part| !part.is_empty()).count() != 2
            || version.as_deref() == Some("")
        {
            return Err(OpenError::Options(format!(
                "`{}` is no model of Replicate; write OWNER/NAME, or OWNER/NAME:VERSION",
                hosted.model
            )));
        }
        let about = match &version {
            Some(version) => hosted.at(&format!("models/{name}/versions/{version}"))?,
            None => hosted.at(&format!("models/{name}"))?,
        };
        let about = hosted.greet(about).await?.unwrap_or_default();
        let latest = if version.is_some() { &about } else { &about["latest_version"] };
        if let Some(id) = latest["id"].as_str() {
            facts.version("replicate_version", id);
            // An unpinned model changes under the same name; the cache must see that.
            facts.decides("version", json!(id));
        }
        let inputs = Inputs::of_schema(&latest["openapi_schema"]["components"]["schemas"]["Input"]);
        if inputs.is_none() {
            facts.note("the model's inputs are not known: a setting that it lacks may be ignored");
        }
        let url = match &version {
            Some(_) => hosted.at("predictions")?,
            None => hosted.at(&format!("models/{name}/predictions"))?,
        };
        let seconds = image_timeout.as_secs().saturating_add(1).max(SHORTEST_DEADLINE_S);
        let deadline = HeaderValue::from_str(&format!("{seconds}s"))
            .map_err(|e| OpenError::Options(format!("image_timeout: {e}")))?;
        Ok((Self { hosted, url, version, inputs, deadline }, facts))
    }

    pub fn body(&self, recipe: &Recipe) -> Result<Map<String, Value>, String> {
        let input = fields::replicate(recipe, &self.hosted.names, self.inputs.as_ref())?;
        let input = with_input(input, &self.hosted.input)?;
        if let Some(inputs) = &self.inputs {
            inputs.check(&input, &self.hosted.model)?;
        }
        let mut body = Map::from_iter([("input".into(), Value::Object(input))]);
        if let Some(version) = &self.version {
            body.insert("version".into(), json!(version));
        }
        Ok(body)
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let body = self.body(recipe).map_err(ImageError::Recipe)?;
        let transport = &self.hosted.transport;
        let mut ask = Ask::post(self.url.clone(), Value::Object(body), Repeat::MayCharge);
        ask.headers.insert("prefer", HeaderValue::from_static("wait=5"));
        ask.headers.insert("cancel-after", self.deadline.clone());
        work.is_at("asked for");
        let mut prediction = match transport.ask(&ask, &work.tally).await {
            Ok(answer) => answer.json()?,
            Err(ImageError::Call(error))
                if error.status() == Some(404) && self.version.is_none() =>
            {
                return Err(ImageError::BackEnd(format!(
                    "{error} (only official models run without a version: write `model = \"{}:VERSION\"`)",
                    self.hosted.model
                )));
            }
            Err(other) => return Err(other),
        };
        if let Some(cancel) = prediction["urls"]["cancel"].as_str() {
            work.began(cancel);
        }
        loop {
            match prediction["status"].as_str() {
                Some("succeeded") => break,
                Some("starting") => work.is_at("waiting for a machine at Replicate"),
                Some("processing") => work.is_at("being made"),
                Some(end @ ("failed" | "canceled" | "aborted")) => {
                    work.ended();
                    let why = match &prediction["error"] {
                        Value::String(error) => format!(": {}", one_line(error)),
                        _ => String::new(),
                    };
                    return Err(ImageError::BackEnd(
                        transport.struck_out(format!("Replicate's prediction {end}{why}")),
                    ));
                }
                other => {
                    return Err(CallError::Malformed {
                        url: super::address::shown(&self.url),
                        cause: format!("the status {other:?} is not one of a prediction"),
                    }
                    .into());
                }
            }
            transport.pace.sleep(transport.pace.poll).await;
            let get = own(transport, prediction["urls"]["get"].as_str(), "urls.get")?;
            prediction = transport.ask(&Ask::get(get), &work.tally).await?.json()?;
        }
        work.ended();
        let picture = fetch(transport, link(&prediction["output"])?, work).await?;
        check_size(recipe, &picture)?;
        let seconds = prediction["metrics"]["predict_time"].as_f64();
        let cost = seconds.zip(self.hosted.price_per_second).map(|(s, price)| s * price);
        Ok(Made { picture, cost_usd: self.hosted.price.or(cost) })
    }

    pub async fn cancel(&self, url: &str) -> Result<(), ImageError> {
        let url = own(&self.hosted.transport, Some(url), "urls.cancel")?;
        let ask = Ask::post(url, json!({}), Repeat::Free).wanting(Wanted::Anything);
        self.hosted.transport.once(&ask).await?;
        Ok(())
    }
}

/// A model answers with a link, with a list of them, or with an object that has one.
fn link(output: &Value) -> Result<&str, ImageError> {
    let several = |count: usize| {
        ImageError::BackEnd(format!(
            "the model made {count} images at once; let it make one, for instance by `num_outputs = 1` in \
             [options.input]"
        ))
    };
    match output {
        Value::String(link) => Ok(link),
        Value::Array(links) if links.len() == 1 => link(&links[0]),
        Value::Array(links) if links.len() > 1 => Err(several(links.len())),
        Value::Object(files) if files.values().filter(|v| v.is_string()).count() == 1 => {
            let mut links = files.values().filter_map(Value::as_str);
            links.next().ok_or_else(|| several(0))
        }
        other => Err(ImageError::BackEnd(format!(
            "Replicate's prediction succeeded without an image; its output {}",
            super::json_path::kind(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_in_every_form_of_output() {
        let found = |output: Value| link(&output).map(str::to_owned).map_err(|e| e.to_string());
        assert_eq!(found(json!("u")).unwrap(), "u");
        assert_eq!(found(json!(["u"])).unwrap(), "u");
        assert_eq!(found(json!({"image": "u", "seed": 7})).unwrap(), "u");
        assert!(found(json!(["u", "v"])).unwrap_err().contains("2 images at once"));
        assert!(found(json!([])).unwrap_err().contains("is an array of 0"));
        assert!(found(Value::Null).unwrap_err().contains("is null"));
    }
}
