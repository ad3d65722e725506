//! A recipe as a diffusers pipeline and an embedded ONNX model take it.

use difftest_core::recipe::{diffusers, onnx};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{full, plain};

#[test]
fn every_field_has_its_diffusers_name() {
    let call = json!(diffusers::call(&full()).unwrap());
    assert_eq!(
        call["call"],
        json!({
            "prompt": "a lighthouse, (dusk:1.2)", "negative_prompt": "blurry", "width": 512,
            "height": 768, "num_inference_steps": 20, "guidance_scale": 6.5, "clip_skip": 1,
            "strength": 1.0,
        })
    );
    assert_eq!(call["seed"], 42);
    assert_eq!(call["scheduler"]["class"], "DPMSolverMultistepScheduler");
    assert_eq!(call["scheduler"]["config"]["use_karras_sigmas"], true);
    assert_eq!(call["scheduler"]["config"]["algorithm_type"], "dpmsolver++");
    assert_eq!(call["loras"][1]["weight"], -0.25);
    assert_eq!(call["loras"][1]["adapter"], "difftest_1");
    assert_eq!(diffusers::from_call(&call).unwrap(), full());
}

/// A1111's 1, no layer left out, is diffusers' `None`.
#[test]
fn clip_skip_is_counted_otherwise() {
    let mut recipe = plain("x");
    for (ours, theirs) in [(1, Value::Null), (2, json!(1)), (12, json!(11))] {
        recipe.settings.clip_skip = Some(ours);
        let call = json!(diffusers::call(&recipe).unwrap());
        assert_eq!(call["call"].get("clip_skip").cloned().unwrap_or_default(), theirs);
    }
}

#[test]
fn what_is_not_set_is_not_said() {
    let call = json!(diffusers::call(&plain("x")).unwrap());
    assert_eq!(call, json!({"call": {"prompt": "x"}, "seed": 7, "scheduler": null, "loras": []}));
}

#[test]
fn noise_of_its_own_is_seeded() {
    let mut recipe = plain("x");
    recipe.settings.scheduler = Some("dpmpp_sde".into());
    let call = json!(diffusers::call(&recipe).unwrap());
    assert_eq!(call["scheduler"]["config"]["noise_sampler_seed"], 7);
    assert_eq!(diffusers::from_call(&call).unwrap(), recipe);
}

#[test]
fn a_scheduler_that_diffusers_lacks_is_an_error() {
    let mut recipe = plain("x");
    recipe.settings.scheduler = Some("dpmpp_2s_a".into());
    assert_eq!(
        diffusers::call(&recipe).unwrap_err().to_string(),
        "the recipe's `scheduler`: diffusers has no scheduler `dpmpp_2s_a`; the nearest that it \
         has is `dpmpp_2s`"
    );
}

#[test]
fn an_onnx_model_takes_its_four_and_refuses_the_others() {
    let mut recipe = plain("x");
    recipe.settings.steps = Some(10);
    recipe.settings.guidance = Some(1.5);
    recipe.negative_prompt = Some("y".into());
    assert_eq!(
        Value::Object(onnx::arguments(&recipe).unwrap()),
        json!({"prompt": "x", "negative_prompt": "y", "seed": 7, "steps": 10, "guidance": 1.5})
    );
    for field in ["width", "height", "scheduler", "loras", "clip_skip", "denoise"] {
        let mut one = json!({"prompt": "x", "seed": 7});
        one[field] = json!(full())[field].clone();
        let recipe = difftest_core::recipe::Recipe::from_value(&one).unwrap();
        let error = onnx::arguments(&recipe).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the recipe's `{field}` is ")), "{error}");
    }
}

proptest! {
    #[test]
    fn any_recipe_comes_back(recipe in super::embedded::recipes()) {
        let has = recipe.settings.scheduler.is_none() || diffusers::call(&recipe).is_ok();
        prop_assume!(has);
        let mut expected = recipe.clone();
        // Its 1 is not said, as it is what None is.
        expected.settings.clip_skip = expected.settings.clip_skip.filter(|skip| *skip > 1);
        let call = json!(diffusers::call(&recipe).unwrap());
        prop_assert_eq!(diffusers::from_call(&call).unwrap(), expected);
    }
}
