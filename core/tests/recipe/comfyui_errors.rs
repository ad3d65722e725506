//! Workflows that a recipe does not fit, or that nobody should have to trust.

use difftest_core::recipe::{Recipe, comfyui};
use serde_json::{Value, json};

use super::comfyui::{error, inject, node, simple};
use super::{full, plain};

#[test]
fn a_missing_node_is_named_with_its_field() {
    let one = |field: &str| {
        let mut value = json!({"prompt": "x", "seed": 1});
        value[field] = json!(full())[field].clone();
        Recipe::from_value(&value).unwrap()
    };
    assert_eq!(
        error(&simple(), &one("clip_skip")),
        "the recipe sets `clip_skip`, but the workflow has no CLIPSetLastLayer that takes it; put \
         one between the checkpoint and the text encoders, or leave it out"
    );
    let message = error(&simple(), &one("loras"));
    assert!(message.contains("no LoraLoader") && message.contains("0 of them for 2"), "{message}");
    let mut from_image = simple();
    from_image["5"] = node("VAEEncode", json!({"pixels": ["40", 0], "vae": ["4", 2]}));
    from_image["40"] = node("LoadImage", json!({"image": "x.png"}));
    let message = error(&from_image, &one("width"));
    assert!(
        message.contains("EmptyLatentImage") && message.contains("starts from an image"),
        "{message}"
    );
    let mut no_text = simple();
    no_text["3"]["inputs"]["positive"] = json!(["50", 0]);
    no_text["50"] = node("ConditioningZeroOut", json!({"conditioning": ["6", 0]}));
    assert!(error(&no_text, &plain("x")).contains("`prompt`"));
    let mut same = simple();
    same["3"]["inputs"]["negative"] = json!(["6", 0]);
    assert!(
        error(&same, &one("negative_prompt")).contains("of its own"),
        "it would replace the prompt"
    );
    let mut no_sampler = simple();
    no_sampler.as_object_mut().unwrap().remove("3");
    assert!(error(&no_sampler, &plain("x")).contains("KSamplerAdvanced"));
}

#[test]
fn what_comfyui_cannot_take_is_an_error() {
    let mut recipe = plain("x");
    recipe.seed = -1;
    assert!(error(&simple(), &recipe).contains("counts seeds from 0"));
    let mut recipe = plain("x");
    recipe.settings.denoise = Some(0.0);
    assert!(error(&simple(), &recipe).contains("more than 0"));
    let mut recipe = plain("x");
    recipe.settings.scheduler = Some("pndm".into());
    assert_eq!(
        error(&simple(), &recipe),
        "the recipe's `scheduler`: ComfyUI has no scheduler `pndm`; the nearest that it has is \
         `lms`"
    );
}

/// A hires pass: two samplers that say different things.
fn hires() -> Value {
    let mut workflow = simple();
    workflow["15"] = node(
        "LatentUpscale",
        json!({
            "width": 1024, "height": 1024, "upscale_method": "nearest-exact", "samples": ["3", 0],
        }),
    );
    let mut second = workflow["3"].clone();
    second["inputs"]["latent_image"] = json!(["15", 0]);
    second["inputs"]["seed"] = json!(6);
    second["inputs"]["denoise"] = json!(0.5);
    workflow["2"] = second;
    workflow["8"]["inputs"]["samples"] = json!(["2", 0]);
    workflow
}

#[test]
fn nodes_that_disagree_must_be_told_apart() {
    let out = inject(&hires(), &plain("x"));
    assert_eq!((&out["3"]["inputs"]["seed"], &out["2"]["inputs"]["seed"]), (&json!(7), &json!(7)));
    let mut recipe = plain("x");
    recipe.settings.steps = Some(9);
    recipe.settings.width = Some(640);
    let out = inject(&hires(), &recipe);
    assert_eq!(
        (&out["3"]["inputs"]["steps"], &out["2"]["inputs"]["steps"]),
        (&json!(9), &json!(9))
    );
    assert_eq!(
        (&out["5"]["inputs"]["width"], &out["15"]["inputs"]["width"]),
        (&json!(640), &json!(1024))
    );
    recipe.settings.denoise = Some(0.3);
    assert_eq!(
        error(&hires(), &recipe),
        "the recipe sets `denoise`, but the workflow has several nodes that take it \
         (KSampler 3: 1.0, KSampler 2: 0.5); title the right one `difftest:denoise` in ComfyUI"
    );
    let mut titled = hires();
    titled["2"]["_meta"] = json!({"title": "difftest:denoise"});
    let out = inject(&titled, &recipe);
    assert_eq!(
        (&out["3"]["inputs"]["denoise"], &out["2"]["inputs"]["denoise"]),
        (&json!(1.0), &json!(0.3))
    );
    let traced = comfyui::read(&hires()).unwrap();
    assert_eq!((traced.seed, traced.settings.denoise), (Some(5), Some(1.0)), "the first sampler");
    assert_eq!(traced.notes, ["the first of several samplers is shown; after it: KSampler"]);
}

#[test]
fn a_title_finds_a_prompt_that_no_link_tells() {
    let mut workflow = simple();
    workflow["41"] = node("CLIPTextEncode", json!({"text": "a frame around it", "clip": ["4", 1]}));
    workflow["42"] = node(
        "ConditioningConcat",
        json!({"conditioning_to": ["6", 0], "conditioning_from": ["41", 0]}),
    );
    workflow["3"]["inputs"]["positive"] = json!(["42", 0]);
    let message = error(&workflow, &plain("x"));
    assert!(
        message.contains("`difftest:prompt`") && message.contains("\"a lighthouse\""),
        "{message}"
    );
    workflow["6"]["_meta"] = json!({"title": " Difftest:Prompt "});
    let out = inject(&workflow, &plain("x"));
    assert_eq!(
        (&out["6"]["inputs"]["text"], &out["41"]["inputs"]["text"]),
        (&json!("x"), &json!("a frame around it"))
    );
}

#[test]
fn what_is_no_workflow_is_said_so() {
    for (value, why) in [
        (json!([]), "no JSON object"),
        (json!({}), "0 nodes"),
        (json!({"3": {"inputs": {}}}), "`3` has no `class_type`"),
        (json!({"3": {"class_type": "x", "inputs": []}}), "`3` has no `class_type`"),
    ] {
        let message = error(&value, &plain("x"));
        assert!(message.contains(why), "{message}");
    }
    let many: serde_json::Map<String, Value> =
        (0..5_000).map(|n| (n.to_string(), node("x", json!({})))).collect();
    assert!(error(&Value::Object(many), &plain("x")).contains("5000 nodes"));
}

/// A sampler's name is a text like a schedule's, and must not be taken for one.
#[test]
fn a_titled_node_takes_what_it_has_alone() {
    let mut workflow = simple();
    workflow["3"] = node(
        "SamplerCustom",
        json!({
            "noise_seed": 1, "cfg": 8.0, "model": ["4", 0], "positive": ["6", 0],
            "negative": ["7", 0], "sampler": ["31", 0], "sigmas": ["33", 0], "latent_image": ["5", 0],
        }),
    );
    workflow["31"] = node("KSamplerSelect", json!({"sampler_name": "euler"}));
    workflow["31"]["_meta"] = json!({"title": "difftest:scheduler"});
    workflow["33"] =
        node("BasicScheduler", json!({"scheduler": "normal", "steps": 9, "denoise": 1.0}));
    let mut recipe = plain("x");
    recipe.settings.scheduler = Some("dpmpp_2m_karras".into());
    let out = inject(&workflow, &recipe);
    assert_eq!(out["31"]["inputs"]["sampler_name"], "dpmpp_2m");
    assert_eq!(out["33"]["inputs"]["scheduler"], "karras");
}

/// Files come from anybody: links in a ring, to nowhere, to outputs that are none.
#[test]
fn rings_and_loose_links_end() {
    let mut workflow = simple();
    for (id, key, link) in [
        ("3", "positive", json!(["3", 0])),
        ("3", "model", json!(["70", 0])),
        ("3", "latent_image", json!(["71", 0])),
        ("3", "negative", json!(["nowhere", 0])),
        ("6", "text", json!(["72", 0])),
        ("6", "clip", json!(["6", -1])),
    ] {
        workflow[id]["inputs"][key] = link;
    }
    workflow["70"] = node("ModelSampling", json!({"model": ["73", 0]}));
    workflow["73"] = node("ModelSampling", json!({"model": ["70", 0]}));
    workflow["71"] = node("LatentUpscale", json!({"samples": ["71", 0]}));
    workflow["72"] = node("Reroute", json!({"": ["72", 0]}));
    let traced = comfyui::read(&workflow).unwrap();
    assert_eq!((traced.prompt, traced.model), (None, None));
    assert!(comfyui::inject(&workflow, &full()).is_err());
}
