//! What a run uses, key by key, and where each value came from.
//!
//! The file, the environment and the command line all set keys by [`Settings::set`], in that
//! order, so that one place knows what each key may be.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::quantity::{parse_duration, parse_size, show_duration, show_size};
use crate::metric::nearest;
use crate::recipe::{RecipeError, RecipeSettings};

/// Every key of a suite, and of the top of the file.
pub const KEYS: [&str; 16] = [
    "model",
    "generator",
    "device",
    "test_dir",
    "recipe",
    "options",
    "batch_size",
    "jobs",
    "vram_budget",
    "min_samples",
    "incremental",
    "cache_limit",
    "image_timeout",
    "timeout",
    "labels",
    "network",
];

const JOB_TIMEOUT_S: u64 = 3600;
const CACHE_LIMIT: u64 = 10 << 30;
/// Options whose value nobody is shown.
const SECRETS: [&str; 5] = ["key", "token", "secret", "password", "headers"];

/// What a suite runs, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub model: String,
    /// A generator's name, or `module:factory` of a Python object in the repository under test.
    pub generator: Option<String>,
    pub device: String,
    /// Relative to the repository's root.
    pub test_dir: String,
    pub recipe: RecipeSettings,
    /// The generator's own, by name; it says itself which there are.
    pub options: Map<String, Value>,
    /// Images generated at once.
    pub batch_size: Option<u32>,
    /// Threads of native metrics, and requests at a time of a hosted back end.
    pub jobs: Option<u32>,
    /// The card's memory that models may take together, in bytes.
    pub vram_budget: Option<u64>,
    /// Fewer scored images than this say nothing about a metric.
    pub min_samples: Option<u32>,
    /// Whether images are taken from the cache.
    pub incremental: bool,
    /// In bytes.
    pub cache_limit: u64,
    /// In seconds.
    pub image_timeout: Option<u64>,
    /// Of the whole run, in seconds.
    pub timeout: Option<u64>,
    pub labels: Vec<String>,
    pub network: bool,
    /// Where the keys that somebody set came from, dotted for the keys of tables.
    pub origins: BTreeMap<String, Origin>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File { file: String, line: u32 },
    Environment(String),
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::CommandLine(flag) => write!(f, "command line, {flag}"),
        }
    }
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// With a type of its own: from a file.
    Typed(Value),
    /// As text: from the environment or the command line.
    Text(String),
}

/// Why a key cannot be set so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetError {
    #[error("unknown key `{key}`; {hint}")]
    Unknown { key: String, hint: String },
    #[error("`{key} = {given}` cannot be used; write {wanted}")]
    Wrong { key: String, given: String, wanted: &'static str },
    #[error("`test_dir = \"{0}\"` leaves the repository; give a path below its root")]
    Leaves(String),
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "shapes".into(),
            generator: None,
            device: "cpu".into(),
            test_dir: "tests".into(),
            recipe: RecipeSettings::default(),
            options: Map::new(),
            batch_size: None,
            jobs: None,
            vram_budget: None,
            min_samples: None,
            incremental: false,
            cache_limit: CACHE_LIMIT,
            image_timeout: None,
            timeout: None,
            labels: Vec::new(),
            network: false,
            origins: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The longest a job of this suite may take on a runner, in seconds.
    pub fn job_timeout(&self) -> u64 {
        self.timeout.unwrap_or(JOB_TIMEOUT_S)
    }

    /// Sets one key. Keys of tables are dotted: `recipe.steps`, `options.dtype`.
    pub fn set(&mut self, key: &str, given: &Given, origin: Origin) -> Result<(), SetError> {
        let value = Reader { key, given };
        match key.split_once('.') {
            Some(("recipe", field)) => return self.set_recipe(field, given, origin),
            Some(("options", option)) if !option.is_empty() => {
                let value = match given {
                    Given::Typed(value) => value.clone(),
                    Given::Text(text) => Value::String(text.clone()),
                };
                self.options.insert(option.to_owned(), value);
            }
            Some(_) => return Err(unknown(key, &KEYS)),
            None => match key {
                "model" => self.model = value.text()?,
                "generator" => self.generator = Some(value.text()?),
                "device" => self.device = value.text()?,
                "test_dir" => self.test_dir = value.folder()?,
                "batch_size" => self.batch_size = Some(value.count()?),
                "jobs" => self.jobs = Some(value.count()?),
                "vram_budget" => self.vram_budget = Some(value.size()?),
                "min_samples" => self.min_samples = Some(value.count()?),
                "incremental" => self.incremental = value.truth()?,
                "cache_limit" => self.cache_limit = value.size()?,
                "image_timeout" => self.image_timeout = Some(value.duration()?),
                "timeout" => self.timeout = Some(value.duration()?),
                "labels" => self.labels = value.texts()?,
                "network" => self.network = value.truth()?,
                _ => return Err(unknown(key, &KEYS)),
            },
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// `recipe.lora` and `recipe.size` set the fields that they are short for.
    fn set_recipe(&mut self, field: &str, given: &Given, origin: Origin) -> Result<(), SetError> {
        let fields = match given {
            Given::Typed(value) => self.recipe.set_value(field, value)?,
            Given::Text(text) => self.recipe.set_text(field, text)?,
        };
        self.origins.extend(fields.iter().map(|f| (format!("recipe.{f}"), origin.clone())));
        Ok(())
    }

    /// Every key as it would be written, with where it came from; `None` is difftest's own
    /// default. Secrets are not shown.
    pub fn shown(&self) -> Vec<(String, String, Option<&Origin>)> {
        let text = |t: &str| Value::from(t).to_string();
        let number = |n: Option<u32>, other: &str| n.map_or(other.to_owned(), |n| n.to_string());
        let duration = |s: Option<u64>| s.map_or("none".into(), |s| text(&show_duration(s)));
        let mut rows = vec![
            ("model".to_owned(), text(&self.model)),
            ("generator".into(), self.generator.as_deref().map_or("the model's own".into(), text)),
            ("device".into(), text(&self.device)),
            ("test_dir".into(), text(&self.test_dir)),
            ("batch_size".into(), number(self.batch_size, "the generator's own")),
            ("jobs".into(), number(self.jobs, "one for each core")),
            (
                "vram_budget".into(),
                self.vram_budget.map_or("all there is".into(), |b| text(&show_size(b))),
            ),
            ("min_samples".into(), number(self.min_samples, "none")),
            ("incremental".into(), self.incremental.to_string()),
            ("cache_limit".into(), text(&show_size(self.cache_limit))),
            ("image_timeout".into(), duration(self.image_timeout)),
            ("timeout".into(), duration(self.timeout)),
            ("labels".into(), Value::from(self.labels.clone()).to_string()),
            ("network".into(), self.network.to_string()),
        ];
        if let Ok(Value::Object(fields)) = serde_json::to_value(&self.recipe) {
            rows.extend(fields.iter().map(|(k, v)| (format!("recipe.{k}"), v.to_string())));
        }
        rows.extend(self.options.iter().map(|(k, v)| {
            let secret = SECRETS.iter().any(|word| k.to_lowercase().contains(word));
            (format!("options.{k}"), if secret { "(not shown)".into() } else { v.to_string() })
        }));
        rows.into_iter()
            .map(|(key, value)| {
                let origin = self.origins.get(&key);
                (key, value, origin)
            })
            .collect()
    }
}

pub(super) fn unknown(key: &str, known: &[&str]) -> SetError {
    let hint = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    SetError::Unknown { key: key.to_owned(), hint }
}

/// One value, read as what its key asks for.
struct Reader<'a> {
    key: &'a str,
    given: &'a Given,
}

impl Reader<'_> {
    fn wrong(&self, wanted: &'static str) -> SetError {
        let given = match self.given {
            Given::Typed(value) => value.to_string(),
            Given::Text(text) => text.clone(),
        };
        SetError::Wrong { key: self.key.to_owned(), given, wanted }
    }

    fn written(&self) -> Option<&str> {
        match self.given {
            Given::Typed(value) => value.as_str(),
            Given::Text(text) => Some(text),
        }
    }

    fn text(&self) -> Result<String, SetError> {
        self.written()
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
            .ok_or_else(|| self.wrong("a text"))
    }

    fn texts(&self) -> Result<Vec<String>, SetError> {
        const WANTED: &str = "a list of texts, as in [\"gpu\", \"linux\"]";
        match self.given {
            Given::Typed(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(WANTED)))
                .collect(),
            Given::Typed(_) => Err(self.wrong(WANTED)),
            Given::Text(text) => Ok(text.split(',').map(|t| t.trim().to_owned()).collect()),
        }
    }

    /// A path that stays inside the repository.
    fn folder(&self) -> Result<String, SetError> {
        let path = self.text()?;
        let leaves = path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..");
        // The command line may name any folder of the machine it is typed on.
        match self.given {
            Given::Typed(_) if leaves => Err(SetError::Leaves(path)),
            _ => Ok(path),
        }
    }

    fn count(&self) -> Result<u32, SetError> {
        let number = match self.given {
            Given::Typed(value) => value.as_u64(),
            Given::Text(text) => text.trim().parse().ok(),
        };
        number
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or_else(|| self.wrong("an integer from 1"))
    }

    fn truth(&self) -> Result<bool, SetError> {
        let truth = match self.given {
            Given::Typed(value) => value.as_bool(),
            Given::Text(text) => match text.trim().to_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Some(true),
                "0" | "false" | "no" | "off" => Some(false),
                _ => None,
            },
        };
        truth.ok_or_else(|| self.wrong("true or false"))
    }

    /// On the command line a bare number is seconds.
    fn duration(&self) -> Result<u64, SetError> {
        let seconds = match self.given {
            Given::Text(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                parse_duration(&format!("{text}s"))
            }
            _ => self.written().and_then(parse_duration),
        };
        seconds.ok_or_else(|| self.wrong("a duration, for instance \"90s\", \"20m\" or \"2h\""))
    }

    fn size(&self) -> Result<u64, SetError> {
        self.written()
            .and_then(parse_size)
            .ok_or_else(|| self.wrong("a size, for instance \"512MiB\" or \"20GiB\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(key: &str, given: Given) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let origin = Origin::CommandLine("--x".into());
        settings.set(key, &given, origin).map(|()| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn text_and_typed_values_mean_the_same() {
        for (key, typed, text) in [
            ("jobs", json!(4), "4"),
            ("incremental", json!(true), "yes"),
            ("vram_budget", json!("20GiB"), "20GiB"),
            ("timeout", json!("20m"), "20m"),
            ("labels", json!(["a", "b"]), "a, b"),
            ("recipe.steps", json!(20), "20"),
            ("recipe.scheduler", json!("ddim"), "ddim"),
        ] {
            let typed = set(key, Given::Typed(typed)).unwrap();
            assert_eq!(typed, set(key, Given::Text(text.into())).unwrap(), "{key}");
            assert_ne!(typed, Settings::default(), "{key}");
        }
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_to_write() {
        let wrong = |key, value| set(key, Given::Typed(value)).unwrap_err();
        assert_eq!(
            wrong("timeout", json!("soon")),
            "`timeout = \"soon\"` cannot be used; write a duration, for instance \"90s\", \"20m\" or \"2h\""
        );
        assert!(wrong("jobs", json!(0)).contains("an integer from 1"));
        assert!(wrong("network", json!("no")).contains("true or false"));
        assert!(wrong("recipe.steps", json!("many")).contains("`steps` is `many`"));
        assert!(wrong("recipe.stpes", json!(3)).contains("did you mean `steps`?"));
        assert!(wrong("modle", json!("x")).contains("did you mean `model`?"));
        assert!(wrong("test_dir", json!("../etc")).contains("leaves the repository"));
    }

    #[test]
    fn what_is_shown_has_its_origin_and_no_secret() {
        let settings = set("options.api_key", Given::Text("sk-1".into())).unwrap();
        let shown = settings.shown();
        let (_, value, origin) = shown.iter().find(|(k, ..)| k == "options.api_key").unwrap();
        assert_eq!((value.as_str(), origin.is_some()), ("(not shown)", true));
        assert!(shown.iter().any(|(k, v, o)| k == "model" && v == "\"shapes\"" && o.is_none()));
    }
}
