//! docs/http-back-ends.md: each example opens a back end as it stands, but for its address and key.

use difftest_core::config::{self, Variables};
use serde_json::{Value, json};

use crate::a1111::WebUi;
use crate::comfyui_server::{Comfy, Mood};
use crate::custom::Own;
use crate::hosted::Hosts;
use crate::stand_in::open;

fn examples() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http-back-ends.md");
    let page = std::fs::read_to_string(file).unwrap();
    page.split("```toml\n")
        .skip(1)
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_example_opens_its_back_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("workflows")).unwrap();
    let built_in = include_str!("../../src/remote/comfyui/default_workflow.json");
    std::fs::write(folder.path().join("workflows/portrait.json"), built_in).unwrap();
    let (ui, comfy) = (WebUi::start().await, Comfy::start(Mood::Works).await);
    let (hosts, own) = (Hosts::start().await, Own::start().await);
    let mut opened = Vec::new();
    for example in examples() {
        let parsed = config::parse(&example, config::FILE, Variables::From(&|_| None)).unwrap();
        let settings = parsed.settings(None).unwrap();
        let mut options = settings.options.clone();
        let generator = settings.generator.clone().unwrap();
        match (generator.as_str(), options.get("provider").and_then(Value::as_str)) {
            ("comfyui", _) => drop(options.insert("url".into(), json!(comfy.url))),
            ("a1111", _) => drop(options.insert("url".into(), json!(ui.url))),
            (_, Some("custom")) => drop(options.insert("endpoint".into(), json!(own.url))),
            (_, Some("fal")) => drop(options.insert("endpoint".into(), json!(hosts.url))),
            _ => drop(options.insert("endpoint".into(), json!(format!("{}/v1", hosts.url)))),
        }
        if generator == "api" {
            options.insert("api_key".into(), json!("k"));
        }
        let request = json!({"generator": generator, "model": settings.model, "options": options,
            "recipe": settings.recipe, "root": folder.path(), "jobs": settings.jobs.unwrap_or(1)});
        let client = open(request).await.unwrap_or_else(|e| panic!("{e}\n{example}"));
        opened.push(client.remote.name());
    }
    assert_eq!(
        opened,
        ["comfyui", "comfyui", "a1111", "api:fal", "api:replicate", "api:openai", "api:custom"]
    );
}
