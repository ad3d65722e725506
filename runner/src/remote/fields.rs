//! A recipe in the words of the hosted providers: one function a provider. What a provider cannot
//! take is an error that names it; a setting that was dropped in silence would make two runs look
//! comparable that are not.

use std::collections::{BTreeMap, BTreeSet};

use difftest_core::metric::nearest;
use difftest_core::recipe::{Recipe, hosted};
use serde_json::{Map, Value, json};

/// The fields of a recipe, as difftest calls them, that a model may call otherwise.
const RENAMEABLE: [&str; 9] = [
    "prompt",
    "negative_prompt",
    "seed",
    "width",
    "height",
    "steps",
    "guidance",
    "clip_skip",
    "denoise",
];

/// What is set in a recipe, under difftest's own names, as JSON.
pub fn set_fields(recipe: &Recipe) -> Vec<(&'static str, Value)> {
    let settings = &recipe.settings;
    let mut fields = vec![("prompt", json!(recipe.prompt)), ("seed", json!(recipe.seed))];
    let optional = [
        ("negative_prompt", recipe.negative_prompt.as_ref().map(|v| json!(v))),
        ("width", settings.width.map(|v| json!(v))),
        ("height", settings.height.map(|v| json!(v))),
        ("steps", settings.steps.map(|v| json!(v))),
        ("guidance", settings.guidance.map(|v| json!(v))),
        ("scheduler", settings.scheduler.as_ref().map(|v| json!(v))),
        ("loras", (!settings.loras.is_empty()).then(|| json!(settings.loras))),
        ("clip_skip", settings.clip_skip.map(|v| json!(v))),
        ("denoise", settings.denoise.map(|v| json!(v))),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    fields
}

/// `[options.names]`: what this model calls a field of the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    pub fn read(given: &Map<String, Value>) -> Result<Self, String> {
        let mut names = BTreeMap::new();
        for (field, name) in given {
            if !RENAMEABLE.contains(&field.as_str()) {
                let hint = match nearest(field, RENAMEABLE) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("there are {}", RENAMEABLE.join(", ")),
                };
                return Err(format!(
                    "[options.names] has `{field}`, no field that can be renamed; {hint}"
                ));
            }
            let Some(name) = name.as_str().filter(|name| !name.is_empty()) else {
                return Err(format!("[options.names] `{field} = {name}` is no name; write a text"));
            };
            names.insert(field.clone(), name.to_owned());
        }
        Ok(Self(names))
    }

    fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }
}

/// The inputs that a model says it has. Models leave out what they do not know without a word, so
/// a name that is not here is an error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs(BTreeSet<String>);

impl Inputs {
    /// From the schema that an OpenAPI document gives for a request's body or for `Input`.
    pub fn of_schema(schema: &Value) -> Option<Self> {
        let properties = schema["properties"].as_object().filter(|p| !p.is_empty())?;
        Some(Self(properties.keys().cloned().collect()))
    }

    /// The names of a body that this model does not have.
    pub fn check(&self, body: &Map<String, Value>, model: &str) -> Result<(), String> {
        let Some(unknown) = body.keys().find(|name| !self.0.contains(*name)) else { return Ok(()) };
        let known = || self.0.iter().map(String::as_str);
        let hint = match nearest(unknown, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
        };
        Err(format!(
            "{model} has no input `{unknown}`; {hint} (leave it out of [recipe], or say in \
             [options.names] what this model calls it)"
        ))
    }

    fn first<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().find(|name| self.0.contains(**name)).copied()
    }
}

/// Why a provider cannot take a field.
fn cannot(provider: &str, field: &str, value: &Value, mend: &str) -> String {
    format!("the recipe's `{field}` is {value}, which {provider} cannot take; {mend}")
}

const LEAVE_IT_OR_NAME_IT: &str = "leave it out of [recipe], set the model's own field in \
     [options.input], or say in [options.names] what the model calls it";
const OWN_NAMES: &str = "its models have names of their own for it: leave it out of [recipe] and set it in [options.input]";

/// fal: the arguments that its image models share
/// (<https://fal.ai/docs/documentation/model-apis/model-arguments>).
pub fn fal(recipe: &Recipe, names: &Names) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    let mut size = Map::new();
    for (field, value) in set_fields(recipe) {
        match (field, names.get(field)) {
            (_, Some(name)) => drop(body.insert(name.into(), value)),
            ("width" | "height", None) => drop(size.insert(field.into(), value)),
            ("loras", None) => {
                let loras = recipe.settings.loras.iter();
                let loras: Vec<Value> =
                    loras.map(|l| json!({"path": l.name, "scale": l.weight})).collect();
                body.insert("loras".into(), loras.into());
            }
            (_, None) => match hosted::fal(field) {
                Some(name) => drop(body.insert(name.into(), value)),
                None if field == "scheduler" => {
                    return Err(cannot("fal", field, &value, OWN_NAMES));
                }
                None => return Err(cannot("fal", field, &value, LEAVE_IT_OR_NAME_IT)),
            },
        }
    }
    match size.len() {
        0 => {}
        2 => drop(body.insert("image_size".into(), Value::Object(size))),
        _ => return Err("fal takes `width` and `height` together; the recipe sets one".into()),
    }
    Ok(body)
}

/// Replicate: the inputs that its image models usually have; each model has its own, which is why
/// `inputs` is asked where it is known.
pub fn replicate(
    recipe: &Recipe,
    names: &Names,
    inputs: Option<&Inputs>,
) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    for (field, value) in set_fields(recipe) {
        let usual = hosted::replicate(field);
        let known = inputs.and_then(|inputs| inputs.first(usual));
        match names.get(field).or(known).or(usual.first().copied()) {
            Some(name) => drop(body.insert(name.into(), value)),
            None if matches!(field, "scheduler" | "loras") => {
                return Err(cannot("replicate", field, &value, OWN_NAMES));
            }
            None => return Err(cannot("replicate", field, &value, LEAVE_IT_OR_NAME_IT)),
        }
    }
    Ok(body)
}

/// Whether a model makes this size, after
/// <https://developers.openai.com/api/docs/guides/image-generation> (November 2026). Of a model
/// that is not here, the server decides.
fn openai_size(model: &str, width: u32, height: u32) -> Result<String, String> {
    let size = format!("{width}x{height}");
    let listed: &[&str] = match model {
        m if m.starts_with("gpt-image-1") => &["1024x1024", "1536x1024", "1024x1536"],
        "dall-e-3" => &["1024x1024", "1792x1024", "1024x1792"],
        "dall-e-2" => &["256x256", "512x512", "1024x1024"],
        m if m.starts_with("gpt-image-2") => {
            let is_in_steps = width.is_multiple_of(16) && height.is_multiple_of(16);
            let is_in_shape = width.max(height) <= width.min(height).saturating_mul(3);
            if is_in_steps && is_in_shape {
                return Ok(size);
            }
            return Err(format!(
                "the recipe's size is {size}, which {model} does not make; it makes multiples of 16 from \
                 1:3 to 3:1"
            ));
        }
        _ => return Ok(size),
    };
    match listed.contains(&size.as_str()) {
        true => Ok(size),
        false => Err(format!(
            "the recipe's size is {size}, which {model} does not make; it makes {}",
            listed.join(", ")
        )),
    }
}

/// OpenAI images: prompt and size, and no seed at all.
pub fn openai(recipe: &Recipe, model: &str) -> Result<Map<String, Value>, String> {
    let mut body = Map::from_iter([("model".into(), json!(model)), ("n".into(), json!(1))]);
    for (field, value) in set_fields(recipe) {
        match field {
            "prompt" => drop(body.insert("prompt".into(), value)),
            // Said once, by `describe()`, and not for every image.
            "seed" | "width" | "height" => {}
            _ => return Err(cannot("openai", field, &value, "leave it out of [recipe]")),
        }
    }
    match (recipe.settings.width, recipe.settings.height) {
        (None, None) => {}
        (Some(width), Some(height)) => {
            body.insert("size".into(), json!(openai_size(model, width, height)?));
        }
        _ => return Err("openai takes `width` and `height` together; the recipe sets one".into()),
    }
    // GPT image models always answer in base64 and refuse the field.
    if model.starts_with("dall-e") {
        body.insert("response_format".into(), json!("b64_json"));
    }
    Ok(body)
}

/// Adds `[options.input]`. A field that the recipe sets as well is a contradiction.
pub fn with_input(
    mut body: Map<String, Value>,
    input: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    for (name, value) in input {
        if let Some(set) = body.get(name).filter(|set| *set != value) {
            return Err(format!(
                "[options.input] sets `{name}` to {value}, and the recipe to {set}; leave one of them out"
            ));
        }
        body.insert(name.clone(), value.clone());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use difftest_core::recipe::{Lora, RecipeSettings};

    use super::*;

    fn recipe(settings: Value) -> Recipe {
        let settings: RecipeSettings = serde_json::from_value(settings).unwrap();
        Recipe { prompt: "a cat".into(), negative_prompt: Some("dogs".into()), seed: 7, settings }
    }

    #[test]
    fn fal_s_names() {
        let full = recipe(json!({"width": 512, "height": 768, "steps": 20, "guidance": 3.5,
            "loras": [{"name": "https://x/l.safetensors", "weight": 0.8}]}));
        assert_eq!(
            Value::Object(fal(&full, &Names::default()).unwrap()),
            json!({"prompt": "a cat", "negative_prompt": "dogs", "seed": 7, "num_inference_steps": 20,
                "guidance_scale": 3.5, "image_size": {"width": 512, "height": 768},
                "loras": [{"path": "https://x/l.safetensors", "scale": 0.8}]})
        );
        let error = fal(&recipe(json!({"width": 512})), &Names::default()).unwrap_err();
        assert!(error.contains("together"), "{error}");
    }

    #[test]
    fn replicate_s_names_are_the_model_s() {
        let plain = recipe(json!({"steps": 20, "guidance": 3.5}));
        let usual = replicate(&plain, &Names::default(), None).unwrap();
        assert_eq!(
            (&usual["num_inference_steps"], &usual["guidance_scale"]),
            (&json!(20), &json!(3.5))
        );
        let schema = json!({"properties": {"prompt": {}, "steps": {}, "guidance": {}, "seed": {}}});
        let inputs = Inputs::of_schema(&schema).unwrap();
        let own = replicate(&plain, &Names::default(), Some(&inputs)).unwrap();
        assert_eq!((&own["steps"], &own["guidance"]), (&json!(20), &json!(3.5)));
        let error = inputs.check(&own, "acme/model").unwrap_err();
        assert!(error.starts_with("acme/model has no input `negative_prompt`"), "{error}");
        let renamed = Names::read(json!({"steps": "n_steps"}).as_object().unwrap()).unwrap();
        assert_eq!(replicate(&plain, &renamed, Some(&inputs)).unwrap()["n_steps"], json!(20));
    }

    #[test]
    fn openai_has_sizes_and_no_seed() {
        let positive = |settings: Value| Recipe { negative_prompt: None, ..recipe(settings) };
        let body =
            openai(&positive(json!({"width": 1536, "height": 1024})), "gpt-image-1").unwrap();
        assert_eq!(
            Value::Object(body),
            json!({"model": "gpt-image-1", "n": 1, "prompt": "a cat", "size": "1536x1024"})
        );
        let error = openai(&positive(json!({"width": 512, "height": 512})), "gpt-image-1.5");
        assert!(error.unwrap_err().contains("1024x1024, 1536x1024, 1024x1536"));
        let of = |width: u32, height: u32, model: &str| {
            openai(&positive(json!({"width": width, "height": height})), model)
        };
        assert_eq!(of(512, 512, "gpt-image-9").unwrap()["size"], "512x512");
        assert_eq!(of(1536, 512, "gpt-image-2").unwrap()["size"], "1536x512");
        for (width, height) in [(1000, 1024), (1552, 512)] {
            let error = of(width, height, "gpt-image-2.5-flare").unwrap_err();
            assert!(error.contains("multiples of 16 from 1:3 to 3:1"), "{error}");
        }
        assert_eq!(
            openai(&positive(json!({})), "dall-e-3").unwrap()["response_format"],
            "b64_json"
        );
    }

    #[test]
    fn no_field_of_a_recipe_is_lost_in_silence() {
        let one = |field: &str| -> Recipe {
            let mut settings = RecipeSettings::default();
            match field {
                "steps" => settings.steps = Some(9),
                "guidance" => settings.guidance = Some(9.5),
                "scheduler" => settings.scheduler = Some("euler".into()),
                "loras" => settings.loras = vec![Lora { name: "l".into(), weight: 1.0 }],
                "clip_skip" => settings.clip_skip = Some(2),
                "denoise" => settings.denoise = Some(0.5),
                _ => (settings.width, settings.height) = (Some(1024), Some(1024)),
            }
            let negative = (field == "negative_prompt").then(|| "dogs".into());
            Recipe { prompt: "a cat".into(), negative_prompt: negative, seed: 7, settings }
        };
        let none = Names::default();
        for field in [
            "negative_prompt",
            "steps",
            "guidance",
            "scheduler",
            "loras",
            "clip_skip",
            "denoise",
            "width",
        ] {
            let unset = |recipe: &Recipe| Recipe {
                negative_prompt: None,
                settings: RecipeSettings::default(),
                ..recipe.clone()
            };
            let recipe = one(field);
            for (provider, with, without) in [
                ("fal", fal(&recipe, &none), fal(&unset(&recipe), &none)),
                (
                    "replicate",
                    replicate(&recipe, &none, None),
                    replicate(&unset(&recipe), &none, None),
                ),
                ("openai", openai(&recipe, "gpt-image-1"), openai(&unset(&recipe), "gpt-image-1")),
            ] {
                match with {
                    Ok(body) => assert_ne!(body, without.unwrap(), "{provider} drops {field}"),
                    Err(error) => assert!(error.contains(&format!("`{field}`")), "{error}"),
                }
            }
        }
    }

    #[test]
    fn a_rename_or_an_input_that_cannot_be_meant_is_an_error() {
        let names = |json: Value| Names::read(json.as_object().unwrap()).unwrap_err();
        assert!(names(json!({"stpes": "n"})).ends_with("did you mean `steps`?"));
        assert!(names(json!({"steps": 3})).contains("is no name"));
        let body = json!({"seed": 7}).as_object().cloned().unwrap();
        let input = |json: Value| with_input(body.clone(), json.as_object().unwrap());
        assert!(input(json!({"seed": 8})).unwrap_err().contains("`seed`"));
        assert_eq!(input(json!({"output_format": "png"})).unwrap().len(), 2);
    }
}
