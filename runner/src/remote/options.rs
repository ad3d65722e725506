//! What a person configured, checked once: `[options]` of `difftest.toml` and the command line.

use std::path::PathBuf;

use difftest_core::metric::nearest;
use difftest_core::protocol::Secret;
use difftest_core::recipe::RecipeSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::fault::OpenError;

/// What `difftest.generators.Options` says, as JSON.
#[derive(Clone, Deserialize)]
pub struct Request {
    /// `comfyui`, `a1111` or `api`.
    pub generator: String,
    pub model: String,
    /// The repository's root: relative paths start there.
    pub root: PathBuf,
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The settings of the run, to be checked before anything is paid for.
    #[serde(default)]
    pub recipe: RecipeSettings,
    /// How many requests may be under way at a time.
    #[serde(default = "one")]
    pub jobs: usize,
    #[serde(default)]
    pub image_timeout_s: Option<f64>,
}

fn one() -> usize {
    1
}

/// The model that difftest runs where none is named; no server has it.
pub const UNNAMED_MODEL: &str = "shapes";

impl Request {
    /// The model, if a person named one.
    pub fn model(&self) -> Option<&str> {
        Some(self.model.trim()).filter(|m| !m.is_empty() && *m != UNNAMED_MODEL)
    }
}

/// The options that every back end here has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Common {
    /// Lets answers lead to addresses inside this network.
    #[serde(default)]
    pub allow_private: bool,
    /// Repetitions of one call.
    #[serde(default = "four")]
    pub max_retries: usize,
    /// US dollars; counts before what the price table says.
    pub price_per_image: Option<f64>,
}

fn four() -> usize {
    4
}

const COMMON: [&str; 3] = ["allow_private", "max_retries", "price_per_image"];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComfyUiOptions {
    pub url: Option<String>,
    pub workflow: Option<String>,
    pub output_node: Option<String>,
    pub api_key: Option<Secret>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct A1111Options {
    pub url: Option<String>,
    /// The same; what `--endpoint` gives.
    pub endpoint: Option<String>,
    pub api_key: Option<Secret>,
    /// Further fields of the request, by A1111's own names.
    #[serde(default)]
    pub input: Map<String, Value>,
}

/// fal, replicate and openai.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostedOptions {
    #[serde(rename = "provider")]
    _provider: Provider,
    pub endpoint: Option<String>,
    pub api_key: Option<Secret>,
    /// Further fields of the request, by the provider's own names.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// What this model calls a setting of the recipe, where that is not the usual.
    #[serde(default)]
    pub names: Map<String, Value>,
    /// US dollars for a second of the model's running time (replicate).
    pub price_per_second: Option<f64>,
    /// US dollars for a billed unit (fal).
    pub price_per_unit: Option<f64>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomOptions {
    #[serde(rename = "provider")]
    _provider: Provider,
    pub endpoint: Option<String>,
    pub api_key: Option<Secret>,
    pub method: Option<String>,
    /// The request's body, with placeholders.
    pub request: Option<Value>,
    /// May hold keys: no `Debug` of it.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Where the image is in the answer; none where the answer is the image.
    pub response: Option<String>,
    /// Where its cost in US dollars is in the answer.
    pub cost: Option<String>,
    /// Whether a repeated request costs nothing.
    #[serde(default)]
    pub free_to_repeat: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Fal,
    Replicate,
    OpenAi,
    Custom,
}

impl Provider {
    pub const NAMES: [&str; 4] = ["fal", "replicate", "openai", "custom"];

    pub fn of(options: &Map<String, Value>) -> Result<Self, OpenError> {
        let names = Self::NAMES.join(", ");
        let Some(given) = options.get("provider").and_then(Value::as_str) else {
            return Err(OpenError::Options(format!(
                "the generator `api` needs a provider; write `provider = \"…\"` under [options] or give \
                 --provider, one of {names}"
            )));
        };
        match given {
            "fal" => Ok(Self::Fal),
            "replicate" => Ok(Self::Replicate),
            "openai" => Ok(Self::OpenAi),
            "custom" => Ok(Self::Custom),
            other => Err(OpenError::Options(match nearest(other, Self::NAMES) {
                Some(meant) => format!("there is no provider `{other}`; did you mean `{meant}`?"),
                None => format!("there is no provider `{other}`; there are {names}"),
            })),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fal => "fal",
            Self::Replicate => "replicate",
            Self::OpenAi => "openai",
            Self::Custom => "custom",
        }
    }

    /// Where a key is looked for when none is given, ours first, then the provider's usual.
    pub fn key_variables(self) -> &'static [&'static str] {
        match self {
            Self::Fal => &["DIFFTEST_API_KEY", "FAL_KEY"],
            Self::Replicate => &["DIFFTEST_API_KEY", "REPLICATE_API_TOKEN"],
            Self::OpenAi => &["DIFFTEST_API_KEY", "OPENAI_API_KEY"],
            Self::Custom => &["DIFFTEST_API_KEY"],
        }
    }
}

/// How the environment is asked.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// The key that was given, or the one in the environment.
pub fn key(
    given: Option<&Secret>,
    variables: &[&str],
    environment: Environment<'_>,
) -> Option<Secret> {
    let given = given.filter(|key| !key.expose().trim().is_empty());
    given.map(|key| Secret::new(key.expose().trim())).or_else(|| {
        variables.iter().find_map(|name| {
            environment(name).filter(|v| !v.trim().is_empty()).map(|v| Secret::new(v.trim()))
        })
    })
}

/// A key that was given for this back end, and is not the one of the environment: that one reaches
/// every generator, and may be another service's.
pub fn own_key<'a>(given: Option<&'a Secret>, environment: Environment<'_>) -> Option<&'a Secret> {
    let of_the_environment = environment("DIFFTEST_API_KEY");
    given.filter(|key| of_the_environment.as_deref() != Some(key.expose()))
}

pub fn required_key(
    provider: Provider,
    given: Option<&Secret>,
    environment: Environment<'_>,
) -> Result<Secret, OpenError> {
    let variables = provider.key_variables();
    key(given, variables, environment).ok_or_else(|| {
        OpenError::Options(format!(
            "the provider `{}` needs an API key; set {} in the environment",
            provider.as_str(),
            variables.join(" or ")
        ))
    })
}

/// Options that are not text; `--option KEY=VALUE` gives them as JSON.
const TYPED: [&str; 10] = [
    "allow_private",
    "max_retries",
    "price_per_image",
    "price_per_second",
    "price_per_unit",
    "free_to_repeat",
    "input",
    "names",
    "headers",
    "request",
];

/// Reads a back end's options; `what` names it in errors.
pub fn read<T: DeserializeOwned>(
    what: &str,
    options: &Map<String, Value>,
) -> Result<(Common, T), OpenError> {
    let mut own = options.clone();
    // The command line passes what was not given as null.
    own.retain(|_, value| !value.is_null());
    for name in TYPED {
        if let Some(Value::String(text)) = own.get(name)
            && let Ok(typed) = serde_json::from_str::<Value>(text)
        {
            own.insert(name.to_owned(), typed);
        }
    }
    let common: Map<String, Value> = COMMON
        .iter()
        .filter_map(|name| own.remove(*name).map(|value| ((*name).to_owned(), value)))
        .collect();
    let common: Common = serde_json::from_value(Value::Object(common))
        .map_err(|e| OpenError::Options(format!("[options] of {what}: {e}")))?;
    if let Some(price) = common.price_per_image {
        not_negative("price_per_image", price)?;
    }
    let own = serde_json::from_value(Value::Object(own))
        .map_err(|e| said_better(what, &e.to_string()))?;
    Ok((common, own))
}

pub fn not_negative(name: &str, price: f64) -> Result<f64, OpenError> {
    match price.is_finite() && price >= 0.0 {
        true => Ok(price),
        false => Err(OpenError::Options(format!(
            "`{name} = {price}` is no price; write US dollars, from 0"
        ))),
    }
}

/// serde's message for an unknown key lists every key there is; the one that was meant is enough.
fn said_better(what: &str, message: &str) -> OpenError {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let better = match (message.starts_with("unknown field"), quoted.split_first()) {
        (true, Some((unknown, known))) => {
            let known: Vec<&str> = known.iter().copied().chain(COMMON).collect();
            match nearest(unknown, known.iter().copied()) {
                Some(meant) => format!("unknown key `{unknown}`; did you mean `{meant}`?"),
                None => format!("unknown key `{unknown}`; the keys are {}", known.join(", ")),
            }
        }
        _ => message.to_owned(),
    };
    OpenError::Options(format!("[options] of {what}: {better}"))
}

/// An address as a person writes it: `127.0.0.1:8188` is one, too. Its path ends in `/`, so that
/// joining keeps it.
pub fn base_url(name: &str, given: &str) -> Result<Url, OpenError> {
    let given = given.trim();
    let text = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let wrong = |why: String| {
        OpenError::Options(format!(
            "`{name}` is not an address of a server: {why}; write http://HOST:PORT"
        ))
    };
    let mut url = Url::parse(&text).map_err(|e| wrong(e.to_string()))?;
    super::address::Origin::of(&url).map_err(|e| OpenError::Options(format!("`{name}`: {e}")))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment".into()));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let message = |options: Value| {
            read::<ComfyUiOptions>("comfyui", &map(options)).unwrap_err().to_string()
        };
        assert_eq!(
            message(json!({"workflw": "a.json"})),
            "[options] of comfyui: unknown key `workflw`; did you mean `workflow`?"
        );
        assert!(message(json!({"alow_private": true})).ends_with("did you mean `allow_private`?"));
        assert!(message(json!({"frobnicate": 1})).contains("the keys are url, workflow"));
        assert!(message(json!({"allow_private": "yes"})).contains("expected a boolean"));
        assert!(message(json!({"price_per_image": -1.0})).contains("is no price"));
    }

    #[test]
    fn what_the_command_line_did_not_give_is_not_there() {
        let (common, own) = read::<ComfyUiOptions>(
            "comfyui",
            &map(json!({"url": null, "workflow": "w.json", "provider": null, "max_retries": "2"})),
        )
        .unwrap();
        assert_eq!((common.max_retries, common.allow_private), (2, false));
        assert_eq!((own.url, own.workflow.as_deref()), (None, Some("w.json")));
    }

    #[test]
    fn a_missing_key_says_where_it_is_looked_for() {
        let environment = |set: &'static [(&'static str, &'static str)]| {
            move |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        let missing = required_key(Provider::Fal, None, &environment(&[("FAL_KEY", " ")]));
        assert_eq!(
            missing.unwrap_err().to_string(),
            "the provider `fal` needs an API key; set DIFFTEST_API_KEY or FAL_KEY in the environment"
        );
        let both = environment(&[("DIFFTEST_API_KEY", "ours"), ("OPENAI_API_KEY", "theirs")]);
        let found = |given: Option<&Secret>| {
            required_key(Provider::OpenAi, given, &both).unwrap().expose().to_owned()
        };
        assert_eq!(found(None), "ours");
        assert_eq!(found(Some(&Secret::new("given"))), "given");
        let usual = environment(&[("REPLICATE_API_TOKEN", "theirs\n")]);
        assert_eq!(required_key(Provider::Replicate, None, &usual).unwrap().expose(), "theirs");
    }

    #[test]
    fn an_unknown_provider_names_the_nearest() {
        let message = |options: Value| Provider::of(&map(options)).unwrap_err().to_string();
        assert!(message(json!({"provider": "replicte"})).ends_with("did you mean `replicate`?"));
        assert!(message(json!({})).contains("--provider"));
    }

    #[test]
    fn an_address_is_completed_and_never_holds_a_password() {
        assert_eq!(base_url("url", "127.0.0.1:8188").unwrap().as_str(), "http://127.0.0.1:8188/");
        assert_eq!(
            base_url("url", "https://a.example/x").unwrap().as_str(),
            "https://a.example/x/"
        );
        let message = |given: &str| base_url("url", given).unwrap_err().to_string();
        assert!(message("http://u:secret@host").contains("api_key"));
        assert!(!message("http://u:secret@host").contains("secret"));
        assert!(message("ftp://host").contains("http://HOST:PORT"));
        assert!(message("http://host/?a=b").contains("query"));
    }
}
