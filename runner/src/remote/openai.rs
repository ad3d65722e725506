//! OpenAI's images: `POST /v1/images/generations`
//! (<https://platform.openai.com/docs/api-reference/images/create>).
//!
//! It has no seeds: equal recipes give other images, which `describe()` says as `unseeded`. An
//! image is charged when it is made, and nothing tells afterwards whether it was; so only what
//! surely began nothing is asked again (no connection, 429, 503). A request that is given up cannot
//! be called off.

use difftest_core::recipe::Recipe;
use serde_json::{Map, Value};
use url::Url;

use super::describe::Facts;
use super::fault::{ImageError, OpenError};
use super::fields::{self, Names, with_input};
use super::hosted::Hosted;
use super::link::fetch;
use super::options::{Environment, Provider, Request};
use super::prices;
use super::retry::{Pace, Repeat};
use super::transport::Ask;
use super::work::{Made, Work, check_size};

const ENDPOINT: &str = "https://api.openai.com/v1";

#[derive(Debug)]
pub struct OpenAi {
    hosted: Hosted,
    url: Url,
}

impl OpenAi {
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<(Self, Facts), OpenError> {
        let (hosted, mut facts) =
            Hosted::open(request, environment, pace, Provider::OpenAi, ENDPOINT, "Bearer")?;
        hosted.takes_no("names", hosted.names == Names::default())?;
        hosted.takes_no("price_per_second", hosted.price_per_second.is_none())?;
        hosted.takes_no("price_per_unit", hosted.price_per_unit.is_none())?;
        let url = hosted.at("images/generations")?;
        facts.is_seeded = false;
        facts.note("openai takes no seed: the same recipe gives another image each time");
        hosted.greet(hosted.at(&format!("models/{}", hosted.model))?).await?;
        Ok((Self { hosted, url }, facts))
    }

    pub fn body(&self, recipe: &Recipe) -> Result<Map<String, Value>, String> {
        with_input(fields::openai(recipe, &self.hosted.model)?, &self.hosted.input)
    }

    pub async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        let body = self.body(recipe).map_err(ImageError::Recipe)?;
        work.is_at("asked for");
        let ask = Ask::post(self.url.clone(), Value::Object(body), Repeat::MayCharge);
        let json = self.hosted.transport.ask(&ask, &work.tally).await?.json()?;
        let image = &json["data"][0];
        let Some(link) = image["b64_json"].as_str().or_else(|| image["url"].as_str()) else {
            return Err(ImageError::BackEnd(format!(
                "openai answered without an image; its answer {}",
                super::json_path::kind(&json)
            )));
        };
        let mut picture = fetch(&self.hosted.transport, link, work).await?;
        check_size(recipe, &picture)?;
        if let Some(revised) = image["revised_prompt"].as_str() {
            picture.text.insert("revised_prompt".into(), revised.to_owned());
        }
        let cost = prices::openai(&self.hosted.model, &json["usage"]);
        Ok(Made { picture, cost_usd: self.hosted.price.or(cost) })
    }
}
