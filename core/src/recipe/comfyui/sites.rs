//! Where in a workflow each field of a recipe is written.

use serde_json::Value;

use super::graph::{Graph, Output};
use super::walk;

/// A field of the recipe that a workflow can hold. A scheduler is two values there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Prompt,
    NegativePrompt,
    Seed,
    Width,
    Height,
    Steps,
    Guidance,
    SamplerName,
    Scheduler,
    ClipSkip,
    Denoise,
}

impl Field {
    /// The recipe's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::NegativePrompt => "negative_prompt",
            Self::Seed => "seed",
            Self::Width => "width",
            Self::Height => "height",
            Self::Steps => "steps",
            Self::Guidance => "guidance",
            Self::SamplerName | Self::Scheduler => "scheduler",
            Self::ClipSkip => "clip_skip",
            Self::Denoise => "denoise",
        }
    }

    /// The nodes' names of it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Prompt | Self::NegativePrompt => &[
                "text", "text_g", "text_l", "clip_g", "clip_l", "t5xxl", "llama", "prompt",
                "string", "value",
            ],
            Self::Seed => &["seed", "noise_seed", "value"],
            Self::Width => &["width", "value"],
            Self::Height => &["height", "value"],
            Self::Steps => &["steps", "value"],
            Self::Guidance => &["cfg", "guidance", "value"],
            Self::SamplerName => &["sampler_name"],
            Self::Scheduler => &["scheduler"],
            Self::ClipSkip => &["stop_at_clip_layer"],
            Self::Denoise => &["denoise", "value"],
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Prompt | Self::NegativePrompt | Self::SamplerName | Self::Scheduler => {
                value.is_string()
            }
            _ => value.is_number(),
        }
    }
}

/// Keys that say what their value is, wherever they stand.
const NAMES_OF: [&str; 4] = ["sampler_name", "scheduler", "ckpt_name", "lora_name"];

/// An input of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) node: String,
    pub(super) key: String,
}

/// What one sampler node is told, by itself and by the nodes before it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) sampler: String,
    pub(super) sites: Vec<(Field, Site)>,
    /// Nodes that load LoRAs, that nearest to the checkpoint first.
    pub(super) loras: Vec<String>,
    /// Nodes that load the model.
    pub(super) models: Vec<String>,
    /// Whether the first image comes from elsewhere than noise.
    pub(super) starts_from_image: bool,
}

/// All that leads to a workflow's images: its samplers in the order in which they run.
pub(super) struct Sites<'a> {
    pub(super) graph: Graph<'a>,
    pub(super) stages: Vec<Stage>,
}

impl<'a> Sites<'a> {
    pub(super) fn of(graph: Graph<'a>) -> Self {
        let stages = walk::samplers(graph).into_iter().map(|id| stage(graph, id)).collect();
        Self { graph, stages }
    }

    /// Where this field is written: at the node that is titled `difftest:FIELD`, else wherever the
    /// samplers take it from.
    pub(super) fn get(&self, field: Field) -> Vec<Site> {
        let title = format!("difftest:{}", field.name());
        let titled =
            |id: &&str| self.graph.title(id).is_some_and(|t| t.trim().eq_ignore_ascii_case(&title));
        let mut sites: Vec<Site> = Vec::new();
        for id in self.graph.ids().into_iter().filter(titled) {
            sites.extend(written_at(self.graph, id, field));
        }
        if !sites.is_empty() {
            return sites;
        }
        for stage in &self.stages {
            for (of, site) in &stage.sites {
                if *of == field && !sites.contains(site) {
                    sites.push(site.clone());
                }
            }
        }
        sites
    }

    pub(super) fn value(&self, site: &Site) -> Option<&'a Value> {
        self.graph.literal(&site.node, &site.key)
    }
}

fn stage(graph: Graph<'_>, sampler: &str) -> Stage {
    let mut sites = Vec::new();
    let mut add = |field: Field, node: &str| {
        for key in field.keys() {
            if graph.input(node, key).is_some() {
                sites.extend(resolved(graph, node, key, field).map(|site| (field, site)));
            }
        }
    };
    let parts = walk::parts(graph, sampler);
    for node in parts.noise {
        add(Field::Seed, node);
    }
    for node in &parts.sigmas {
        for field in [Field::Steps, Field::Scheduler, Field::Denoise] {
            add(field, node);
        }
    }
    for node in parts.solver {
        add(Field::SamplerName, node);
    }
    let (positive, negative) =
        (walk::encoders(graph, parts.positive), { walk::encoders(graph, parts.negative) });
    for node in &positive {
        add(Field::Prompt, node);
    }
    // A negative that is the zeroed or the same positive is no place for another text.
    for node in negative.iter().filter(|node| !positive.contains(node)) {
        add(Field::NegativePrompt, node);
    }
    // Where the model has guidance of its own (FLUX), the sampler's `cfg` stays at 1.
    let own_guidance = walk::own_guidance(graph, parts.positive);
    for node in if own_guidance.is_empty() { parts.guidance } else { own_guidance } {
        add(Field::Guidance, node);
    }
    let start = walk::start(graph, parts.latent);
    for node in &start.empty {
        add(Field::Width, node);
        add(Field::Height, node);
    }
    for node in walk::layer_choosers(graph, &positive) {
        add(Field::ClipSkip, node);
    }
    let (loras, models) = walk::loaders(graph, parts.model);
    Stage {
        sampler: sampler.to_owned(),
        sites,
        loras: loras.into_iter().map(str::to_owned).collect(),
        models: models.into_iter().map(str::to_owned).collect(),
        starts_from_image: start.image,
    }
}

/// Where an input's value is written: here, or at the end of its link.
fn resolved(graph: Graph<'_>, node: &str, key: &str, field: Field) -> Option<Site> {
    let Some(output) = graph.link(node, key) else {
        let takes = graph.literal(node, key).is_some_and(|value| field.takes(value));
        return takes.then(|| Site { node: node.to_owned(), key: key.to_owned() });
    };
    let ends = |id: &str| written_at(graph, id, field).len() == 1;
    let on = |(id, _): Output<'_>| -> &'static [&'static str] {
        // Reroutes and converters: one linked input, whatever it is called.
        const ANY: [&str; 6] = ["", "value", "text", "string", "source", "input"];
        if graph.class(id).is_empty() { &[] } else { &ANY }
    };
    let node = graph.follow(output, ends, on).into_iter().next()?;
    written_at(graph, node, field).into_iter().next()
}

/// The inputs of a node that hold this field: those of its names, else the only value of its kind.
fn written_at(graph: Graph<'_>, node: &str, field: Field) -> Vec<Site> {
    let literal = |key: &&str| graph.literal(node, key).is_some_and(|v| field.takes(v));
    let mut keys: Vec<&str> = field.keys().iter().copied().filter(literal).collect();
    if keys.is_empty() {
        // A sampler's name is no schedule's, though both are texts.
        let all = graph.inputs(node).map(|(key, _)| key).filter(|key| !NAMES_OF.contains(key));
        let only: Vec<&str> = all.filter(literal).collect();
        keys = if only.len() == 1 { only } else { Vec::new() };
    }
    let site = |key: &str| Site { node: node.to_owned(), key: key.to_owned() };
    keys.into_iter().map(site).collect()
}
