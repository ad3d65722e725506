//! A1111's and Forge's names: `/sdapi/v1/txt2img`, and the parameters text of their images.

pub mod infotext;
mod lora_tags;

use serde_json::{Map, Value, json};

use super::{Recipe, RecipeError, RecipeSettings};
use crate::scheduler::{self, BackEnd};

pub use infotext::{Infotext, parse, write};

const BACK_END: &str = "A1111/Forge";

/// How a server is told a sampler with its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Two fields, since A1111 1.9 and in Forge: servers with `/sdapi/v1/schedulers`.
    Split,
    /// One name for both. A server that has no `scheduler` field leaves it unread in silence, so
    /// an older one must be asked this way.
    Combined,
}

/// The body of `POST /sdapi/v1/txt2img` for one image, for servers since A1111 1.9 and Forge.
///
/// # Errors
/// A field that A1111 cannot take as it is.
pub fn request(recipe: &Recipe) -> Result<Value, RecipeError> {
    request_in(recipe, Dialect::Split)
}

/// As [`request`], for a server that is known to be older where `dialect` says so.
pub fn request_in(recipe: &Recipe, dialect: Dialect) -> Result<Value, RecipeError> {
    let cannot = |field, value: String, why: &str| {
        Err(RecipeError::CannotTake { back_end: BACK_END, field, value, why: why.to_owned() })
    };
    let settings = &recipe.settings;
    if recipe.seed < 0 {
        // `-1` is "a random seed" there.
        return cannot(
            "seed",
            recipe.seed.to_string(),
            "would draw a random one for it; use 0 or more",
        );
    }
    if let Some(denoise) = settings.denoise.filter(|denoise| *denoise < 1.0) {
        let why = "starts txt2img from noise alone: leave it out (for the second pass of a hires fix, set \
                   `denoising_strength` in [options.input])";
        return cannot("denoise", denoise.to_string(), why);
    }
    let prompt = lora_tags::appended(&recipe.prompt, &settings.loras)?;
    let mut body = Map::from_iter([
        ("prompt".to_owned(), Value::from(prompt)),
        ("seed".to_owned(), recipe.seed.into()),
        // One image for a request: a batch would derive the other seeds from this one.
        ("batch_size".to_owned(), 1.into()),
        ("n_iter".to_owned(), 1.into()),
        ("save_images".to_owned(), false.into()),
        ("send_images".to_owned(), true.into()),
    ]);
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("negative_prompt", recipe.negative_prompt.as_deref().map(Value::from));
    put("width", settings.width.map(Value::from));
    put("height", settings.height.map(Value::from));
    put("steps", settings.steps.map(Value::from));
    put("cfg_scale", settings.guidance.map(Value::from));
    put("denoising_strength", settings.denoise.map(Value::from));
    if let Some(id) = &settings.scheduler {
        let names = scheduler::known(id, BackEnd::A1111)?.a1111();
        let names = names.as_ref();
        match dialect {
            Dialect::Split => {
                put("sampler_name", names.map(|n| n.sampler.into()));
                put("scheduler", names.map(|n| n.schedule_type.into()));
            }
            Dialect::Combined => {
                put("sampler_name", names.map(|n| n.combined.clone().into()));
            }
        }
    }
    if let Some(skip) = settings.clip_skip {
        put("override_settings", Some(json!({ "CLIP_stop_at_last_layers": skip })));
        put("override_settings_restore_afterwards", Some(true.into()));
    }
    Ok(Value::Object(body))
}

/// The recipe that a body of `/sdapi/v1/txt2img` asks for; the inverse of [`request`].
///
/// # Errors
/// No prompt or no fixed seed, a sampler that the registry does not have, values out of range.
pub fn from_request(body: &Value) -> Result<Recipe, RecipeError> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let whole =
        |key: &str| body.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let number = |key: &str| body.get(key).and_then(Value::as_f64);
    let (prompt, loras) =
        lora_tags::taken(text("prompt").ok_or(RecipeError::Missing { field: "prompt" })?);
    let seed = body.get("seed").and_then(Value::as_i64).filter(|seed| *seed >= 0);
    let scheduler = match text("sampler_name") {
        None => None,
        Some(sampler) => match scheduler::from_a1111(sampler, text("scheduler")) {
            Some(scheduler) => Some(scheduler.id.clone()),
            None => Some(scheduler::find(sampler)?.id.clone()),
        },
    };
    let skip = body.pointer("/override_settings/CLIP_stop_at_last_layers").and_then(Value::as_u64);
    Recipe {
        prompt,
        negative_prompt: text("negative_prompt").map(str::to_owned),
        seed: seed.ok_or(RecipeError::Missing { field: "seed" })?,
        settings: RecipeSettings {
            width: whole("width"),
            height: whole("height"),
            steps: whole("steps"),
            guidance: number("cfg_scale"),
            scheduler,
            loras,
            clip_skip: skip.and_then(|skip| u32::try_from(skip).ok()),
            denoise: number("denoising_strength"),
        },
    }
    .checked()
}
