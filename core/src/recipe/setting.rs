//! `--recipe KEY=VALUE`.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::check::{SETTINGS, unknown};
use super::{Lora, RecipeError, RecipeSettings};

/// What `--recipe` takes as a key, beside the fields themselves: one LoRA more, both sides at once.
const SHORT: [&str; 2] = ["lora", "size"];
const SIZE: &str = "WIDTHxHEIGHT in pixels";

impl RecipeSettings {
    /// Sets a field from text, as in `--recipe KEY=VALUE`, and answers which fields it has set:
    /// `steps` with `20`, `size` with `512x768`, `scheduler` with `DPM++ 2M Karras`, `loras` with
    /// `style:0.8, detail` for the whole stack, `lora` with `style:0.8` for one more on top. An
    /// empty text takes the field back.
    ///
    /// # Errors
    /// An unknown key with the nearest one; a value that cannot be read or is out of its range.
    pub fn set_text(
        &mut self,
        key: &str,
        value: &str,
    ) -> Result<&'static [&'static str], RecipeError> {
        let mut set = self.clone();
        let fields: &'static [&'static str] = match key {
            "width" => {
                set.width = read(key, value, "1 to 16384 pixels")?;
                &["width"]
            }
            "height" => {
                set.height = read(key, value, "1 to 16384 pixels")?;
                &["height"]
            }
            "size" => {
                let (width, height) = value.split_once(['x', '×']).unwrap_or((value, value));
                if width.trim().is_empty() != height.trim().is_empty() {
                    return Err(RecipeError::value(key, format!("`{value}`"), SIZE));
                }
                set.width = read(key, width, SIZE)?;
                set.height = read(key, height, SIZE)?;
                &["width", "height"]
            }
            "steps" => {
                set.steps = read(key, value, "1 to 1000")?;
                &["steps"]
            }
            "guidance" => {
                set.guidance = read(key, value, "a number of at least 0")?;
                &["guidance"]
            }
            "scheduler" => {
                set.scheduler = read(key, value, "a scheduler")?;
                &["scheduler"]
            }
            "loras" if value.trim_start().starts_with('[') => {
                let list = serde_json::from_str(value).map_err(|_| {
                    RecipeError::value(key, format!("`{value}`"), "a list of names and weights")
                })?;
                return self.set_value(key, &list);
            }
            "loras" => {
                let each = value.split(',').filter(|one| !one.trim().is_empty());
                set.loras = each.map(lora).collect::<Result<_, _>>()?;
                &["loras"]
            }
            "lora" => {
                set.loras.push(lora(value)?);
                &["loras"]
            }
            "clip_skip" => {
                set.clip_skip = read(key, value, "1 (no layer left out) to 12")?;
                &["clip_skip"]
            }
            "denoise" => {
                set.denoise = read(key, value, "0 to 1")?;
                &["denoise"]
            }
            _ => {
                let known: Vec<&str> = SETTINGS.into_iter().chain(SHORT).collect();
                return Err(unknown(key, &known));
            }
        };
        *self = set.checked()?;
        Ok(fields)
    }

    /// Sets a field from a value of its kind, as in a table `[recipe]`. A text is read as
    /// [`Self::set_text`] reads it.
    ///
    /// # Errors
    /// As [`Self::set_text`].
    pub fn set_value(
        &mut self,
        key: &str,
        value: &Value,
    ) -> Result<&'static [&'static str], RecipeError> {
        if let Some(text) = value.as_str() {
            return self.set_text(key, text);
        }
        let Some(at) = SETTINGS.iter().position(|field| *field == key) else {
            return self.set_text(key, &value.to_string());
        };
        let one = Map::from_iter([(key.to_owned(), value.clone())]);
        let one = Self::from_value(&Value::Object(one))?;
        *self = if key == "loras" {
            Self { loras: one.loras, ..std::mem::take(self) }
        } else {
            one.over(std::mem::take(self))
        };
        Ok(&SETTINGS[at..=at])
    }

    /// These settings where they are set, else those of `below`: a suite's over the file's, the
    /// command line's over both. LoRAs are one setting: a stack replaces another whole.
    pub fn over(self, below: Self) -> Self {
        Self {
            width: self.width.or(below.width),
            height: self.height.or(below.height),
            steps: self.steps.or(below.steps),
            guidance: self.guidance.or(below.guidance),
            scheduler: self.scheduler.or(below.scheduler),
            loras: if self.loras.is_empty() { below.loras } else { self.loras },
            clip_skip: self.clip_skip.or(below.clip_skip),
            denoise: self.denoise.or(below.denoise),
        }
    }

    /// The settings that are set, as they are written and shown: `steps` and `20`.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let loras = self.loras.iter().map(|l| format!("{}:{}", l.name, l.weight));
        let values = [
            self.width.map(|v| v.to_string()),
            self.height.map(|v| v.to_string()),
            self.steps.map(|v| v.to_string()),
            self.guidance.map(|v| v.to_string()),
            self.scheduler.clone(),
            (!self.loras.is_empty()).then(|| loras.collect::<Vec<_>>().join(", ")),
            self.clip_skip.map(|v| v.to_string()),
            self.denoise.map(|v| v.to_string()),
        ];
        SETTINGS.into_iter().zip(values).filter_map(|(key, v)| Some((key, v?))).collect()
    }
}

fn read<T: FromStr>(
    key: &str,
    value: &str,
    allowed: &'static str,
) -> Result<Option<T>, RecipeError> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |_| RecipeError::value(key, format!("`{value}`"), allowed);
    value.parse().map(Some).map_err(wrong)
}

/// `name`, or `name:weight`; a name with a colon of its own, as in `C:\loras\x.safetensors`,
/// keeps it where no number follows.
fn lora(text: &str) -> Result<Lora, RecipeError> {
    let text = text.trim();
    match text.rsplit_once(':') {
        Some((name, weight)) if weight.trim().parse::<f64>().is_ok() => {
            let weight = weight.trim().parse().unwrap_or(1.0);
            Ok(Lora { name: name.trim().to_owned(), weight })
        }
        Some((name, weight)) if !weight.contains(['/', '\\', '.']) => Err(RecipeError::value(
            "lora",
            format!("`{}` with the weight `{}`", name.trim(), weight.trim()),
            "NAME or NAME:WEIGHT, the weight a number",
        )),
        _ => Ok(Lora { name: text.to_owned(), weight: 1.0 }),
    }
}
