//! A recipe's LoRAs in the workflow's own loaders.

use serde_json::Value;

use super::sites::{Site, Sites};
use super::write;
use crate::recipe::{Lora, RecipeError};

/// The recipe's stack replaces the workflow's: a loader that has the LoRA already gets its weight,
/// the others take what is left in their order, and one that is left over is turned off.
///
/// # Errors
/// More LoRAs than loaders.
pub(super) fn put(
    sites: &Sites<'_>,
    loras: &[Lora],
    workflow: &mut Value,
) -> Result<(), RecipeError> {
    let mut loaders: Vec<&String> = Vec::new();
    for loader in sites.stages.iter().flat_map(|stage| &stage.loras) {
        if !loaders.contains(&loader) {
            loaders.push(loader);
        }
    }
    if loaders.len() < loras.len() {
        return Err(RecipeError::NoNode {
            field: "loras",
            node: "LoraLoader",
            mend: format!(
                "it has {} of them for {} LoRAs: chain one for each between the checkpoint and \
                 the sampler",
                loaders.len(),
                loras.len()
            ),
        });
    }
    let name_at = |loader: &str| {
        sites.graph.literal(loader, "lora_name").and_then(Value::as_str).unwrap_or_default()
    };
    let mut open = loaders.clone();
    let mut chosen: Vec<(&String, &Lora, bool)> = Vec::new();
    let mut rest: Vec<&Lora> = Vec::new();
    for lora in loras {
        match open.iter().position(|loader| stem(name_at(loader)) == stem(&lora.name)) {
            Some(at) => chosen.push((open.remove(at), lora, true)),
            None => rest.push(lora),
        }
    }
    for lora in rest {
        chosen.push((open.remove(0), lora, false));
    }
    for (loader, lora, named) in chosen {
        if !named {
            set(workflow, loader, "lora_name", lora.name.as_str().into());
        }
        strength(workflow, loader, lora.weight);
    }
    for loader in open {
        strength(workflow, loader, 0.0);
    }
    Ok(())
}

fn strength(workflow: &mut Value, loader: &str, weight: f64) {
    for key in ["strength_model", "strength_clip"] {
        set(workflow, loader, key, weight.into());
    }
}

fn set(workflow: &mut Value, node: &str, key: &str, value: Value) {
    write(workflow, &Site { node: node.to_owned(), key: key.to_owned() }, value);
}

/// The file's name without its folder and ending, by which people know a LoRA.
fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = file.strip_suffix(".safetensors").or_else(|| file.strip_suffix(".pt"));
    stem.unwrap_or(file).to_lowercase()
}
