//! `--recipe KEY=VALUE`.

use std::str::FromStr;

use super::check::{SETTINGS, unknown};
use super::{Lora, RecipeError, RecipeSettings};

/// What `--recipe` takes as a key: one LoRA at a time, each further one on top.
const KEYS: [&str; 8] =
    ["width", "height", "steps", "guidance", "scheduler", "lora", "clip_skip", "denoise"];

impl RecipeSettings {
    /// Sets what `KEY=VALUE` says: `steps=20`, `size=512x768`, `scheduler=DPM++ 2M Karras`,
    /// `lora=name:0.8` (repeatable). An empty value takes the setting back.
    ///
    /// # Errors
    /// An unknown key with the nearest one, a value that cannot be read or is out of its range.
    pub fn set(&mut self, setting: &str) -> Result<(), RecipeError> {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(RecipeError::NotASetting { setting: setting.to_owned() });
        };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "width" => self.width = read(key, value, "1 to 16384 pixels")?,
            "height" => self.height = read(key, value, "1 to 16384 pixels")?,
            "size" => {
                let (width, height) = value.split_once(['x', '×']).unwrap_or((value, value));
                self.width = read(key, width, "WIDTHxHEIGHT in pixels")?;
                self.height = read(key, height, "WIDTHxHEIGHT in pixels")?;
            }
            "steps" => self.steps = read(key, value, "1 to 1000")?,
            "guidance" => self.guidance = read(key, value, "a number of at least 0")?,
            "scheduler" => self.scheduler = read(key, value, "a scheduler")?,
            "lora" | "loras" if value.is_empty() => self.loras.clear(),
            "lora" | "loras" => self.loras.push(lora(value)?),
            "clip_skip" => self.clip_skip = read(key, value, "1 (no layer left out) to 12")?,
            "denoise" => self.denoise = read(key, value, "0 to 1")?,
            _ => return Err(unknown(key, &KEYS)),
        }
        *self = std::mem::take(self).checked()?;
        Ok(())
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
