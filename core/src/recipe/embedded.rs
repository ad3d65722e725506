//! The recipe that an image carries as text, and who wrote it.

use serde::Serialize;
use serde_json::Value;

use super::{Recipe, RecipeSettings, a1111, comfyui};
use crate::png_text::Text;

/// The keyword of difftest's own text, which is exact.
pub const KEYWORD: &str = "difftest";
/// The keyword of A1111's and Forge's.
const PARAMETERS: &str = "parameters";
/// What difftest's text calls itself, for whoever reads it in ten years.
const FORMAT: u64 = 1;

/// The texts that an image of this recipe carries, as keyword and text: `difftest` (JSON, exact)
/// and `parameters` (read by A1111 and the tools around it).
///
/// Deterministic: the same recipe, model and size give the same texts, whatever the commit, the
/// time or the version of difftest. So equal pixels of equal recipes stay equal bytes, and the
/// digest of a file with its texts still compares images. `size` is the image's own in pixels.
pub fn texts(recipe: &Recipe, model: &str, size: (u32, u32)) -> Vec<(String, String)> {
    let exact = Exact { format: FORMAT, model, recipe };
    // A recipe has no key that is no text and no map that fails, so this is never empty.
    let exact = serde_json::to_string(&exact).unwrap_or_default();
    vec![(PARAMETERS.to_owned(), a1111::write(recipe, model, size)), (KEYWORD.to_owned(), exact)]
}

/// A struct and no map, so that the order of its keys is always the same.
#[derive(Serialize)]
struct Exact<'a> {
    format: u64,
    model: &'a str,
    recipe: &'a Recipe,
}

/// Who wrote a recipe into an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    Difftest,
    /// Or Forge, or one of the many that write its format.
    A1111,
    ComfyUi,
}

/// What an image says of its making. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    pub tool: Tool,
    /// As the tool calls itself, with its version where it says one: `A1111/Forge v1.10.1`.
    pub tool_name: String,
    pub prompt: Option<String>,
    pub negative_prompt: Option<String>,
    pub seed: Option<i64>,
    #[serde(flatten)]
    pub settings: RecipeSettings,
    pub model: Option<String>,
    /// What the tool says that a recipe has no field for.
    pub others: Vec<(String, String)>,
    /// What could not be understood or is left out.
    pub notes: Vec<String>,
}

impl Reading {
    /// The recipe, where the image says a prompt and a seed.
    pub fn recipe(&self) -> Option<Recipe> {
        Some(Recipe {
            prompt: self.prompt.clone()?,
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed?,
            settings: self.settings.clone(),
        })
    }
}

/// The recipe in an image's texts: difftest's own, else A1111's or Forge's, else ComfyUI's.
/// `None` where no text holds one.
pub fn read(texts: &[Text]) -> Option<Reading> {
    let find = |keyword: &str| {
        texts.iter().find(|t| t.keyword.eq_ignore_ascii_case(keyword)).map(|t| t.text.as_str())
    };
    let mut notes = Vec::new();
    if let Some(text) = find(KEYWORD) {
        match from_difftest(text) {
            Ok(reading) => return Some(reading),
            Err(why) => notes.push(format!("its `difftest` text cannot be read: {why}")),
        }
    }
    // SwarmUI and Fooocus write JSON of their own by the same keyword.
    let infotext = find(PARAMETERS)
        .filter(|text| !serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()));
    let found = infotext.map(from_a1111).or_else(|| {
        let prompt = find("prompt").and_then(json_of_python).and_then(|w| from_comfyui(&w));
        prompt.or_else(|| {
            let drawn = json_of_python(find("workflow")?)?;
            from_comfyui(&comfyui::to_api_format(&drawn)?)
        })
    });
    found.map(|mut reading| {
        reading.notes.splice(0..0, notes);
        reading
    })
}

fn from_difftest(text: &str) -> Result<Reading, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
        return Err("it is of a newer difftest".to_owned());
    }
    let recipe = value.get("recipe").ok_or("it has no `recipe`")?;
    let recipe = Recipe::from_value(recipe).map_err(|e| e.to_string())?;
    Ok(Reading {
        tool: Tool::Difftest,
        tool_name: "difftest".to_owned(),
        prompt: Some(recipe.prompt),
        negative_prompt: recipe.negative_prompt,
        seed: Some(recipe.seed),
        settings: recipe.settings,
        model: value.get("model").and_then(Value::as_str).map(str::to_owned),
        others: Vec::new(),
        notes: Vec::new(),
    })
}

fn from_a1111(text: &str) -> Reading {
    let mut info = a1111::parse(text);
    let version = info.others.iter().position(|(key, _)| key == "Version");
    let version = version.map(|at| format!(" {}", info.others.remove(at).1)).unwrap_or_default();
    let settings = checked(info.settings, &mut info.notes);
    Reading {
        tool: Tool::A1111,
        tool_name: format!("A1111/Forge{version}"),
        prompt: Some(info.prompt),
        negative_prompt: info.negative_prompt,
        seed: info.seed,
        settings,
        model: info.model,
        others: info.others,
        notes: info.notes,
    }
}

fn from_comfyui(workflow: &Value) -> Option<Reading> {
    let mut traced = comfyui::read(workflow).ok()?;
    let settings = checked(traced.settings, &mut traced.notes);
    Some(Reading {
        tool: Tool::ComfyUi,
        tool_name: "ComfyUI".to_owned(),
        prompt: traced.prompt,
        negative_prompt: traced.negative_prompt,
        seed: traced.seed,
        settings,
        model: traced.model,
        others: Vec::new(),
        notes: traced.notes,
    })
}

/// Another tool's settings without those that no recipe may hold, which are noted.
fn checked(mut settings: RecipeSettings, notes: &mut Vec<String>) -> RecipeSettings {
    let mut kept = RecipeSettings::default();
    let mut keep = |part: RecipeSettings| match part.clone().checked() {
        Ok(part) => kept = part.over(std::mem::take(&mut kept)),
        Err(error) => notes.push(error.to_string()),
    };
    let none = RecipeSettings::default;
    keep(RecipeSettings { width: settings.width.take(), ..none() });
    keep(RecipeSettings { height: settings.height.take(), ..none() });
    keep(RecipeSettings { steps: settings.steps.take(), ..none() });
    keep(RecipeSettings { guidance: settings.guidance.take(), ..none() });
    keep(RecipeSettings { scheduler: settings.scheduler.take(), ..none() });
    keep(RecipeSettings { clip_skip: settings.clip_skip.take(), ..none() });
    keep(RecipeSettings { denoise: settings.denoise.take(), ..none() });
    keep(RecipeSettings { loras: settings.loras, ..none() });
    kept
}

/// JSON as Python writes it: `NaN` and the infinities, which are no JSON, are null.
fn json_of_python(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|w| rest.starts_with(w));
        if let (false, Some(word)) = (quoted, word) {
            mended.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        // Inside a string, an escaped character ends nothing.
        let length = match (quoted, c) {
            (true, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        quoted ^= c == '"';
        mended.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    serde_json::from_str(&mended).ok()
}
