//! What a server says went wrong, as one line that a person can read. Servers differ in where they
//! put it: OpenAI in `error.message`, FastAPI (fal, A1111) in `detail`, Replicate in `title` and
//! `detail`, ComfyUI under each node of `node_errors`, proxies in a page's title.

use serde_json::Value;

const LONGEST: usize = 600;

/// Of a refused request's body. Empty where the body says nothing.
pub fn complaint(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => of_json(&json),
        Err(_) => of_text(&String::from_utf8_lossy(body)),
    };
    one_line(&text)
}

fn of_json(json: &Value) -> String {
    if let Some(nodes) = json["node_errors"].as_object().filter(|nodes| !nodes.is_empty()) {
        let lines: Vec<String> = nodes.iter().map(|(id, node)| node_error(id, node)).collect();
        return lines.join("; ");
    }
    let error = &json["error"];
    let said = [
        joined(&[&error["message"], &error["details"]]),
        joined(&[error, &json["title"], &json["detail"], &json["errors"]]),
        joined(&[&json["message"]]),
    ];
    let code = match error["code"].as_str() {
        Some(code) => format!(" ({code})"),
        None => String::new(),
    };
    match said.into_iter().find(|said| !said.is_empty()) {
        Some(said) => said + &code,
        None => json.to_string(),
    }
}

/// One node that ComfyUI's validation refused.
fn node_error(id: &str, node: &Value) -> String {
    let class = node["class_type"].as_str().unwrap_or("?");
    let errors: Vec<String> = node["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| joined(&[&error["message"], &error["details"]]))
        .collect();
    format!("node {id} ({class}): {}", errors.join(", "))
}

/// The texts among these, each once. An array is FastAPI's: where, and what.
fn joined(values: &[&Value]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for value in values {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Array(items) => {
                items.iter().map(located).collect::<Vec<_>>().join("; ").trim().to_owned()
            }
            _ => continue,
        };
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn located(item: &Value) -> String {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let Some(message) = item["msg"].as_str() else { return text(item) };
    let place: Vec<String> = item["loc"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .filter(|part| part != "body")
        .collect();
    if place.is_empty() { message.into() } else { format!("{}: {message}", place.join(".")) }
}

fn of_text(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower.get(start..)?.find("</title>")?;
        text.get(start..end)
    });
    title.unwrap_or(text).to_owned()
}

/// Without line breaks and control characters, and not endless.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LONGEST {
            let cut = (0..=LONGEST).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0);
            line.truncate(cut);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: Value) -> String {
        complaint(body.to_string().as_bytes())
    }

    #[test]
    fn every_back_end_s_form_becomes_one_line() {
        use serde_json::json;
        assert_eq!(
            said(json!({"error": {"message": "Billing hard limit", "code": "billing"}})),
            "Billing hard limit (billing)"
        );
        assert_eq!(
            said(json!({"detail": [{"loc": ["body", "seed"], "msg": "not an integer"}]})),
            "seed: not an integer"
        );
        assert_eq!(
            said(json!({"title": "Invalid version", "detail": "no such version", "status": 422})),
            "Invalid version: no such version"
        );
        assert_eq!(
            said(
                json!({"error": "OutOfMemoryError", "detail": "", "errors": "CUDA out of memory"})
            ),
            "OutOfMemoryError: CUDA out of memory"
        );
        assert_eq!(complaint(b"<html><head><TITLE>502 Bad\n Gateway</TITLE>"), "502 Bad Gateway");
        assert_eq!(said(json!({"what": 1})), r#"{"what":1}"#);
        assert_eq!(complaint(b""), "");
    }

    #[test]
    fn a_refused_workflow_names_its_nodes() {
        let body = serde_json::json!({
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
            "node_errors": {"4": {"class_type": "CheckpointLoaderSimple", "dependent_outputs": ["9"], "errors": [
                {"type": "value_not_in_list", "message": "Value not in list",
                 "details": "ckpt_name: 'sd.safetensors' not in ['other.safetensors']"}]}}
        });
        assert_eq!(
            said(body),
            "node 4 (CheckpointLoaderSimple): Value not in list: ckpt_name: 'sd.safetensors' not in \
             ['other.safetensors']"
        );
    }

    #[test]
    fn a_page_without_end_is_cut() {
        let long = complaint("ä ".repeat(5000).as_bytes());
        assert!(long.ends_with('…') && long.len() < 700, "{}", long.len());
        assert!(complaint("x".repeat(5000).as_bytes()).len() < 700);
    }
}
