//! The parameters text of A1111 and Forge: what their images carry and their interface reads.
//!
//! ```text
//! a prompt <lora:style:0.8>
//! Negative prompt: blurry
//! Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x512
//! ```
//!
//! The last line is `Key: value` pairs; a value with a comma, a colon or a newline is quoted as
//! JSON. There is no escape for the prompt: one with a line that begins with `Negative prompt:`
//! cannot be told apart, which is why difftest's own text stands beside this one.

use super::lora_tags;
use crate::recipe::{Recipe, RecipeSettings};
use crate::scheduler;

/// Fewer pairs than this on the last line, and it belongs to the prompt. A1111's own rule.
const FEWEST_PAIRS: usize = 3;

/// What a parameters text says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Infotext {
    pub prompt: String,
    pub negative_prompt: Option<String>,
    pub seed: Option<i64>,
    pub settings: RecipeSettings,
    pub model: Option<String>,
    /// The pairs that a recipe has no field for, as they stand.
    pub others: Vec<(String, String)>,
    /// What could not be understood.
    pub notes: Vec<String>,
}

/// The text that A1111 reads back, for an image of this size from this model. The same recipe,
/// model and size give the same text.
pub fn write(recipe: &Recipe, model: &str, (width, height): (u32, u32)) -> String {
    let settings = &recipe.settings;
    // A name that a tag cannot hold is said beside the others, where nothing reads it as a tag.
    let (tagged, untagged) = match lora_tags::appended(&recipe.prompt, &settings.loras) {
        Ok(text) => (text, None),
        Err(_) => {
            let named = settings.loras.iter().map(|l| format!("{}: {}", l.name, l.weight));
            (recipe.prompt.clone(), Some(named.collect::<Vec<_>>().join(", ")))
        }
    };
    let names = settings.scheduler.as_deref().and_then(|id| scheduler::find(id).ok());
    let a1111 = names.and_then(scheduler::Scheduler::a1111);
    let sampler = match (&a1111, names) {
        (Some(names), _) => Some(names.sampler.to_owned()),
        (None, Some(scheduler)) => Some(scheduler.name.clone()),
        (None, None) => None,
    };
    let pairs = [
        ("Steps", settings.steps.map(|v| v.to_string())),
        ("Sampler", sampler),
        ("Schedule type", a1111.map(|n| n.schedule_type.to_owned())),
        ("CFG scale", settings.guidance.map(|v| v.to_string())),
        ("Seed", Some(recipe.seed.to_string())),
        ("Size", Some(format!("{width}x{height}"))),
        ("Model", Some(model.to_owned())),
        ("Denoising strength", settings.denoise.map(|v| v.to_string())),
        ("Clip skip", settings.clip_skip.map(|v| v.to_string())),
        ("LoRAs", untagged),
    ];
    let pairs = pairs.into_iter().filter_map(|(key, v)| Some(format!("{key}: {}", quoted(&v?))));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    match &recipe.negative_prompt {
        Some(negative) => format!("{tagged}\nNegative prompt: {negative}\n{pairs}"),
        None => format!("{tagged}\n{pairs}"),
    }
}

/// A1111's `quote`.
fn quoted(value: &str) -> String {
    if value.contains([',', '\n', ':']) {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

/// What a parameters text of A1111 or Forge says. Never fails: what is not understood is prompt,
/// or a note.
pub fn parse(text: &str) -> Infotext {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_matches(['\n', '\0']);
    let (before, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let (said, pairs) = match pairs(last) {
        pairs if pairs.len() >= FEWEST_PAIRS => (before, pairs),
        _ => (text, Vec::new()),
    };
    let (prompt, negative) = prompts(said);
    let (prompt, loras) = lora_tags::taken(&prompt);
    let mut info = Infotext { prompt, negative_prompt: negative, ..Infotext::default() };
    info.settings.loras = loras;
    if pairs.is_empty() {
        info.notes.push("it has no line of settings (`Steps: …, Sampler: …`)".to_owned());
    }
    let value = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    if let Some(sampler) = value("Sampler") {
        // Versions since 1.9 write both; Forge leaves the type out where the sampler has its own.
        let found = scheduler::from_a1111(sampler, value("Schedule type"))
            .or_else(|| scheduler::find(sampler).ok());
        match (found, value("Schedule type")) {
            (Some(scheduler), _) => info.settings.scheduler = Some(scheduler.id.clone()),
            (None, Some(schedule)) => info.notes.push(format!(
                "the registry has no scheduler for the sampler `{sampler}` with `{schedule}`"
            )),
            (None, None) => {
                info.notes.push(format!("the registry has no scheduler for `{sampler}`"));
            }
        }
    }
    for (key, value) in &pairs {
        let read = match key.as_str() {
            "Sampler" | "Schedule type" => true,
            "Steps" => set(&mut info.settings.steps, value),
            "CFG scale" => set(&mut info.settings.guidance, value),
            "Seed" => set(&mut info.seed, value),
            "Clip skip" => set(&mut info.settings.clip_skip, value),
            "Denoising strength" => set(&mut info.settings.denoise, value),
            "Model" => set(&mut info.model, value),
            "Size" => size(&mut info.settings, value),
            _ => {
                info.others.push((key.clone(), value.clone()));
                true
            }
        };
        if !read {
            info.notes.push(format!("`{key}: {value}` cannot be read"));
        }
    }
    info
}

fn set<T: std::str::FromStr>(field: &mut Option<T>, value: &str) -> bool {
    *field = value.parse().ok();
    field.is_some()
}

fn size(settings: &mut RecipeSettings, value: &str) -> bool {
    let sides = value.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    if let Some((width, height)) = sides {
        (settings.width, settings.height) = (Some(width), Some(height));
    }
    sides.is_some()
}

/// Lines up to `Negative prompt:`, and those from it on.
fn prompts(text: &str) -> (String, Option<String>) {
    const MARK: &str = "Negative prompt:";
    let at_line_start = |at: &usize| *at == 0 || text.as_bytes()[*at - 1] == b'\n';
    match text.match_indices(MARK).map(|(at, _)| at).find(at_line_start) {
        Some(at) => {
            let negative = &text[at + MARK.len()..];
            let negative = negative.strip_prefix(' ').unwrap_or(negative);
            (text[..at].trim_end_matches('\n').to_owned(), Some(negative.to_owned()))
        }
        None => (text.to_owned(), None),
    }
}

/// `Key: value, Key: "quoted, value", …`. A key is letters, digits, spaces, `-` and `/`.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let Some((key, after)) = rest.split_once(':') else { break };
        let key = key.trim();
        let is_key = key.chars().all(|c| c.is_alphanumeric() || " _-/".contains(c));
        let after = after.trim_start();
        let (value, next) = value(after);
        if is_key && key.chars().next().is_some_and(|c| c.is_alphanumeric()) {
            pairs.push((key.to_owned(), value));
            rest = next;
        } else {
            // Not a pair: whatever stands before the next comma is skipped, as A1111 does.
            match rest.split_once(',') {
                Some((_, next)) => rest = next.trim_start(),
                None => break,
            }
        }
    }
    pairs
}

/// One value and what stands after its comma.
fn value(text: &str) -> (String, &str) {
    if text.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
        if let Some(Ok(value)) = strings.next() {
            let rest = text[strings.byte_offset()..].trim_start();
            if rest.is_empty() || rest.starts_with(',') {
                return (value, rest.strip_prefix(',').unwrap_or(rest).trim_start());
            }
        }
    }
    match text.split_once(',') {
        Some((value, rest)) => (value.trim().to_owned(), rest.trim_start()),
        None => (text.trim().to_owned(), ""),
    }
}
