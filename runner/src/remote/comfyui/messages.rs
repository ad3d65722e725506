//! What ComfyUI says over its WebSocket
//! (<https://docs.comfy.org/development/comfyui-server/comms_messages>).

use serde_json::Value;

/// What a message means for one prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// How far it is, for a person.
    At(String),
    /// Its history is written: the images can be fetched.
    Finished,
    Failed(String),
}

/// None for a message about something else. A message without a prompt of its own (older servers)
/// is taken as ours: the socket is ours alone.
pub fn event(message: &str, prompt_id: &str) -> Option<Event> {
    let message: Value = serde_json::from_str(message).ok()?;
    let data = &message["data"];
    let kind = message["type"].as_str()?;
    if kind == "status" {
        let waiting = data["status"]["exec_info"]["queue_remaining"].as_u64()?;
        return Some(Event::At(format!("{waiting} in ComfyUI's queue")));
    }
    if data["prompt_id"].as_str().is_some_and(|id| id != prompt_id) {
        return None;
    }
    let node = data["node"].as_str();
    match kind {
        "execution_start" => Some(Event::At("started".into())),
        "execution_cached" => {
            let nodes = data["nodes"].as_array().map_or(0, Vec::len);
            Some(Event::At(format!("{nodes} nodes taken from ComfyUI's cache")))
        }
        // Without a node: the whole prompt, and only with its id.
        "executing" if node.is_none() => data["prompt_id"].as_str().map(|_| Event::Finished),
        "executing" => node.map(|node| Event::At(format!("at node {node}"))),
        "progress" => {
            let (value, max) = (data["value"].as_f64()?, data["max"].as_f64()?);
            let node = node.map_or(String::new(), |node| format!(" at node {node}"));
            Some(Event::At(format!("step {value} of {max}{node}")))
        }
        "executed" => node.map(|node| Event::At(format!("node {node} done"))),
        "execution_error" => Some(Event::Failed(failure(data))),
        "execution_interrupted" => Some(Event::Failed(interrupted(data))),
        _ => None,
    }
}

/// Of an `execution_error`, in a message or in the history.
pub fn failure(data: &Value) -> String {
    let text = |key: &str| data[key].as_str().map(str::trim).filter(|text| !text.is_empty());
    let node = match (text("node_id"), text("node_type")) {
        (Some(id), Some(class)) => format!("node {id} ({class})"),
        (Some(id), None) => format!("node {id}"),
        _ => "a node".into(),
    };
    let what = match (text("exception_type"), text("exception_message")) {
        (Some(class), Some(message)) => format!("{class}: {message}"),
        (one, other) => one.or(other).unwrap_or("it does not say why").to_owned(),
    };
    crate::remote::complaint::one_line(&format!("ComfyUI failed at {node}: {what}"))
}

/// Of an `execution_interrupted`.
pub fn interrupted(data: &Value) -> String {
    match data["node_id"].as_str() {
        Some(node) => format!("somebody interrupted ComfyUI at node {node}"),
        None => "somebody interrupted ComfyUI".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(kind: &str, data: Value) -> Option<Event> {
        event(&json!({"type": kind, "data": data}).to_string(), "p1")
    }

    fn at(text: &str) -> Option<Event> {
        Some(Event::At(text.into()))
    }

    #[test]
    fn every_message_of_a_prompt_is_understood() {
        let status = json!({"status": {"exec_info": {"queue_remaining": 3}}, "sid": "s"});
        assert_eq!(heard("status", status), at("3 in ComfyUI's queue"));
        assert_eq!(heard("execution_start", json!({"prompt_id": "p1"})), at("started"));
        assert_eq!(
            heard("execution_cached", json!({"nodes": ["1", "2"], "prompt_id": "p1"})),
            at("2 nodes taken from ComfyUI's cache")
        );
        assert_eq!(heard("executing", json!({"node": "5", "prompt_id": "p1"})), at("at node 5"));
        assert_eq!(
            heard("progress", json!({"value": 3, "max": 20, "node": "5", "prompt_id": "p1"})),
            at("step 3 of 20 at node 5")
        );
        assert_eq!(heard("progress", json!({"value": 3, "max": 20})), at("step 3 of 20"));
        assert_eq!(
            heard("executed", json!({"node": "7", "output": {}, "prompt_id": "p1"})),
            at("node 7 done")
        );
        assert_eq!(
            heard("executing", json!({"node": null, "prompt_id": "p1"})),
            Some(Event::Finished)
        );
        assert_eq!(
            heard(
                "execution_error",
                json!({"prompt_id": "p1", "node_id": "5", "node_type": "KSampler",
                "exception_type": "OutOfMemoryError", "exception_message": "Allocation\n failed", "traceback": []})
            ),
            Some(Event::Failed(
                "ComfyUI failed at node 5 (KSampler): OutOfMemoryError: Allocation failed".into()
            ))
        );
        assert_eq!(
            heard("execution_interrupted", json!({"prompt_id": "p1", "node_id": "5"})),
            Some(Event::Failed("somebody interrupted ComfyUI at node 5".into()))
        );
    }

    #[test]
    fn another_s_prompt_and_noise_are_not_ours() {
        assert_eq!(heard("executing", json!({"node": null, "prompt_id": "p2"})), None);
        assert_eq!(heard("execution_error", json!({"prompt_id": "p2"})), None);
        assert_eq!(heard("executing", json!({"node": null})), None, "whose end is it?");
        assert_eq!(heard("crystools.monitor", json!({"cpu": 1})), None);
        assert_eq!(event("not JSON", "p1"), None);
    }
}
