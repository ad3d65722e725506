//! What ComfyUI's history and queue say of one prompt.

use serde_json::Value;

use super::messages::{failure, interrupted};

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is not in the history.
    Unknown,
    Made(ImageRef),
    Failed(String),
}

/// What `/view` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    pub filename: String,
    pub subfolder: String,
    pub folder: String,
}

/// Of `GET /history/{prompt_id}`. The image is that of `output_node`, else the only saved one, else
/// the only previewed one.
pub fn outcome(history: &Value, prompt_id: &str, output_node: Option<&str>) -> Outcome {
    let entry = &history[prompt_id];
    if !entry.is_object() {
        return Outcome::Unknown;
    }
    if entry["status"]["status_str"] == "error" {
        return Outcome::Failed(said(&entry["status"]["messages"]));
    }
    let images = images(&entry["outputs"]);
    let chosen: Vec<&(String, ImageRef)> = match output_node {
        Some(wanted) => images.iter().filter(|(node, _)| node == wanted).collect(),
        None => {
            let of = |folder: &str| -> Vec<_> {
                images.iter().filter(|(_, image)| image.folder == folder).collect()
            };
            let saved = of("output");
            if saved.is_empty() { of("temp") } else { saved }
        }
    };
    let nodes: std::collections::BTreeSet<&str> = chosen.iter().map(|(n, _)| n.as_str()).collect();
    match (chosen.as_slice(), nodes.len()) {
        ([(_, image)], _) => Outcome::Made(image.clone()),
        ([], _) => Outcome::Failed(nothing(&images, output_node)),
        (several, 1) => Outcome::Failed(format!(
            "the workflow made {} images at once; set its batch_size to 1",
            several.len()
        )),
        _ => Outcome::Failed(format!(
            "the workflow has images at the nodes {}; say which one counts with `output_node` in [options]",
            nodes.into_iter().collect::<Vec<_>>().join(", ")
        )),
    }
}

fn nothing(images: &[(String, ImageRef)], output_node: Option<&str>) -> String {
    match output_node {
        Some(node) if !images.is_empty() => {
            let mut nodes: Vec<&str> = images.iter().map(|(node, _)| node.as_str()).collect();
            nodes.dedup();
            format!(
                "`output_node = \"{node}\"` has no image; there are some at {}",
                nodes.join(", ")
            )
        }
        _ => "the workflow ended without an image; it needs a SaveImage or a PreviewImage node"
            .into(),
    }
}

fn images(outputs: &Value) -> Vec<(String, ImageRef)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = outputs.as_object().into_iter().flatten();
    nodes
        .flat_map(|(node, output)| {
            output["images"].as_array().into_iter().flatten().map(move |image| {
                let image = ImageRef {
                    filename: text(&image["filename"]),
                    subfolder: text(&image["subfolder"]),
                    folder: text(&image["type"]),
                };
                (node.clone(), image)
            })
        })
        .filter(|(_, image)| !image.filename.is_empty())
        .collect()
}

/// The last word of the messages that the history keeps, each a pair of type and data.
fn said(messages: &Value) -> String {
    let pairs = messages.as_array().into_iter().flatten().rev();
    let mut told = pairs.filter_map(|pair| match pair[0].as_str()? {
        "execution_error" => Some(failure(&pair[1])),
        "execution_interrupted" => Some(interrupted(&pair[1])),
        _ => None,
    });
    told.next().unwrap_or_else(|| "ComfyUI failed and does not say why".into())
}

/// Which prompts of `GET /queue` were asked for by this client: those that run, those that wait.
/// An item is `[number, prompt_id, prompt, extra_data, outputs]`.
pub fn ours(queue: &Value, client_id: &str) -> (Vec<String>, Vec<String>) {
    let of = |list: &str| -> Vec<String> {
        let items = queue[list].as_array().into_iter().flatten();
        items
            .filter(|item| item[3]["client_id"] == client_id)
            .filter_map(|item| item[1].as_str().map(str::to_owned))
            .collect()
    };
    (of("queue_running"), of("queue_pending"))
}

/// The same for `GET /history`: the prompts that ended.
pub fn ended(history: &Value, client_id: &str) -> Option<String> {
    let entries = history.as_object()?;
    let (id, _) = entries.iter().find(|(_, e)| e["prompt"][3]["client_id"] == client_id)?;
    Some(id.clone())
}

/// Whether `GET /queue` has this prompt.
pub fn is_queued(queue: &Value, prompt_id: &str) -> bool {
    ["queue_running", "queue_pending"]
        .iter()
        .any(|list| queue[list].as_array().into_iter().flatten().any(|item| item[1] == prompt_id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(name: &str, folder: &str) -> Value {
        json!({"filename": name, "subfolder": "", "type": folder})
    }

    fn of(outputs: Value, node: Option<&str>) -> Outcome {
        let status = json!({"status_str": "success", "completed": true, "messages": []});
        outcome(&json!({"p": {"outputs": outputs, "status": status}}), "p", node)
    }

    fn named(outcome: Outcome) -> String {
        match outcome {
            Outcome::Made(image) => image.filename,
            Outcome::Failed(why) => why,
            Outcome::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn the_saved_image_counts_before_previews() {
        let both = json!({"7": {"images": [image("p.png", "temp")]}, "9": {"images": [image("s.png", "output")]}});
        assert_eq!(named(of(both.clone(), None)), "s.png");
        assert_eq!(named(of(both.clone(), Some("7"))), "p.png");
        assert!(named(of(both, Some("8"))).contains("some at 7, 9"));
        assert_eq!(named(of(json!({"7": {"images": [image("p.png", "temp")]}}), None)), "p.png");
    }

    #[test]
    fn which_of_several_is_not_guessed() {
        let two = json!({"7": {"images": [image("a", "output")]}, "9": {"images": [image("b", "output")]}});
        assert!(named(of(two, None)).contains("nodes 7, 9"));
        let batch = json!({"7": {"images": [image("a", "output"), image("b", "output")]}});
        assert!(named(of(batch, None)).contains("batch_size to 1"));
        assert!(named(of(json!({"7": {"text": ["x"]}}), None)).contains("without an image"));
    }

    #[test]
    fn a_failure_is_told_as_the_history_has_it() {
        let error = json!(["execution_error", {"node_id": "5", "node_type": "KSampler",
            "exception_type": "ValueError", "exception_message": "bad"}]);
        let history = json!({"p": {"outputs": {}, "status":
            {"status_str": "error", "completed": false, "messages": [["execution_start", {}], error]}}});
        assert_eq!(
            outcome(&history, "p", None),
            Outcome::Failed("ComfyUI failed at node 5 (KSampler): ValueError: bad".into())
        );
        assert_eq!(outcome(&json!({}), "p", None), Outcome::Unknown);
    }

    #[test]
    fn a_prompt_is_ours_by_its_client() {
        let item = |id: &str, client: &str| json!([0, id, {}, {"client_id": client}, ["7"]]);
        let queue = json!({"queue_running": [item("a", "me")], "queue_pending": [item("b", "you"), item("c", "me")]});
        assert_eq!(ours(&queue, "me"), (vec!["a".into()], vec!["c".into()]));
        assert!(is_queued(&queue, "b") && !is_queued(&queue, "z"));
        let history = json!({"d": {"prompt": item("d", "me"), "outputs": {}}});
        assert_eq!(ended(&history, "me").as_deref(), Some("d"));
        assert_eq!(ended(&history, "you"), None);
    }
}
