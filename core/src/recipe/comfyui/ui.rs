//! The editor's own format (`workflow` in ComfyUI's files) as API format, as far as its nodes are
//! known: their widgets have no names there, only an order.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// The widgets of ComfyUI's own nodes in their order. `""` is the editor's alone
/// (`control_after_generate`).
const WIDGETS: [(&str, &[&str]); 22] = [
    ("KSampler", &["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"]),
    (
        "KSamplerAdvanced",
        &[
            "add_noise",
            "noise_seed",
            "",
            "steps",
            "cfg",
            "sampler_name",
            "scheduler",
            "start_at_step",
            "end_at_step",
            "return_with_leftover_noise",
        ],
    ),
    ("SamplerCustom", &["add_noise", "noise_seed", "", "cfg"]),
    ("RandomNoise", &["noise_seed", ""]),
    ("KSamplerSelect", &["sampler_name"]),
    ("BasicScheduler", &["scheduler", "steps", "denoise"]),
    ("KarrasScheduler", &["steps", "sigma_max", "sigma_min", "rho"]),
    ("CFGGuider", &["cfg"]),
    ("FluxGuidance", &["guidance"]),
    ("CLIPTextEncode", &["text"]),
    ("CLIPTextEncodeFlux", &["clip_l", "t5xxl", "guidance"]),
    (
        "CLIPTextEncodeSDXL",
        &[
            "width",
            "height",
            "crop_w",
            "crop_h",
            "target_width",
            "target_height",
            "text_g",
            "text_l",
        ],
    ),
    ("CLIPSetLastLayer", &["stop_at_clip_layer"]),
    ("EmptyLatentImage", &["width", "height", "batch_size"]),
    ("EmptySD3LatentImage", &["width", "height", "batch_size"]),
    ("LoraLoader", &["lora_name", "strength_model", "strength_clip"]),
    ("LoraLoaderModelOnly", &["lora_name", "strength_model"]),
    ("CheckpointLoaderSimple", &["ckpt_name"]),
    ("CheckpointLoader", &["config_name", "ckpt_name"]),
    ("UNETLoader", &["unet_name", "weight_dtype"]),
    ("PrimitiveNode", &["value"]),
    ("PrimitiveString", &["value"]),
];

/// Nodes that are muted (2) or bypassed (4) in the editor do not run.
const OFF: [u64; 2] = [2, 4];

/// `None` where it is not the editor's format.
pub fn to_api_format(workflow: &Value) -> Option<Value> {
    let nodes = workflow.get("nodes")?.as_array()?;
    let origins = origins(workflow);
    Some(Value::Object(nodes.iter().filter_map(|node| api_node(node, &origins)).collect()))
}

fn api_node(node: &Value, origins: &HashMap<String, Value>) -> Option<(String, Value)> {
    let id = name(node.get("id")?)?;
    let class = node.get("type")?.as_str()?;
    if node.get("mode").and_then(Value::as_u64).is_some_and(|mode| OFF.contains(&mode)) {
        return None;
    }
    let mut inputs = Map::new();
    match node.get("widgets_values") {
        Some(Value::Array(values)) => {
            let names = WIDGETS.iter().find(|(known, _)| *known == class).map(|(_, names)| *names);
            for (key, value) in names.into_iter().flatten().zip(values) {
                if !key.is_empty() {
                    inputs.insert((*key).to_owned(), value.clone());
                }
            }
        }
        Some(Value::Object(values)) => inputs.extend(values.clone()),
        _ => {}
    }
    for input in node.get("inputs").and_then(Value::as_array).into_iter().flatten() {
        let Some(key) = input.get("name").and_then(Value::as_str) else { continue };
        if let Some(link) = input.get("link").and_then(name).and_then(|id| origins.get(&id)) {
            inputs.insert(key.to_owned(), link.clone());
        }
    }
    let title = node.get("title").cloned().unwrap_or(Value::Null);
    Some((id, json!({ "class_type": class, "inputs": inputs, "_meta": { "title": title } })))
}

/// Where each link begins. It is `[id, node, output, node, input, type]` in the list of links.
fn origins(workflow: &Value) -> HashMap<String, Value> {
    let links = workflow.get("links").and_then(Value::as_array);
    let origin = |link: &Value| {
        let from = json!([name(link.get(1)?)?, link.get(2)?.as_u64()?]);
        Some((name(link.get(0)?)?, from))
    };
    links.into_iter().flatten().filter_map(origin).collect()
}

fn name(id: &Value) -> Option<String> {
    match id {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}
