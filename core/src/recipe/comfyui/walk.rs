//! The ways through a workflow: from a sampler back to what it is told.

use std::collections::BTreeSet;

use super::graph::{Graph, Output};

/// Classes of ComfyUI that sample; others count where they have the inputs of one.
const SAMPLERS: [&str; 4] =
    ["KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"];

/// Zero conditioning is no text.
const NO_TEXT: &str = "ConditioningZeroOut";

/// What a sampler node is made of, whichever of ComfyUI's ways it is built in: all in one
/// (`KSampler`), in parts (`SamplerCustom`), or in parts with a guider (`SamplerCustomAdvanced`).
pub(super) struct Parts<'a> {
    pub(super) noise: Vec<&'a str>,
    pub(super) sigmas: Vec<&'a str>,
    pub(super) solver: Vec<&'a str>,
    pub(super) guidance: Vec<&'a str>,
    pub(super) positive: Option<Output<'a>>,
    pub(super) negative: Option<Output<'a>>,
    pub(super) latent: Option<Output<'a>>,
    pub(super) model: Option<Output<'a>>,
}

/// What the first latent is.
pub(super) struct Start<'a> {
    /// The nodes that make an empty one.
    pub(super) empty: Vec<&'a str>,
    /// Whether an image is encoded instead.
    pub(super) image: bool,
}

fn is_sampler(graph: Graph<'_>, id: &str) -> bool {
    let has = |key| graph.input(id, key).is_some();
    SAMPLERS.contains(&graph.class(id))
        || (graph.link(id, "positive").is_some() && (has("seed") || has("noise_seed")))
}

/// The samplers that images come from, in the order in which they run.
pub(super) fn samplers(graph: Graph<'_>) -> Vec<&str> {
    let ids = graph.ids();
    let outputs: Vec<&str> =
        ids.iter().copied().filter(|id| graph.link(id, "images").is_some()).collect();
    let used = graph.upstream(if outputs.is_empty() { &ids } else { &outputs });
    let mut samplers: Vec<&str> =
        ids.into_iter().filter(|id| used.contains(id) && is_sampler(graph, id)).collect();
    // A later one has every earlier one before it.
    samplers.sort_by_cached_key(|id| {
        graph.upstream(&[id]).into_iter().filter(|before| is_sampler(graph, before)).count()
    });
    samplers
}

pub(super) fn parts<'a>(graph: Graph<'a>, sampler: &'a str) -> Parts<'a> {
    let guider = graph.link(sampler, "guider").map(|(id, _)| id);
    let told = guider.unwrap_or(sampler);
    let behind = |key, wanted: &'static str| {
        let found = graph.link(sampler, key).map(|output| {
            graph.follow(
                output,
                |id| graph.input(id, wanted).is_some(),
                |_| &["sigmas", "noise", "sampler"],
            )
        });
        found.unwrap_or_default()
    };
    let or_itself = |found: Vec<&'a str>| if found.is_empty() { vec![sampler] } else { found };
    Parts {
        noise: or_itself(behind("noise", "noise_seed")),
        sigmas: or_itself(behind("sigmas", "steps")),
        solver: or_itself(behind("sampler", "sampler_name")),
        guidance: vec![told],
        positive: ["positive", "conditioning", "cond1"].iter().find_map(|k| graph.link(told, k)),
        negative: graph.link(told, "negative"),
        latent: ["latent_image", "latent", "samples"].iter().find_map(|k| graph.link(sampler, k)),
        model: graph.link(told, "model").or_else(|| graph.link(sampler, "model")),
    }
}

/// How conditioning goes on. A node that changes both (`ControlNetApplyAdvanced`) has the positive
/// at its first output and the negative at its second.
fn conditioning(graph: Graph<'_>, (id, slot): Output<'_>) -> &'static [&'static str] {
    if graph.class(id) == NO_TEXT {
        return &[];
    }
    if graph.link(id, "positive").is_some() && graph.link(id, "negative").is_some() {
        return if slot == 0 { &["positive"] } else { &["negative"] };
    }
    &[
        "conditioning",
        "conditioning_1",
        "conditioning_2",
        "conditioning_to",
        "conditioning_from",
        "positive",
    ]
}

/// A node that makes conditioning out of text: it has a text encoder.
fn is_encoder(graph: Graph<'_>, id: &str) -> bool {
    graph.link(id, "clip").is_some()
        && graph.class(id) != NO_TEXT
        && graph.link(id, "conditioning").is_none()
}

/// The nodes that encode the text of this conditioning.
pub(super) fn encoders<'a>(graph: Graph<'a>, from: Option<Output<'a>>) -> Vec<&'a str> {
    from.map(|output| {
        graph.follow(output, |id| is_encoder(graph, id), |output| conditioning(graph, output))
    })
    .unwrap_or_default()
}

/// The nodes that write guidance into the conditioning, for models that were distilled with it.
pub(super) fn own_guidance<'a>(graph: Graph<'a>, from: Option<Output<'a>>) -> Vec<&'a str> {
    let is = |id: &str| graph.input(id, "guidance").is_some();
    from.map(|output| graph.follow(output, is, |output| conditioning(graph, output)))
        .unwrap_or_default()
}

/// Where the first latent comes from, past earlier samplers and what scales between them.
pub(super) fn start<'a>(graph: Graph<'a>, from: Option<Output<'a>>) -> Start<'a> {
    const ON: [&str; 7] =
        ["latent_image", "samples", "latent", "samples1", "pixels", "image", "images"];
    let goes_on = |id: &str| ON.iter().any(|key| graph.link(id, key).is_some());
    let is_empty = |id: &str| {
        graph.input(id, "width").is_some() && graph.input(id, "height").is_some() && !goes_on(id)
    };
    let Some(from) = from else { return Start { empty: Vec::new(), image: false } };
    let ends = graph.follow(from, |id| !goes_on(id), |_| &ON);
    let empty: Vec<&str> = ends.iter().copied().filter(|id| is_empty(id)).collect();
    Start { image: empty.is_empty() && !ends.is_empty(), empty }
}

/// The nodes that choose the text encoder's last layer.
pub(super) fn layer_choosers<'a>(graph: Graph<'a>, encoders: &[&'a str]) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for output in encoders.iter().filter_map(|id| graph.link(id, "clip")) {
        let is = |id: &str| graph.input(id, "stop_at_clip_layer").is_some();
        for id in graph.follow(output, is, |_| &["clip"]) {
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// The nodes that load LoRAs, that nearest to the checkpoint first, and those that load the model.
pub(super) fn loaders<'a>(
    graph: Graph<'a>,
    from: Option<Output<'a>>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut loras, mut models, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut next = from.map(|(id, _)| id);
    // A ring of links ends where it began.
    while let Some(id) = next.filter(|id| seen.insert(*id)) {
        if graph.literal(id, "lora_name").is_some() {
            loras.push(id);
        } else if MODEL_KEYS.iter().any(|key| graph.literal(id, key).is_some()) {
            models.push(id);
        }
        next = graph.link(id, "model").map(|(id, _)| id);
    }
    loras.reverse();
    (loras, models)
}

/// What a node that loads a model calls it.
pub(super) const MODEL_KEYS: [&str; 3] = ["ckpt_name", "unet_name", "model_name"];
