//! ComfyUI's names: a recipe goes into the nodes of a workflow, and is read back from them.
//!
//! The nodes are found by following the links back from the samplers that the output images come
//! from, so neither numbers nor titles matter. Where a workflow has two nodes for one field and
//! they disagree, the one titled `difftest:FIELD` (as in `difftest:prompt`) is meant.

mod graph;
mod loras;
mod sites;
mod ui;
mod walk;

use serde_json::{Number, Value};

use self::graph::Graph;
use self::sites::{Field, Site, Sites};
use super::{Lora, Recipe, RecipeError, RecipeSettings};
use crate::scheduler::{self, BackEnd};

pub use self::ui::to_api_format;

const BACK_END: &str = "ComfyUI";

/// The workflow with this recipe in it: the body's `prompt` of `POST /prompt`. Fields that the
/// recipe leaves open stay as the workflow has them.
///
/// # Errors
/// A workflow that is none, a field that no node takes (with the node that is missing), several
/// nodes that disagree, a value that ComfyUI cannot take.
pub fn inject(workflow: &Value, recipe: &Recipe) -> Result<Value, RecipeError> {
    let graph = Graph::of(workflow)?;
    let sites = Sites::of(graph);
    if sites.stages.is_empty() {
        return Err(RecipeError::NoNode {
            field: "prompt",
            node: "sampler (KSampler, KSamplerAdvanced, SamplerCustom)",
            mend: "export the whole workflow, from the model to the saved image".to_owned(),
        });
    }
    let settings = &recipe.settings;
    if recipe.seed < 0 {
        return Err(RecipeError::CannotTake {
            back_end: BACK_END,
            field: "seed",
            value: recipe.seed.to_string(),
            why: "counts seeds from 0".to_owned(),
        });
    }
    if let (Some(denoise), true) = (settings.denoise, settings.denoise == Some(0.0)) {
        return Err(RecipeError::CannotTake {
            back_end: BACK_END,
            field: "denoise",
            value: denoise.to_string(),
            why: "then has no step to take; use more than 0".to_owned(),
        });
    }
    let mut out = Injection { sites: &sites, workflow: workflow.clone() };
    out.put(Field::Prompt, Some(recipe.prompt.as_str().into()))?;
    out.put(Field::NegativePrompt, recipe.negative_prompt.as_deref().map(Value::from))?;
    out.put(Field::Seed, Some(recipe.seed.into()))?;
    out.put(Field::Width, settings.width.map(Value::from))?;
    out.put(Field::Height, settings.height.map(Value::from))?;
    out.put(Field::Steps, settings.steps.map(Value::from))?;
    out.put(Field::Guidance, settings.guidance.and_then(Number::from_f64).map(Value::from))?;
    out.put(Field::Denoise, settings.denoise.and_then(Number::from_f64).map(Value::from))?;
    // ComfyUI counts from the end, with -1 the last layer.
    out.put(Field::ClipSkip, settings.clip_skip.map(|skip| (-i64::from(skip)).into()))?;
    if let Some(id) = &settings.scheduler {
        let names = scheduler::known(id, BackEnd::ComfyUi)?.comfyui();
        let names = names.as_ref();
        out.put(Field::SamplerName, names.map(|n| n.sampler_name.into()))?;
        out.put(Field::Scheduler, names.map(|n| n.scheduler.into()))?;
    }
    if !settings.loras.is_empty() {
        loras::put(&sites, &settings.loras, &mut out.workflow)?;
    }
    out.one_image();
    Ok(out.workflow)
}

struct Injection<'a> {
    sites: &'a Sites<'a>,
    workflow: Value,
}

impl Injection<'_> {
    fn put(&mut self, field: Field, value: Option<Value>) -> Result<(), RecipeError> {
        let Some(value) = value else { return Ok(()) };
        let sites = self.sites.get(field);
        if sites.is_empty() {
            return Err(missing(field, self.sites));
        }
        // The second stage of a hires pass has a seed of its own, and takes this one all the same.
        if field != Field::Seed && !agree(self.sites, &sites) {
            let shown = |site: &Site| {
                let value = self.sites.value(site).map(Value::to_string).unwrap_or_default();
                let class = self.sites.graph.class(&site.node);
                format!("{class} {}: {}", site.node, brief(&value))
            };
            let nodes = sites.iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(RecipeError::Ambiguous { field: field.name(), nodes });
        }
        for site in sites {
            write(&mut self.workflow, &site, value.clone());
        }
        Ok(())
    }

    /// A recipe is one image, whatever the workflow's batch.
    fn one_image(&mut self) {
        for site in self.sites.get(Field::Width) {
            let batch = Site { key: "batch_size".to_owned(), ..site };
            if self.sites.value(&batch).is_some_and(Value::is_number) {
                write(&mut self.workflow, &batch, 1.into());
            }
        }
    }
}

fn write(workflow: &mut Value, site: &Site, value: Value) {
    if let Some(input) = workflow
        .get_mut(&site.node)
        .and_then(|node| node.get_mut("inputs"))
        .and_then(|inputs| inputs.get_mut(&site.key))
    {
        *input = value;
    }
}

/// Whether nodes of several kinds say one thing. One node may say it in parts (SDXL's two texts).
fn agree(sites: &Sites<'_>, of: &[Site]) -> bool {
    let said = |node: &str| -> Vec<&Value> {
        of.iter().filter(|s| s.node == node).filter_map(|s| sites.value(s)).collect()
    };
    let Some(first) = of.first() else { return true };
    let wanted = said(&first.node);
    let same = |value: &&Value| wanted.contains(value);
    of.iter().all(|site| said(&site.node).iter().all(same))
}

fn brief(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(40).collect();
    if chars.next().is_some() { format!("{start}…") } else { start }
}

fn missing(field: Field, sites: &Sites<'_>) -> RecipeError {
    let from_image = sites.stages.iter().all(|stage| stage.starts_from_image);
    let (node, mend): (&str, &str) = match field {
        Field::Prompt => (
            "CLIPTextEncode behind the sampler's `positive`",
            "link one, or title the node that has the text `difftest:prompt`",
        ),
        Field::NegativePrompt => (
            "CLIPTextEncode of its own behind the sampler's `negative`",
            "link one, or leave the negative prompt out",
        ),
        Field::Seed => {
            ("KSampler with a `seed` or RandomNoise", "write the seed at the node, not by a link")
        }
        Field::Width | Field::Height if from_image => (
            "EmptyLatentImage",
            "it starts from an image, whose size is the result's: leave width and height out",
        ),
        Field::Width | Field::Height => {
            ("EmptyLatentImage", "link one to the sampler's `latent_image`")
        }
        Field::Steps => ("KSampler or BasicScheduler", "link one, or leave the steps out"),
        Field::Guidance => {
            ("KSampler, CFGGuider or FluxGuidance", "link one, or leave the guidance out")
        }
        Field::SamplerName => ("KSampler or KSamplerSelect", "link one, or leave it out"),
        Field::Scheduler => (
            "KSampler or BasicScheduler",
            "link one in place of a node with a fixed schedule, or leave the scheduler out",
        ),
        Field::ClipSkip => (
            "CLIPSetLastLayer",
            "put one between the checkpoint and the text encoders, or leave it out",
        ),
        Field::Denoise => ("KSampler or BasicScheduler", "link one, or leave it out"),
    };
    RecipeError::NoNode { field: field.name(), node, mend: mend.to_owned() }
}

/// What a workflow says of the image that it makes; what it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traced {
    pub prompt: Option<String>,
    pub negative_prompt: Option<String>,
    /// ComfyUI's seeds have 64 bits without a sign; one that is larger than a recipe's is a note.
    pub seed: Option<i64>,
    pub settings: RecipeSettings,
    pub model: Option<String>,
    /// What it says that a recipe cannot hold.
    pub notes: Vec<String>,
}

/// Reads a workflow in API format back, from its first sampler.
///
/// # Errors
/// [`RecipeError::NotAWorkflow`].
pub fn read(workflow: &Value) -> Result<Traced, RecipeError> {
    let sites = Sites::of(Graph::of(workflow)?);
    let mut traced = Traced::default();
    let Some(first) = sites.stages.first() else {
        traced.notes.push("the workflow has no sampler that difftest knows".to_owned());
        return Ok(traced);
    };
    if sites.stages.len() > 1 {
        let more = sites.stages[1..].iter().map(|s| sites.graph.class(&s.sampler));
        let more = more.collect::<Vec<_>>().join(", ");
        traced.notes.push(format!("the first of several samplers is shown; after it: {more}"));
    }
    let value = |field: Field| {
        let here = first.sites.iter().find(|(of, _)| *of == field).map(|(_, site)| site);
        sites.value(here?)
    };
    let text = |field| value(field).and_then(Value::as_str).map(str::to_owned);
    let whole = |field| value(field).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    traced.prompt = text(Field::Prompt);
    traced.negative_prompt = text(Field::NegativePrompt);
    traced.seed = value(Field::Seed).and_then(Value::as_i64);
    if let (None, Some(seed)) = (traced.seed, value(Field::Seed)) {
        traced.notes.push(format!("the seed {seed} is larger than a recipe's"));
    }
    let settings = &mut traced.settings;
    settings.width = whole(Field::Width);
    settings.height = whole(Field::Height);
    settings.steps = whole(Field::Steps);
    settings.guidance = value(Field::Guidance).and_then(Value::as_f64);
    settings.denoise = value(Field::Denoise).and_then(Value::as_f64);
    let layer = value(Field::ClipSkip).and_then(Value::as_i64);
    settings.clip_skip = layer.and_then(|layer| u32::try_from(-layer).ok());
    match (text(Field::SamplerName), text(Field::Scheduler)) {
        (None, None) => {}
        (sampler, schedule) => {
            let schedule = schedule.unwrap_or_else(|| "an unknown schedule".to_owned());
            let sampler = sampler.unwrap_or_else(|| "an unknown sampler".to_owned());
            match scheduler::from_comfyui(&sampler, &schedule) {
                Some(scheduler) => settings.scheduler = Some(scheduler.id.clone()),
                None => traced.notes.push(format!(
                    "the registry has no scheduler for `{sampler}` with `{schedule}`"
                )),
            }
        }
    }
    let lora = |id: &String| -> Option<Lora> {
        let name = sites.graph.literal(id, "lora_name")?.as_str()?.to_owned();
        let weight = sites.graph.literal(id, "strength_model").and_then(Value::as_f64);
        Some(Lora { name, weight: weight.unwrap_or(1.0) })
    };
    settings.loras = first.loras.iter().filter_map(lora).filter(|l| l.weight != 0.0).collect();
    let model = |id: &String| {
        let named = |key: &&str| sites.graph.literal(id, key).and_then(Value::as_str);
        walk::MODEL_KEYS.iter().find_map(named).map(str::to_owned)
    };
    traced.model = first.models.iter().find_map(model);
    Ok(traced)
}
