//! diffusers' names: the arguments of a pipeline's call, its scheduler, its LoRAs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Lora, Recipe, RecipeError, RecipeSettings};
use crate::scheduler::{self, BackEnd};

/// What the arguments of a pipeline's call are named, by the recipe's field.
pub const NAMES: [(&str, &str); 8] = [
    ("prompt", "prompt"),
    ("negative_prompt", "negative_prompt"),
    ("width", "width"),
    ("height", "height"),
    ("steps", "num_inference_steps"),
    ("guidance", "guidance_scale"),
    ("clip_skip", "clip_skip"),
    ("denoise", "strength"),
];

/// What a recipe is to a diffusers pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// Keyword arguments of `pipeline(…)`, those that the recipe sets.
    pub call: Map<String, Value>,
    /// For `torch.Generator.manual_seed`.
    pub seed: i64,
    /// `class.from_config(pipeline.scheduler.config, **config)`; `None` keeps the pipeline's own.
    pub scheduler: Option<SchedulerCall>,
    /// For `load_lora_weights(name, adapter_name=adapter)` and `set_adapters`, in this order.
    pub loras: Vec<Adapter>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SchedulerCall {
    pub id: String,
    pub class: &'static str,
    pub config: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adapter {
    pub name: String,
    pub weight: f64,
    /// A name that PEFT takes: letters, digits and underscores, and none twice.
    pub adapter: String,
}

/// The pipeline's call for this recipe.
///
/// diffusers' `clip_skip` is one less than A1111's, which the recipe counts by: it is the number
/// of layers that are skipped, so a recipe's 1 is diffusers' `None`. `denoise` is the `strength`
/// of an image-to-image pipeline; a pipeline without that argument cannot take it.
///
/// # Errors
/// A scheduler that diffusers does not have, with the nearest that it has.
pub fn call(recipe: &Recipe) -> Result<Call, RecipeError> {
    let settings = &recipe.settings;
    let skipped = settings.clip_skip.map(|skip| skip.saturating_sub(1)).filter(|skip| *skip > 0);
    let value = |field| match field {
        "prompt" => Some(Value::from(recipe.prompt.as_str())),
        "negative_prompt" => recipe.negative_prompt.as_deref().map(Value::from),
        "width" => settings.width.map(Value::from),
        "height" => settings.height.map(Value::from),
        "steps" => settings.steps.map(Value::from),
        "guidance" => settings.guidance.map(Value::from),
        "clip_skip" => skipped.map(Value::from),
        _ => settings.denoise.map(Value::from),
    };
    let named = NAMES.into_iter();
    let call = named.filter_map(|(field, name)| Some((name.to_owned(), value(field)?))).collect();
    let scheduler = settings.scheduler.as_deref().map(|id| scheduler_call(id, recipe.seed));
    let adapter = |(index, lora): (usize, &Lora)| Adapter {
        name: lora.name.clone(),
        weight: lora.weight,
        adapter: format!("difftest_{index}"),
    };
    Ok(Call {
        call,
        seed: recipe.seed,
        scheduler: scheduler.transpose()?,
        loras: settings.loras.iter().enumerate().map(adapter).collect(),
    })
}

fn scheduler_call(id: &str, seed: i64) -> Result<SchedulerCall, RecipeError> {
    let scheduler = scheduler::known(id, BackEnd::Diffusers)?;
    let nothing = || unreachable!("`known` has looked");
    let mut names = scheduler.diffusers().unwrap_or_else(nothing);
    // It draws its noise from a tree of its own, which without a seed differs at every call.
    if names.class == "DPMSolverSDEScheduler" {
        names.config.insert("noise_sampler_seed".to_owned(), seed.into());
    }
    Ok(SchedulerCall { id: scheduler.id.clone(), class: names.class, config: names.config })
}

/// The recipe of a call in the form that [`call`] gives; the inverse of it.
///
/// # Errors
/// No prompt or seed, a scheduler that the registry does not have, values out of range.
pub fn from_call(value: &Value) -> Result<Recipe, RecipeError> {
    let argument = |field: &str| {
        let (_, name) = NAMES.into_iter().find(|(of, _)| *of == field)?;
        value.get("call")?.get(name).filter(|v| !v.is_null())
    };
    let text = |key| argument(key).and_then(Value::as_str).map(str::to_owned);
    let whole = |key| argument(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let number = |key| argument(key).and_then(Value::as_f64);
    let scheduler = value.get("scheduler").filter(|v| !v.is_null());
    let scheduler = scheduler.map(|given| {
        let class = given.get("class").and_then(Value::as_str).unwrap_or_default();
        let empty = Map::new();
        let config = given.get("config").and_then(Value::as_object).unwrap_or(&empty);
        match scheduler::from_diffusers(class, config) {
            Some(scheduler) => Ok(scheduler.id.clone()),
            None => Err(scheduler::find(class).err().map_or_else(
                || {
                    RecipeError::value(
                        "scheduler",
                        json!(config),
                        "a configuration of the registry",
                    )
                },
                RecipeError::from,
            )),
        }
    });
    let lora = |lora: &Value| {
        let name = lora.get("name")?.as_str()?.to_owned();
        Some(Lora { name, weight: lora.get("weight")?.as_f64()? })
    };
    let loras = value.get("loras").and_then(Value::as_array);
    Recipe {
        prompt: text("prompt").ok_or(RecipeError::Missing { field: "prompt" })?,
        negative_prompt: text("negative_prompt"),
        seed: value
            .get("seed")
            .and_then(Value::as_i64)
            .ok_or(RecipeError::Missing { field: "seed" })?,
        settings: RecipeSettings {
            width: whole("width"),
            height: whole("height"),
            steps: whole("steps"),
            guidance: number("guidance"),
            scheduler: scheduler.transpose()?,
            loras: loras.into_iter().flatten().filter_map(lora).collect(),
            clip_skip: whole("clip_skip").map(|skipped| skipped.saturating_add(1)),
            denoise: number("denoise"),
        },
    }
    .checked()
}
