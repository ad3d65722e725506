//! A1111's and Forge's request and parameters text.

use difftest_core::recipe::a1111::{self, Dialect};
use difftest_core::recipe::{Lora, Recipe};
use difftest_core::scheduler;
use proptest::prelude::*;
use serde_json::json;

use super::{full, plain};

#[test]
fn every_field_has_its_place_in_the_request() {
    assert_eq!(
        a1111::request(&full()).unwrap(),
        json!({
            "prompt": "a lighthouse, (dusk:1.2) <lora:style:0.8> <lora:detail:-0.25>",
            "negative_prompt": "blurry",
            "seed": 42, "width": 512, "height": 768, "steps": 20, "cfg_scale": 6.5,
            "sampler_name": "DPM++ 2M", "scheduler": "Karras", "denoising_strength": 1.0,
            "override_settings": {"CLIP_stop_at_last_layers": 2},
            "override_settings_restore_afterwards": true,
            "batch_size": 1, "n_iter": 1, "save_images": false, "send_images": true,
        })
    );
    assert_eq!(a1111::from_request(&a1111::request(&full()).unwrap()).unwrap(), full());
}

/// A server from before 1.9 leaves `scheduler` unread in silence.
#[test]
fn an_older_server_is_told_one_name() {
    let body = a1111::request_in(&full(), Dialect::Combined).unwrap();
    assert_eq!(body["sampler_name"], "DPM++ 2M Karras");
    assert!(body.get("scheduler").is_none());
    assert_eq!(a1111::from_request(&body).unwrap(), full());
}

#[test]
fn what_it_cannot_take_is_an_error() {
    let error = |recipe: Recipe| a1111::request(&recipe).unwrap_err().to_string();
    let mut recipe = plain("x");
    recipe.seed = -1;
    assert!(error(recipe).contains("random"), "its -1 is a random seed");
    let mut recipe = plain("x");
    recipe.settings.denoise = Some(0.5);
    assert!(error(recipe).starts_with("the recipe's `denoise` is 0.5, but A1111/Forge starts"));
    let mut recipe = plain("x");
    recipe.settings.scheduler = Some("tcd".into());
    assert!(error(recipe).ends_with("the nearest that it has is `lcm`"));
    for name in ["C:\\x", "a>b", "a:b"] {
        let mut recipe = plain("x");
        recipe.settings.loras = vec![Lora { name: name.into(), weight: 1.0 }];
        assert!(error(recipe).contains("`loras`"));
    }
}

/// The form that A1111's `create_infotext` writes.
#[test]
fn the_parameters_text_is_a1111s() {
    assert_eq!(
        a1111::write(&full(), "sd_xl, base: 1.0", (512, 768)),
        "a lighthouse, (dusk:1.2) <lora:style:0.8> <lora:detail:-0.25>\n\
         Negative prompt: blurry\n\
         Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, \
         Size: 512x768, Model: \"sd_xl, base: 1.0\", Denoising strength: 1, Clip skip: 2"
    );
    assert_eq!(
        a1111::write(&plain("a cat"), "m", (32, 32)),
        "a cat\nSeed: 7, Size: 32x32, Model: m"
    );
}

/// Texts as these programs write them, shortened where they repeat.
#[test]
fn texts_of_the_wild_are_read() {
    // A1111 1.4, a combined name, hires pass, LoRA hashes, no Schedule type.
    let info = a1111::parse(
        "masterpiece, 1girl, (beret:1.1), Steps: up to the door <lora:detail_slider:0.5>\n\
         second line of the prompt\n\
         Negative prompt: (worst quality:1.4), bad hands,\nmore of it\n\
         Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 3607814227, Size: 512x768, \
         Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Denoising strength: 0.45, \
         Clip skip: 2, Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+ Anime6B, \
         Lora hashes: \"detail_slider: 4b1b0ab7a2e7, other: 00aa\", Version: v1.4.1",
    );
    assert_eq!(
        info.prompt,
        "masterpiece, 1girl, (beret:1.1), Steps: up to the door\nsecond line of the prompt"
    );
    assert_eq!(
        info.negative_prompt.as_deref(),
        Some("(worst quality:1.4), bad hands,\nmore of it")
    );
    assert_eq!(info.settings.scheduler.as_deref(), Some("dpmpp_2m_karras"));
    assert_eq!(info.settings.loras, [Lora { name: "detail_slider".into(), weight: 0.5 }]);
    assert_eq!((info.seed, info.settings.clip_skip), (Some(3_607_814_227), Some(2)));
    assert_eq!(info.settings.denoise, Some(0.45));
    assert_eq!(info.model.as_deref(), Some("v1-5-pruned-emaonly"));
    let other = |key: &str| {
        info.others.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap_or_default()
    };
    assert_eq!(other("Lora hashes"), "detail_slider: 4b1b0ab7a2e7, other: 00aa");
    assert_eq!(other("Hires upscaler"), "R-ESRGAN 4x+ Anime6B");
    assert_eq!(other("Version"), "v1.4.1");
    assert!(info.notes.is_empty(), "{:?}", info.notes);

    // A1111 1.10: a schedule type beside the sampler; "Automatic" is the sampler's own.
    let info = a1111::parse(
        "a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7.0, \
         Seed: 1, Size: 512x512, Model: m, Version: v1.10.1",
    );
    assert_eq!(info.settings.scheduler.as_deref(), Some("dpmpp_2m_karras"));
    assert_eq!((info.prompt.as_str(), info.negative_prompt), ("a cat", None));

    // Forge with FLUX.
    let info = a1111::parse(
        "a sign that says \"Steps: 3, Seed: 4, Size: 5x5\"\n\
         Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, \
         Seed: 895730571, Size: 896x1152, Model hash: bea01d51bd, Model: flux1-dev-bnb-nf4-v2, \
         Version: f2.0.1v1.10.1-previous-313-g8a042934",
    );
    assert_eq!(info.settings.scheduler.as_deref(), Some("flow_match_euler"));
    assert_eq!(info.prompt, "a sign that says \"Steps: 3, Seed: 4, Size: 5x5\"");
    assert!(info.others.contains(&("Distilled CFG Scale".into(), "3.5".into())));

    // Civitai's generator.
    let info = a1111::parse(
        "x\nSteps: 25, CFG scale: 3.5, Sampler: Undefined, Seed: 2, Size: 832x1216, Clip skip: 2",
    );
    assert_eq!(info.settings.scheduler, None);
    assert_eq!(info.notes, ["the registry has no scheduler for `Undefined`"]);

    // Windows line ends, an empty negative prompt, a value that is broken.
    let info = a1111::parse(
        "x\r\nNegative prompt: \r\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: many, Size: 8x8",
    );
    assert_eq!(info.negative_prompt.as_deref(), Some(""));
    assert_eq!(info.notes, ["`Seed: many` cannot be read"]);
    assert_eq!(info.settings.scheduler.as_deref(), Some("euler_a"));

    // No parameters at all: everything is prompt.
    let info = a1111::parse("only a prompt, with: a colon");
    assert_eq!(info.prompt, "only a prompt, with: a colon");
    assert_eq!(a1111::parse("").prompt, "");
}

#[test]
fn a_tag_that_is_none_stays_text() {
    for text in ["<lora:", "<lora:>", "a <lora:x:heavy> b", "<lora:x", "<lora: :1>"] {
        let info = a1111::parse(text);
        assert_eq!((info.prompt.as_str(), info.settings.loras.len()), (text, 0));
    }
    let info = a1111::parse("<lora:a> b<lora:c:0.5:0.2>");
    assert_eq!(info.prompt, " b");
    assert_eq!(
        info.settings.loras,
        [Lora { name: "a".into(), weight: 1.0 }, Lora { name: "c".into(), weight: 0.5 }]
    );
}

/// The text without what the format cannot tell apart.
fn told_apart(text: &str) -> String {
    let text = text.replace("Negative prompt:", "").replace("<lora:", "").replace(['\r', '\0'], "");
    format!("x{text}y")
}

proptest! {
    /// The text itself has no escape: a prompt with a line `Negative prompt:` or a tag cannot come
    /// back from it. Everything else does.
    #[test]
    fn a_recipe_comes_back_from_its_text(mut recipe in super::embedded::recipes()) {
        recipe.prompt = told_apart(&recipe.prompt);
        recipe.negative_prompt = recipe.negative_prompt.map(|text| told_apart(&text));
        let in_a1111 = |id: &String| scheduler::get(id).is_some_and(|s| s.a1111().is_some());
        recipe.settings.scheduler = recipe.settings.scheduler.filter(in_a1111);
        let size = (recipe.settings.width.unwrap_or(64), recipe.settings.height.unwrap_or(64));
        let info = a1111::parse(&a1111::write(&recipe, "a model: v1, \"final\"", size));
        prop_assert_eq!(&info.prompt, &recipe.prompt);
        prop_assert_eq!(&info.negative_prompt, &recipe.negative_prompt);
        prop_assert_eq!(info.seed, Some(recipe.seed));
        prop_assert_eq!(info.model.as_deref(), Some("a model: v1, \"final\""));
        let mut expected = recipe.settings.clone();
        (expected.width, expected.height) = (Some(size.0), Some(size.1));
        prop_assert_eq!(info.settings, expected);
        prop_assert!(info.notes.is_empty());
    }

    #[test]
    fn no_text_breaks_it(text in any::<String>()) {
        a1111::parse(&text);
    }

    #[test]
    fn no_line_of_pairs_breaks_it(text in "(\n|, |[A-Z][a-z ]{0,5}: |\"|\\\\|[a-z0-9]{0,4}|:|<lora:|>){0,40}") {
        a1111::parse(&text);
    }
}
