//! What fal, Replicate and OpenAI have in common: a key, a model, an address, prices.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::address::shown;
use super::describe::Facts;
use super::fault::{CallError, ImageError, OpenError};
use super::fields::Names;
use super::options::{
    Common, Environment, HostedOptions, Provider, Request, base_url, not_negative, read,
    required_key,
};
use super::retry::{Pace, Tally};
use super::transport::{Ask, Credentials, Transport};

#[derive(Debug)]
pub struct Hosted {
    pub transport: Transport,
    pub provider: Provider,
    base: Url,
    /// Whether it is the provider itself, and not a stand-in or a gateway before it.
    pub is_the_provider: bool,
    pub model: String,
    /// `[options.input]`.
    pub input: Map<String, Value>,
    pub names: Names,
    pub price: Option<f64>,
    pub price_per_second: Option<f64>,
    pub price_per_unit: Option<f64>,
}

impl Hosted {
    /// `scheme` is the word before the key: `Bearer`, or fal's `Key`.
    pub fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
        provider: Provider,
        endpoint: &str,
        scheme: &str,
    ) -> Result<(Self, Facts), OpenError> {
        let name = provider.as_str();
        let (common, own): (Common, HostedOptions) =
            read(&format!("the provider {name}"), &request.options)?;
        let key = required_key(provider, own.api_key.as_ref(), environment)?;
        let Some(model) = request.model() else {
            let example = match provider {
                Provider::Fal => "fal-ai/flux/dev",
                Provider::Replicate => "black-forest-labs/flux-dev",
                _ => "gpt-image-2",
            };
            return Err(OpenError::Options(format!(
                "name the model that {name} shall run: `model = \"{example}\"`, or --model"
            )));
        };
        let base = base_url("endpoint", own.endpoint.as_deref().unwrap_or(endpoint))?;
        let mut value =
            HeaderValue::from_str(&format!("{scheme} {}", key.expose())).map_err(|_| {
                OpenError::Options(format!("the API key for {name} has characters that no key has"))
            })?;
        value.set_sensitive(true);
        let credentials = Credentials {
            headers: HeaderMap::from_iter([(AUTHORIZATION, value)]),
            secrets: vec![key],
        };
        let transport =
            Transport::new(&base, common.allow_private, credentials, pace, common.max_retries)
                .map_err(|e| OpenError::Options(e.to_string()))?;
        for (option, price) in
            [("price_per_second", own.price_per_second), ("price_per_unit", own.price_per_unit)]
        {
            if let Some(price) = price {
                not_negative(option, price)?;
            }
        }
        let names = Names::read(&own.names).map_err(OpenError::Options)?;
        let mut facts = Facts::new(
            match provider {
                Provider::Fal => "api:fal",
                Provider::Replicate => "api:replicate",
                Provider::OpenAi => "api:openai",
                Provider::Custom => "api:custom",
            },
            &base,
        );
        facts.decides("model", json!(model));
        facts.decides("input", json!(own.input));
        facts.decides("names", json!(own.names));
        let hosted = Self {
            is_the_provider: base_url("endpoint", endpoint).is_ok_and(|default| default == base),
            transport,
            provider,
            base,
            model: model.to_owned(),
            input: own.input,
            names,
            price: common.price_per_image,
            price_per_second: own.price_per_second,
            price_per_unit: own.price_per_unit,
        };
        Ok((hosted, facts))
    }

    pub fn at(&self, path: &str) -> Result<Url, OpenError> {
        self.base.join(path).map_err(|e| {
            OpenError::Options(format!("`{path}` cannot follow {}: {e}", shown(&self.base)))
        })
    }

    /// An option that another provider has.
    pub fn takes_no(&self, option: &str, is_unset: bool) -> Result<(), OpenError> {
        match is_unset {
            true => Ok(()),
            false => Err(OpenError::Options(format!(
                "`{option}` in [options] means nothing to the provider {}; leave it out",
                self.provider.as_str()
            ))),
        }
    }

    /// A question that costs nothing, while the back end is opened.
    pub async fn look(&self, url: Url) -> Result<Value, CallError> {
        let ask = Ask::greeting(url);
        match self.transport.ask(&ask, &Tally::default()).await {
            Ok(answer) => answer.json(),
            Err(ImageError::Call(error) | ImageError::PerhapsCharged(error)) => Err(error),
            Err(other) => {
                Err(CallError::Malformed { url: shown(&ask.url), cause: other.to_string() })
            }
        }
    }

    /// Asks about the model, so that a wrong key or model ends the run before it begins. A gateway
    /// may not know the question, and a key may not be allowed to ask it: that says nothing.
    pub async fn greet(&self, url: Url) -> Result<Option<Value>, OpenError> {
        let name = self.provider.as_str();
        match self.look(url).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.status() {
                Some(401) => Err(OpenError::BackEnd(format!(
                    "{name} does not accept the API key: {error}; it is read from {}",
                    self.provider.key_variables().join(" or ")
                ))),
                Some(404) if self.is_the_provider => Err(OpenError::BackEnd(format!(
                    "{name} has no model `{}`: {error}",
                    self.model
                ))),
                Some(_) => Ok(None),
                None => Err(OpenError::BackEnd(format!("{name}: {error}"))),
            },
        }
    }
}
