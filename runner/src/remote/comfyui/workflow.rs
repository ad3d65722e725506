//! The workflow that is asked for: a file of the repository, or the built-in one.

use std::path::Path;

use difftest_core::metric::nearest;
use serde_json::{Value, json};

/// Text to image with one checkpoint; `ckpt_name` is filled in.
const DEFAULT: &str = include_str!("default_workflow.json");
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads a file in ComfyUI's API format. A relative path starts at `root`.
pub fn read(root: &Path, path: &str) -> Result<Value, String> {
    let file = root.join(path);
    let shown = file.display();
    let wrong = |why: String| format!("the workflow {shown} cannot be read: {why}");
    let size = std::fs::metadata(&file).map_err(|e| wrong(e.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(wrong(format!("it has {size} bytes; at most {MAX_FILE_BYTES} are taken")));
    }
    let text = std::fs::read_to_string(&file).map_err(|e| wrong(e.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if json.get("nodes").is_some_and(Value::is_array) {
        return Err(format!(
            "the workflow {shown} is in the editor's format; export it with Workflow > Export (API)"
        ));
    }
    let is_node = |node: &Value| node["class_type"].is_string() && node["inputs"].is_object();
    match json.as_object() {
        Some(nodes) if !nodes.is_empty() && nodes.values().all(is_node) => Ok(json),
        _ => Err(format!(
            "the workflow {shown} is not in ComfyUI's API format, an object of nodes with `class_type` and \
             `inputs`; export it with Workflow > Export (API)"
        )),
    }
}

/// The built-in workflow with this checkpoint.
pub fn built_in(checkpoint: &str) -> Result<Value, String> {
    let mut workflow: Value = serde_json::from_str(DEFAULT).map_err(|e| e.to_string())?;
    workflow["1"]["inputs"]["ckpt_name"] = json!(checkpoint);
    Ok(workflow)
}

/// Puts the configured model where the workflow loads one.
pub fn with_model(mut workflow: Value, model: &str) -> Result<Value, String> {
    const INPUTS: [&str; 3] = ["ckpt_name", "unet_name", "model_name"];
    let mut places: Vec<&mut Value> = Vec::new();
    for node in workflow.as_object_mut().into_iter().flat_map(|nodes| nodes.values_mut()) {
        let loads = node["class_type"].as_str().is_some_and(|c| c.contains("Loader"));
        let inputs = node["inputs"].as_object_mut().filter(|_| loads);
        places.extend(inputs.into_iter().flatten().filter_map(|(name, value)| {
            (INPUTS.contains(&name.as_str()) && value.is_string()).then_some(value)
        }));
    }
    match places.as_mut_slice() {
        [place] => **place = json!(model),
        several => {
            return Err(format!(
                "the model is `{model}`, but the workflow loads {} models; leave `model` out, and name them in the \
                 workflow",
                several.len()
            ));
        }
    }
    Ok(workflow)
}

/// The checkpoints that `GET /object_info/CheckpointLoaderSimple` lists.
pub fn checkpoints(object_info: &Value) -> Vec<String> {
    let input = &object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"];
    // Newer servers write `["COMBO", {"options": […]}]`.
    let list = input[0].as_array().or_else(|| input[1]["options"].as_array());
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether the server has this checkpoint, before a thousand prompts fail on it.
pub fn check_checkpoint(model: Option<&str>, known: &[String]) -> Result<String, String> {
    let list = || match known {
        [] => "it has none".to_owned(),
        _ => format!("it has {}", known.iter().take(20).cloned().collect::<Vec<_>>().join(", ")),
    };
    match model {
        None => Err(format!(
            "name the checkpoint that ComfyUI loads, `model = \"…\"` or --model, or a `workflow` in [options]; {}",
            list()
        )),
        Some(model) if known.iter().any(|name| name == model) => Ok(model.to_owned()),
        Some(model) => Err(match nearest(model, known.iter().map(String::as_str)) {
            Some(meant) => format!("ComfyUI has no checkpoint `{model}`; did you mean `{meant}`?"),
            None => format!("ComfyUI has no checkpoint `{model}`; {}", list()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_api_format_is_a_workflow() {
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            std::fs::write(folder.path().join("w.json"), text).unwrap();
            read(folder.path(), "w.json")
        };
        assert!(said(DEFAULT).is_ok());
        assert!(said(r#"{"nodes": [], "links": []}"#).unwrap_err().contains("Export (API)"));
        assert!(said(r#"{"1": {"inputs": {}}}"#).unwrap_err().contains("class_type"));
        assert!(said("{}").unwrap_err().contains("API format"));
        assert!(said("{").unwrap_err().contains("w.json cannot be read: EOF"));
        assert!(read(folder.path(), "missing.json").unwrap_err().contains("missing.json"));
    }

    #[test]
    fn the_model_goes_to_the_one_loader() {
        let workflow = with_model(built_in("a").unwrap(), "b.safetensors").unwrap();
        assert_eq!(workflow["1"]["inputs"]["ckpt_name"], "b.safetensors");
        let two = json!({"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}},
            "2": {"class_type": "UNETLoader", "inputs": {"unet_name": "b"}}});
        assert!(with_model(two, "c").unwrap_err().contains("loads 2 models"));
        assert!(with_model(json!({}), "c").unwrap_err().contains("loads 0 models"));
    }

    #[test]
    fn a_checkpoint_that_is_not_there_is_known_before_the_run() {
        let old = json!({"CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [["sd_xl_base.safetensors"]]}}}});
        let new = json!({"CheckpointLoaderSimple": {"input": {"required":
            {"ckpt_name": ["COMBO", {"options": ["sd_xl_base.safetensors"]}]}}}});
        assert_eq!(checkpoints(&old), checkpoints(&new));
        let known = checkpoints(&old);
        assert_eq!(check_checkpoint(Some("sd_xl_base.safetensors"), &known).unwrap(), known[0]);
        let typo = check_checkpoint(Some("sd_xl_bse.safetensors"), &known).unwrap_err();
        assert!(typo.ends_with("did you mean `sd_xl_base.safetensors`?"), "{typo}");
        assert!(check_checkpoint(None, &known).unwrap_err().contains("sd_xl_base.safetensors"));
    }
}
