//! A recipe in a ComfyUI workflow, and read back from one.

use difftest_core::recipe::{Lora, Recipe, comfyui};
use serde_json::{Value, json};

use super::{full, plain};

pub(super) fn node(class: &str, inputs: Value) -> Value {
    json!({"class_type": class, "inputs": inputs})
}

/// The workflow that ComfyUI starts with.
pub(super) fn simple() -> Value {
    json!({
        "3": node("KSampler", json!({
            "seed": 5, "steps": 25, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0],
        })),
        "4": node("CheckpointLoaderSimple", json!({"ckpt_name": "sd15.safetensors"})),
        "5": node("EmptyLatentImage", json!({"width": 512, "height": 512, "batch_size": 4})),
        "6": node("CLIPTextEncode", json!({"text": "a lighthouse", "clip": ["4", 1]})),
        "7": node("CLIPTextEncode", json!({"text": "text, watermark", "clip": ["4", 1]})),
        "8": node("VAEDecode", json!({"samples": ["3", 0], "vae": ["4", 2]})),
        "9": node("SaveImage", json!({"filename_prefix": "ComfyUI", "images": ["8", 0]})),
    })
}

/// Two LoRAs and a last layer between the checkpoint and the encoders.
fn with_loras() -> Value {
    let mut workflow = simple();
    workflow["10"] = node(
        "LoraLoader",
        json!({
            "lora_name": "sub/Style.safetensors", "strength_model": 0.1, "strength_clip": 0.1,
            "model": ["4", 0], "clip": ["4", 1],
        }),
    );
    workflow["11"] = node(
        "LoraLoader",
        json!({
            "lora_name": "old.safetensors", "strength_model": 0.2, "strength_clip": 0.2,
            "model": ["10", 0], "clip": ["10", 1],
        }),
    );
    workflow["12"] = node("CLIPSetLastLayer", json!({"stop_at_clip_layer": -1, "clip": ["11", 1]}));
    workflow["3"]["inputs"]["model"] = json!(["11", 0]);
    workflow["6"]["inputs"]["clip"] = json!(["12", 0]);
    workflow["7"]["inputs"]["clip"] = json!(["12", 0]);
    workflow
}

/// FLUX as ComfyUI's own example has it: parts, a guider, guidance in the conditioning.
fn flux() -> Value {
    json!({
        "5": node("EmptySD3LatentImage", json!({"width": 1024, "height": 1024, "batch_size": 1})),
        "6": node("CLIPTextEncode", json!({"text": "a fox", "clip": ["11", 0]})),
        "8": node("VAEDecode", json!({"samples": ["13", 0], "vae": ["10", 0]})),
        "9": node("SaveImage", json!({"images": ["8", 0]})),
        "10": node("VAELoader", json!({"vae_name": "ae.safetensors"})),
        "11": node("DualCLIPLoader", json!({"clip_name1": "t5", "clip_name2": "l", "type": "flux"})),
        "12": node("UNETLoader", json!({"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"})),
        "13": node("SamplerCustomAdvanced", json!({
            "noise": ["25", 0], "guider": ["22", 0], "sampler": ["16", 0], "sigmas": ["17", 0],
            "latent_image": ["5", 0],
        })),
        "16": node("KSamplerSelect", json!({"sampler_name": "euler"})),
        "17": node("BasicScheduler", json!({
            "scheduler": "simple", "steps": 20, "denoise": 1.0, "model": ["30", 0],
        })),
        "22": node("BasicGuider", json!({"model": ["30", 0], "conditioning": ["26", 0]})),
        "25": node("RandomNoise", json!({"noise_seed": 9})),
        "26": node("FluxGuidance", json!({"guidance": 3.5, "conditioning": ["6", 0]})),
        "30": node("ModelSamplingFlux", json!({"max_shift": 1.15, "model": ["12", 0]})),
    })
}

pub(super) fn inject(workflow: &Value, recipe: &Recipe) -> Value {
    comfyui::inject(workflow, recipe).unwrap()
}

pub(super) fn error(workflow: &Value, recipe: &Recipe) -> String {
    comfyui::inject(workflow, recipe).unwrap_err().to_string()
}

#[test]
fn every_field_goes_into_its_node() {
    let out = inject(&with_loras(), &full());
    assert_eq!(
        out["3"]["inputs"],
        json!({
            "seed": 42, "steps": 20, "cfg": 6.5, "sampler_name": "dpmpp_2m", "scheduler": "karras",
            "denoise": 1.0, "model": ["11", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0],
        })
    );
    assert_eq!(out["5"]["inputs"], json!({"width": 512, "height": 768, "batch_size": 1}));
    assert_eq!(out["6"]["inputs"]["text"], "a lighthouse, (dusk:1.2)");
    assert_eq!(out["7"]["inputs"]["text"], "blurry");
    // ComfyUI counts from the last layer, -1.
    assert_eq!(out["12"]["inputs"]["stop_at_clip_layer"], -2);
    // The loader that has it already keeps its file; the other takes the second.
    assert_eq!(out["10"]["inputs"]["lora_name"], "sub/Style.safetensors");
    assert_eq!(out["10"]["inputs"]["strength_model"], 0.8);
    assert_eq!(out["10"]["inputs"]["strength_clip"], 0.8);
    assert_eq!(out["11"]["inputs"]["lora_name"], "detail");
    assert_eq!(out["11"]["inputs"]["strength_model"], -0.25);
    // Nothing else moved.
    for id in ["4", "8", "9"] {
        assert_eq!(out[id], with_loras()[id]);
    }
    let traced = comfyui::read(&out).unwrap();
    let mut settings = full().settings;
    settings.loras[0].name = "sub/Style.safetensors".into();
    assert_eq!(traced.settings, settings);
    assert_eq!(
        (traced.prompt, traced.negative_prompt),
        (Some(full().prompt), full().negative_prompt)
    );
    assert_eq!((traced.seed, traced.notes.len()), (Some(42), 0));
}

#[test]
fn what_the_recipe_leaves_open_stays() {
    let out = inject(&simple(), &plain("a cat"));
    let mut expected = simple();
    expected["3"]["inputs"]["seed"] = json!(7);
    expected["5"]["inputs"]["batch_size"] = json!(1);
    expected["6"]["inputs"]["text"] = json!("a cat");
    assert_eq!(out, expected);
}

/// Numbers and the order of nodes say nothing: the links do.
#[test]
fn positive_and_negative_are_told_apart_by_their_links() {
    let mut workflow = simple();
    workflow["3"]["inputs"]["positive"] = json!(["7", 0]);
    workflow["3"]["inputs"]["negative"] = json!(["6", 0]);
    let mut recipe = plain("a cat");
    recipe.negative_prompt = Some("dogs".into());
    let out = inject(&workflow, &recipe);
    assert_eq!(out["7"]["inputs"]["text"], "a cat");
    assert_eq!(out["6"]["inputs"]["text"], "dogs");
}

#[test]
fn the_ways_go_through_control_nets_and_text_nodes() {
    let mut workflow = simple();
    workflow["20"] = node(
        "ControlNetApplyAdvanced",
        json!({
            "strength": 1.0, "positive": ["6", 0], "negative": ["7", 0], "control_net": ["21", 0],
        }),
    );
    workflow["3"]["inputs"]["positive"] = json!(["20", 0]);
    workflow["3"]["inputs"]["negative"] = json!(["20", 1]);
    // The text, the seed and the width come from nodes of their own.
    workflow["22"] = node("PrimitiveString", json!({"value": "old"}));
    workflow["23"] = node("Reroute", json!({"": ["22", 0]}));
    workflow["24"] = node("Seed (rgthree)", json!({"seed": 1}));
    workflow["25"] = node("INTConstant", json!({"value": 64}));
    workflow["6"]["inputs"]["text"] = json!(["23", 0]);
    workflow["3"]["inputs"]["seed"] = json!(["24", 0]);
    workflow["5"]["inputs"]["width"] = json!(["25", 0]);
    let mut recipe = full();
    recipe.settings.loras.clear();
    recipe.settings.clip_skip = None;
    let out = inject(&workflow, &recipe);
    assert_eq!(out["22"]["inputs"]["value"], recipe.prompt.as_str());
    assert_eq!(out["6"]["inputs"]["text"], json!(["23", 0]), "the link stays");
    assert_eq!(out["7"]["inputs"]["text"], "blurry");
    assert_eq!(out["24"]["inputs"]["seed"], 42);
    assert_eq!(out["25"]["inputs"]["value"], 512);
    assert_eq!(comfyui::read(&out).unwrap().settings, recipe.settings);
}

#[test]
fn flux_in_parts_is_understood() {
    let mut recipe = plain("a cat");
    recipe.settings.steps = Some(4);
    recipe.settings.guidance = Some(2.0);
    recipe.settings.width = Some(768);
    recipe.settings.scheduler = Some("flow_match_heun".into());
    recipe.settings.denoise = Some(0.9);
    let out = inject(&flux(), &recipe);
    assert_eq!(out["6"]["inputs"]["text"], "a cat");
    assert_eq!(out["25"]["inputs"]["noise_seed"], 7);
    assert_eq!(out["17"]["inputs"]["steps"], 4);
    assert_eq!(out["17"]["inputs"]["denoise"], 0.9);
    assert_eq!(out["16"]["inputs"]["sampler_name"], "heun");
    assert_eq!(out["17"]["inputs"]["scheduler"], "simple");
    assert_eq!(out["26"]["inputs"]["guidance"], 2.0);
    assert_eq!(out["5"]["inputs"]["width"], 768);
    let traced = comfyui::read(&flux()).unwrap();
    assert_eq!(traced.settings.scheduler.as_deref(), Some("flow_match_euler"));
    assert_eq!(traced.settings.guidance, Some(3.5));
    assert_eq!(traced.model.as_deref(), Some("flux1-dev.safetensors"));
    assert_eq!((traced.negative_prompt, traced.seed), (None, Some(9)));
    recipe.negative_prompt = Some("dogs".into());
    assert_eq!(
        error(&flux(), &recipe),
        "the recipe sets `negative_prompt`, but the workflow has no CLIPTextEncode of its own \
         behind the sampler's `negative` that takes it; link one, or leave the negative prompt out"
    );
}

#[test]
fn sampler_custom_and_the_advanced_sampler_are_understood() {
    let mut workflow = simple();
    workflow["3"] = node(
        "SamplerCustom",
        json!({
            "add_noise": true, "noise_seed": 1, "cfg": 8.0, "model": ["4", 0], "positive": ["6", 0],
            "negative": ["7", 0], "sampler": ["31", 0], "sigmas": ["32", 0], "latent_image": ["5", 0],
        }),
    );
    workflow["31"] = node("KSamplerSelect", json!({"sampler_name": "euler"}));
    workflow["32"] = node("SplitSigmas", json!({"step": 5, "sigmas": ["33", 0]}));
    workflow["33"] = node(
        "BasicScheduler",
        json!({"scheduler": "normal", "steps": 9, "denoise": 1.0, "model": ["4", 0]}),
    );
    let mut recipe = full();
    recipe.settings.loras.clear();
    recipe.settings.clip_skip = None;
    let out = inject(&workflow, &recipe);
    assert_eq!(
        (&out["3"]["inputs"]["noise_seed"], &out["3"]["inputs"]["cfg"]),
        (&json!(42), &json!(6.5))
    );
    assert_eq!(
        (&out["31"]["inputs"]["sampler_name"], &out["33"]["inputs"]["scheduler"]),
        (&json!("dpmpp_2m"), &json!("karras"))
    );
    assert_eq!(out["33"]["inputs"]["steps"], 20);
    // A node with a schedule of its own takes steps, and no other schedule.
    workflow["33"] = node("KarrasScheduler", json!({"steps": 9, "rho": 7.0}));
    recipe.settings.denoise = None;
    let message = error(&workflow, &recipe);
    assert!(message.contains("`scheduler`") && message.contains("BasicScheduler"), "{message}");

    let mut workflow = simple();
    let inputs = workflow["3"]["inputs"].as_object_mut().unwrap();
    inputs.remove("denoise");
    let seed = inputs.remove("seed").unwrap();
    inputs.insert("noise_seed".into(), seed);
    workflow["3"]["class_type"] = json!("KSamplerAdvanced");
    assert_eq!(inject(&workflow, &plain("x"))["3"]["inputs"]["noise_seed"], 7);
    let mut recipe = plain("x");
    recipe.settings.denoise = Some(0.5);
    assert!(error(&workflow, &recipe).contains("`denoise`"));
}

#[test]
fn sdxl_has_two_texts_at_one_node_and_two_at_the_refiner() {
    let mut workflow = simple();
    workflow["6"] = node(
        "CLIPTextEncodeSDXL",
        json!({
            "text_g": "one", "text_l": "another", "width": 4096, "height": 4096, "clip": ["4", 1],
        }),
    );
    let out = inject(&workflow, &plain("x"));
    assert_eq!(
        (&out["6"]["inputs"]["text_g"], &out["6"]["inputs"]["text_l"]),
        (&json!("x"), &json!("x"))
    );
    assert_eq!(out["6"]["inputs"]["width"], 4096, "the size that the text is told is no image's");
}

#[test]
fn nodes_that_make_no_image_are_left_alone() {
    let mut workflow = simple();
    workflow["60"] = workflow["3"].clone();
    workflow["60"]["inputs"]["steps"] = json!(99);
    let mut recipe = plain("x");
    recipe.settings.steps = Some(9);
    let out = inject(&workflow, &recipe);
    assert_eq!(
        (&out["3"]["inputs"]["steps"], &out["60"]["inputs"]["steps"]),
        (&json!(9), &json!(99))
    );
}

#[test]
fn loras_that_are_not_asked_for_are_off() {
    let mut recipe = plain("x");
    recipe.settings.loras = vec![Lora { name: "old".into(), weight: 1.0 }];
    let out = inject(&with_loras(), &recipe);
    assert_eq!(out["10"]["inputs"]["strength_model"], 0.0);
    assert_eq!(out["11"]["inputs"]["strength_model"], 1.0);
    assert_eq!(out["11"]["inputs"]["lora_name"], "old.safetensors");
    assert_eq!(comfyui::read(&out).unwrap().settings.loras.len(), 1);
}

/// What ComfyUI's editor saves, reduced to what is read.
fn drawn() -> Value {
    let link = |name: &str, link: Value| json!({"name": name, "link": link});
    json!({
        "nodes": [
            {"id": 3, "type": "KSampler", "mode": 0,
             "widgets_values": [5, "randomize", 25, 8.0, "euler", "normal", 1.0],
             "inputs": [link("model", json!(1)), link("positive", json!(4)), link("negative", json!(6)),
                        link("latent_image", json!(2))]},
            {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["sd15.safetensors"], "inputs": []},
            {"id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 512, 4]},
            {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a lighthouse"],
             "inputs": [link("clip", json!(3))]},
            {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["text, watermark"],
             "inputs": [link("clip", json!(5))]},
            {"id": 8, "type": "VAEDecode", "inputs": [link("samples", json!(7)), link("vae", json!(8))]},
            {"id": 9, "type": "SaveImage", "widgets_values": ["ComfyUI"], "inputs": [link("images", json!(9))]},
            {"id": 10, "type": "KSampler", "mode": 4, "widgets_values": [1], "inputs": [link("images", Value::Null)]},
            {"id": 11, "type": "Note", "widgets_values": {"text": "x"}},
        ],
        "links": [
            [1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"],
            [4, 6, 0, 3, 1, "CONDITIONING"], [5, 4, 1, 7, 0, "CLIP"], [6, 7, 0, 3, 2, "CONDITIONING"],
            [7, 3, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"], [9, 8, 0, 9, 0, "IMAGE"],
        ],
    })
}

#[test]
fn the_editors_own_format_is_read_as_the_other() {
    let api = comfyui::to_api_format(&drawn()).unwrap();
    let read = |workflow| comfyui::read(workflow).unwrap();
    assert_eq!(read(&api), read(&simple()));
    assert_eq!(comfyui::to_api_format(&simple()), None);
    assert_eq!(
        error(&drawn(), &plain("x")),
        "this is not a ComfyUI workflow in API format: it is the editor's own format; in ComfyUI \
         choose Workflow → Export (API)"
    );
}

#[test]
fn a_seed_of_64_bits_is_said() {
    let mut workflow = simple();
    workflow["3"]["inputs"]["seed"] = json!(u64::MAX);
    workflow["3"]["inputs"]["sampler_name"] = json!("my_own");
    let traced = comfyui::read(&workflow).unwrap();
    assert_eq!((traced.seed, traced.settings.scheduler), (None, None));
    assert_eq!(traced.notes.len(), 2, "{:?}", traced.notes);
}
