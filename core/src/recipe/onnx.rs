//! The names of the embedded ONNX models, which have a size, a scheduler and a text encoder of
//! their own.

use serde_json::{Map, Value};

use super::{Recipe, RecipeError};

/// Keyword arguments for one image: `prompt`, `negative_prompt`, `seed`, `steps`, `guidance`,
/// those that the recipe sets.
///
/// # Errors
/// Any other field that is set: the model cannot take it, and would leave it unread.
pub fn arguments(recipe: &Recipe) -> Result<Map<String, Value>, RecipeError> {
    let settings = &recipe.settings;
    let not_taken = [
        ("width", settings.width.map(|v| v.to_string())),
        ("height", settings.height.map(|v| v.to_string())),
        ("scheduler", settings.scheduler.clone()),
        ("loras", settings.loras.first().map(|lora| format!("`{}`", lora.name))),
        ("clip_skip", settings.clip_skip.map(|v| v.to_string())),
        ("denoise", settings.denoise.map(|v| v.to_string())),
    ];
    for (field, value) in not_taken {
        if let Some(value) = value {
            return Err(RecipeError::CannotTake {
                back_end: "an embedded ONNX model",
                field,
                value,
                why: "takes steps, guidance, a seed and a negative prompt alone; leave it out, or \
                      choose the generator `diffusers`"
                    .to_owned(),
            });
        }
    }
    let arguments = [
        ("prompt", Some(Value::from(recipe.prompt.as_str()))),
        ("negative_prompt", recipe.negative_prompt.as_deref().map(Value::from)),
        ("seed", Some(recipe.seed.into())),
        ("steps", settings.steps.map(Value::from)),
        ("guidance", settings.guidance.map(Value::from)),
    ];
    Ok(arguments.into_iter().filter_map(|(key, v)| Some((key.to_owned(), v?))).collect())
}
