//! What a recipe may hold.

use serde_json::Value;

use super::{Lora, Recipe, RecipeError, RecipeSettings};
use crate::metric::nearest;
use crate::scheduler;

/// The largest side of an image, in pixels: what PNG decoders and GPUs still take.
pub const MAX_SIDE: u32 = 16_384;
pub const MAX_STEPS: u32 = 1_000;
/// No text encoder in use has more layers that could be left out.
pub const MAX_CLIP_SKIP: u32 = 12;

/// The fields of [`RecipeSettings`], as `--recipe` and `[recipe]` write them.
pub static SETTINGS: [&str; 8] =
    ["width", "height", "steps", "guidance", "scheduler", "loras", "clip_skip", "denoise"];

impl RecipeSettings {
    /// The same settings, every value in its range and the scheduler by its canonical id.
    ///
    /// # Errors
    /// The first field whose value cannot be used.
    pub fn checked(mut self) -> Result<Self, RecipeError> {
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if let Some(side) = side.filter(|side| !(1..=MAX_SIDE).contains(side)) {
                return Err(RecipeError::value(field, side, "1 to 16384 pixels"));
            }
        }
        if let Some(steps) = self.steps.filter(|steps| !(1..=MAX_STEPS).contains(steps)) {
            return Err(RecipeError::value("steps", steps, "1 to 1000"));
        }
        if let Some(guidance) = self.guidance.filter(|g| !g.is_finite() || *g < 0.0) {
            return Err(RecipeError::value("guidance", guidance, "a number of at least 0"));
        }
        if let Some(denoise) = self.denoise.filter(|d| !(0.0..=1.0).contains(d)) {
            return Err(RecipeError::value("denoise", denoise, "0 to 1"));
        }
        if let Some(skip) = self.clip_skip.filter(|skip| !(1..=MAX_CLIP_SKIP).contains(skip)) {
            return Err(RecipeError::value("clip_skip", skip, "1 (no layer left out) to 12"));
        }
        for lora in &self.loras {
            lora.check()?;
        }
        if let Some(name) = &self.scheduler {
            self.scheduler = Some(scheduler::find(name)?.id.clone());
        }
        Ok(self)
    }

    /// From JSON.
    ///
    /// # Errors
    /// A field that a recipe does not have, a value of the wrong kind or out of its range.
    pub fn from_value(value: &Value) -> Result<Self, RecipeError> {
        let fields = value.as_object().ok_or_else(|| {
            RecipeError::value("settings", value, "an object such as {\"steps\": 20}")
        })?;
        for field in fields.keys() {
            if !SETTINGS.contains(&field.as_str()) {
                return Err(unknown(field, &SETTINGS));
            }
        }
        Self {
            width: whole_number(value, "width")?,
            height: whole_number(value, "height")?,
            steps: whole_number(value, "steps")?,
            guidance: number(value, "guidance")?,
            scheduler: text(value, "scheduler")?,
            loras: loras(value)?,
            clip_skip: whole_number(value, "clip_skip")?,
            denoise: number(value, "denoise")?,
        }
        .checked()
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Recipe {
    /// The same recipe, its settings as [`RecipeSettings::checked`] leaves them.
    pub fn checked(self) -> Result<Self, RecipeError> {
        Ok(Self { settings: self.settings.checked()?, ..self })
    }

    /// From JSON; the inverse of serialising one.
    ///
    /// # Errors
    /// As [`RecipeSettings::from_value`]; `prompt` and `seed` must be there.
    pub fn from_value(value: &Value) -> Result<Self, RecipeError> {
        const OWN: [&str; 3] = ["prompt", "negative_prompt", "seed"];
        let mut fields = value
            .as_object()
            .ok_or_else(|| RecipeError::value("recipe", value, "a JSON object"))?
            .clone();
        let known: Vec<&str> = OWN.into_iter().chain(SETTINGS).collect();
        if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(unknown(field, &known));
        }
        let prompt = text(value, "prompt")?.ok_or(RecipeError::Missing { field: "prompt" })?;
        let seed = match value.get("seed") {
            None | Some(Value::Null) => return Err(RecipeError::Missing { field: "seed" }),
            Some(seed) => seed
                .as_i64()
                .ok_or_else(|| RecipeError::value("seed", seed, "a whole number of 64 bits"))?,
        };
        let negative_prompt = text(value, "negative_prompt")?;
        fields.retain(|field, _| !OWN.contains(&field.as_str()));
        let settings = RecipeSettings::from_value(&Value::Object(fields))?;
        Ok(Self { prompt, negative_prompt, seed, settings })
    }
}

impl Lora {
    fn check(&self) -> Result<(), RecipeError> {
        if self.name.trim().is_empty() {
            return Err(RecipeError::value("loras", "`` (no name)", "a name and a weight"));
        }
        if !self.weight.is_finite() {
            let value = format!("`{}` with the weight {}", self.name, self.weight);
            return Err(RecipeError::value("loras", value, "a name and a finite weight"));
        }
        Ok(())
    }
}

pub(super) fn unknown(field: &str, known: &[&str]) -> RecipeError {
    let mend = match nearest(field, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("it has {}", known.join(", ")),
    };
    RecipeError::UnknownField { field: field.to_owned(), mend }
}

fn set<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get(field).filter(|value| !value.is_null())
}

fn whole_number(value: &Value, field: &'static str) -> Result<Option<u32>, RecipeError> {
    let whole = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    let wrong = |v: &Value| RecipeError::value(field, v, "a whole number");
    set(value, field).map(|v| whole(v).ok_or_else(|| wrong(v))).transpose()
}

fn number(value: &Value, field: &'static str) -> Result<Option<f64>, RecipeError> {
    let wrong = |v: &Value| RecipeError::value(field, v, "a number");
    set(value, field).map(|v| v.as_f64().ok_or_else(|| wrong(v))).transpose()
}

fn text(value: &Value, field: &'static str) -> Result<Option<String>, RecipeError> {
    let wrong = |v: &Value| RecipeError::value(field, v, "a text");
    set(value, field).map(|v| v.as_str().map(str::to_owned).ok_or_else(|| wrong(v))).transpose()
}

fn loras(value: &Value) -> Result<Vec<Lora>, RecipeError> {
    const SHAPE: &str = "a list of {\"name\": …, \"weight\": …}";
    let Some(given) = set(value, "loras") else { return Ok(Vec::new()) };
    let list = given.as_array().ok_or_else(|| RecipeError::value("loras", given, SHAPE))?;
    list.iter()
        .map(|lora| {
            let wrong = || RecipeError::value("loras", lora, SHAPE);
            for field in lora.as_object().ok_or_else(wrong)?.keys() {
                if field != "name" && field != "weight" {
                    return Err(wrong());
                }
            }
            let name = lora.get("name").and_then(Value::as_str).ok_or_else(wrong)?.to_owned();
            let weight = match lora.get("weight") {
                None => 1.0,
                Some(weight) => weight.as_f64().ok_or_else(wrong)?,
            };
            Ok(Lora { name, weight })
        })
        .collect()
}
