//! Validation, and settings as people write them.

use difftest_core::recipe::{Lora, Recipe, RecipeSettings};
use serde_json::{Value, json};

use super::full;

fn settings(value: Value) -> Result<RecipeSettings, String> {
    RecipeSettings::from_value(&value).map_err(|e| e.to_string())
}

fn wrong(value: Value) -> String {
    settings(value).unwrap_err()
}

#[test]
fn the_ranges_hold_at_their_ends() {
    for inside in [
        json!({"width": 1, "height": 16384}),
        json!({"steps": 1}),
        json!({"steps": 1000}),
        json!({"guidance": 0}),
        json!({"denoise": 0.0}),
        json!({"denoise": 1}),
        json!({"clip_skip": 1}),
        json!({"clip_skip": 12}),
        json!({"loras": [{"name": "x", "weight": -2.5}]}),
        json!({"steps": null, "loras": null}),
    ] {
        assert!(settings(inside.clone()).is_ok(), "{inside}");
    }
    for (outside, field) in [
        (json!({"width": 0}), "width"),
        (json!({"height": 16385}), "height"),
        (json!({"steps": 0}), "steps"),
        (json!({"steps": 1001}), "steps"),
        (json!({"guidance": -0.1}), "guidance"),
        (json!({"denoise": 1.01}), "denoise"),
        (json!({"denoise": -0.01}), "denoise"),
        (json!({"clip_skip": 0}), "clip_skip"),
        (json!({"clip_skip": 13}), "clip_skip"),
        (json!({"loras": [{"name": " "}]}), "loras"),
        (json!({"loras": [{"name": "x", "strength": 1}]}), "loras"),
        (json!({"loras": "x"}), "loras"),
        (json!({"steps": 2.5}), "steps"),
        (json!({"steps": "20"}), "steps"),
        (json!({"scheduler": 3}), "scheduler"),
    ] {
        let message = wrong(outside.clone());
        assert!(message.contains(&format!("`{field}`")), "{outside}: {message}");
    }
    let infinite = RecipeSettings { guidance: Some(f64::INFINITY), ..Default::default() };
    assert!(infinite.checked().is_err());
    let nan = Lora { name: "x".into(), weight: f64::NAN };
    assert!(RecipeSettings { loras: vec![nan], ..Default::default() }.checked().is_err());
    assert!(RecipeSettings { denoise: Some(f64::NAN), ..Default::default() }.checked().is_err());
}

#[test]
fn an_error_names_the_field_the_value_and_the_mend() {
    assert_eq!(wrong(json!({"steps": 0})), "the recipe's `steps` is 0; it must be 1 to 1000");
    assert_eq!(wrong(json!({"stpes": 3})), "a recipe has no field `stpes`; did you mean `steps`?");
    assert_eq!(
        wrong(json!({"scheduler": "dpmpp_2m_karas"})),
        "the recipe's `scheduler`: there is no scheduler `dpmpp_2m_karas`; did you mean \
         `dpmpp_2m_karras`?"
    );
    let recipe = |value| Recipe::from_value(&value).unwrap_err().to_string();
    assert_eq!(recipe(json!({"prompt": "x"})), "a recipe needs a `seed`, and this one has none");
    assert!(recipe(json!({"prompt": "x", "seed": 1.5})).contains("`seed` is 1.5"));
    assert!(
        recipe(json!({"prompt": "x", "seed": 1, "negativ_prompt": "y"}))
            .contains("did you mean `negative_prompt`?")
    );
}

#[test]
fn a_scheduler_by_any_name_becomes_its_id() {
    let settings = settings(json!({"scheduler": "DPM++ 2M Karras"})).unwrap();
    assert_eq!(settings.scheduler.as_deref(), Some("dpmpp_2m_karras"));
}

#[test]
fn json_is_the_same_recipe_again() {
    let recipe = full();
    let json = serde_json::to_value(&recipe).unwrap();
    assert_eq!(Recipe::from_value(&json).unwrap(), recipe);
    assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), recipe);
}

#[test]
fn the_command_line_writes_every_field() {
    let mut settings = RecipeSettings::default();
    for (key, value) in [
        ("size", "512x768"),
        ("steps", "20"),
        ("guidance", "6.5"),
        ("scheduler", "DPM++ 2M Karras"),
        ("lora", "style:0.8"),
        ("lora", "detail:-0.25"),
        ("clip_skip", "2"),
        ("denoise", "1"),
    ] {
        settings.set_text(key, value).unwrap();
    }
    assert_eq!(settings, full().settings);
    assert_eq!(settings.set_text("loras", "a:0.5, b").unwrap(), ["loras"]);
    let named: Vec<&str> = settings.loras.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(named, ["a", "b"]);
    settings.set_text("loras", r#"[{"name": "c:d", "weight": 2}]"#).unwrap();
    assert_eq!(settings.loras, [Lora { name: "c:d".into(), weight: 2.0 }]);
    assert!(settings.set_text("loras", "[c").is_err());
    settings.set_text("steps", "").unwrap();
    assert_eq!(settings.steps, None, "an empty value takes a field back");
    assert_eq!(settings.set_text("size", "640").unwrap(), ["width", "height"]);
    assert_eq!((settings.width, settings.height), (Some(640), Some(640)));
}

#[test]
fn what_the_command_line_cannot_read_changes_nothing() {
    let mut settings = full().settings;
    let mut wrong = |key, value| settings.set_text(key, value).unwrap_err().to_string();
    assert_eq!(wrong("steps", "many"), "the recipe's `steps` is `many`; it must be 1 to 1000");
    assert_eq!(wrong("steps", "5000"), "the recipe's `steps` is 5000; it must be 1 to 1000");
    assert!(wrong("guidanc", "3").contains("did you mean `guidance`?"));
    assert!(wrong("lora", "style:strong").contains("`strong`"));
    assert!(wrong("lora", "").contains("no name"));
    assert_eq!(
        wrong("size", "512x"),
        "the recipe's `size` is `512x`; it must be WIDTHxHEIGHT in pixels"
    );
    assert_eq!(settings, full().settings);
}

#[test]
fn a_lora_may_be_a_file() {
    let mut settings = RecipeSettings::default();
    settings.set_text("lora", "loras/style.v2.safetensors").unwrap();
    settings.set_text("lora", "C:\\loras\\style.safetensors:0.5").unwrap();
    settings.set_text("lora", "owner/repository").unwrap();
    let shown: Vec<(&str, f64)> =
        settings.loras.iter().map(|l| (l.name.as_str(), l.weight)).collect();
    assert_eq!(
        shown,
        [
            ("loras/style.v2.safetensors", 1.0),
            ("C:\\loras\\style.safetensors", 0.5),
            ("owner/repository", 1.0)
        ]
    );
}

#[test]
fn a_file_sets_fields_by_their_kind() {
    let mut settings = RecipeSettings::default();
    settings.set_value("steps", &json!(20)).unwrap();
    settings.set_value("guidance", &json!(7)).unwrap();
    settings.set_value("loras", &json!([{"name": "style"}])).unwrap();
    settings.set_value("scheduler", &json!("Euler a")).unwrap();
    assert_eq!(settings.guidance, Some(7.0));
    assert_eq!(settings.scheduler.as_deref(), Some("euler_a"));
    settings.set_value("loras", &json!([])).unwrap();
    assert!(settings.loras.is_empty(), "an empty list takes the stack back");
    let wrong = settings.set_value("stepps", &json!(3)).unwrap_err().to_string();
    assert!(wrong.contains("did you mean `steps`?"), "{wrong}");
}

#[test]
fn the_nearer_settings_win_field_by_field() {
    let near = RecipeSettings { steps: Some(4), ..Default::default() };
    let all = near.over(full().settings);
    assert_eq!(all.steps, Some(4));
    assert_eq!(all.loras, full().settings.loras);
    assert_eq!(
        full().settings.shown()[..3],
        [("width", "512".to_owned()), ("height", "768".into()), ("steps", "20".into())]
    );
}
