//! The recipe that an image carries.

use difftest_core::png_text::{self, Text};
use difftest_core::recipe::{self, Lora, Recipe, RecipeSettings, Tool};
use difftest_core::scheduler;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use super::{full, plain, png};

/// Any recipe that can be: prompts with lines, quotes, keys of A1111's and every script.
pub(super) fn recipes() -> impl Strategy<Value = Recipe> {
    let piece = prop_oneof![
        any::<String>(),
        "[a-z ,.:\"'\\\\()<>]{0,20}",
        Just("\n".to_owned()),
        Just("\nSteps: 20, Sampler: Euler a, Seed: 3, Size: 8x8".to_owned()),
        Just("Negative prompt: x".to_owned()),
        Just("\nNegative prompt: x".to_owned()),
        Just("<lora:x:0.5>".to_owned()),
        Just("Ünïcode 猫 🐈\u{200d}⬛ \u{202e}".to_owned()),
    ];
    let text = proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    // Decimal, as people write them: a sum of binary fractions is no setting.
    let tenth = |most: i32| (0..=most).prop_map(|n| f64::from(n) / 10.0);
    let lora = ("[a-z][a-z0-9_-]{0,8}", (-200i32..200).prop_map(|n| f64::from(n) / 100.0));
    let loras =
        proptest::collection::vec(lora.prop_map(|(name, weight)| Lora { name, weight }), 0..3);
    let scheduler = (0..scheduler::all().len()).prop_map(|at| scheduler::all()[at].id.clone());
    let settings = (
        option::of(1u32..=16_384),
        option::of(1u32..=16_384),
        option::of(1u32..=1_000),
        option::of(tenth(300)),
        option::of(scheduler),
        loras,
        option::of(1u32..=12),
        option::of(tenth(10)),
    )
        .prop_map(|(width, height, steps, guidance, scheduler, loras, clip_skip, denoise)| {
            RecipeSettings { width, height, steps, guidance, scheduler, loras, clip_skip, denoise }
        });
    (text.clone(), option::of(text), any::<i64>(), settings).prop_map(
        |(prompt, negative_prompt, seed, settings)| Recipe {
            prompt,
            negative_prompt,
            seed,
            settings,
        },
    )
}

fn text(keyword: &str, text: impl ToString) -> Text {
    Text { keyword: keyword.into(), text: text.to_string() }
}

/// Written down, so that a change of a byte is seen: it would change the digest of every image.
#[test]
fn the_texts_are_fixed_to_the_byte() {
    let texts = recipe::texts(&full(), "shapes", (512, 768));
    let parameters = "a lighthouse, (dusk:1.2) <lora:style:0.8> <lora:detail:-0.25>\n\
        Negative prompt: blurry\n\
        Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, \
        Size: 512x768, Model: shapes, Denoising strength: 1, Clip skip: 2";
    let exact = r#"{"format":1,"model":"shapes","recipe":{"prompt":"a lighthouse, (dusk:1.2)","negative_prompt":"blurry","seed":42,"width":512,"height":768,"steps":20,"guidance":6.5,"scheduler":"dpmpp_2m_karras","loras":[{"name":"style","weight":0.8},{"name":"detail","weight":-0.25}],"clip_skip":2,"denoise":1.0}}"#;
    assert_eq!(
        texts,
        [("parameters".to_owned(), parameters.into()), ("difftest".into(), exact.into())]
    );
}

/// The promise on which byte equality of images rests.
#[test]
fn equal_recipes_and_pixels_are_equal_bytes() {
    let with = |recipe: &Recipe, model: &str| {
        let png = png::image();
        let size = png_text::size(&png).unwrap();
        png_text::with_text(&png, &recipe::texts(recipe, model, size)).unwrap()
    };
    assert_eq!(with(&full(), "shapes"), with(&full(), "shapes"));
    let mut other = full();
    other.settings.steps = Some(21);
    assert_ne!(with(&full(), "shapes"), with(&other, "shapes"));
    assert_ne!(with(&full(), "shapes"), with(&full(), "other"));
    assert_eq!(png::pixels(&with(&full(), "shapes")), png::pixels(&with(&other, "shapes")));
}

#[test]
fn ours_is_read_before_the_others() {
    let [parameters, ours] = recipe::texts(&full(), "shapes", (512, 768)).try_into().unwrap();
    let other = a1111_text("another prompt");
    let texts = [text("parameters", other), text("difftest", ours.1.clone())];
    let reading = recipe::read(&texts).unwrap();
    assert_eq!((reading.tool, reading.recipe()), (Tool::Difftest, Some(full())));
    assert_eq!(reading.model.as_deref(), Some("shapes"));
    // A1111's own alone still gives nearly all.
    let reading = recipe::read(&[text("parameters", &parameters.1)]).unwrap();
    assert_eq!((reading.tool, reading.recipe()), (Tool::A1111, Some(full())));
    // What cannot be read is said, and the next is taken.
    for (broken, why) in
        [("{", "EOF"), ("{\"format\":2}", "newer"), ("{\"format\":1}", "no `recipe`")]
    {
        let texts = [text("difftest", broken), text("parameters", &parameters.1)];
        let reading = recipe::read(&texts).unwrap();
        assert_eq!(reading.tool, Tool::A1111);
        assert!(reading.notes[0].contains(why), "{:?}", reading.notes);
    }
    assert_eq!(recipe::read(&[text("difftest", "{")]), None);
    assert_eq!(recipe::read(&[text("Software", "paint")]), None);
    // SwarmUI's and Fooocus' JSON by A1111's keyword is no text of A1111's.
    assert_eq!(recipe::read(&[text("parameters", "{\"sui_image_params\": {}}")]), None);
    let wildcards = recipe::read(&[text("parameters", a1111_text("{red|blue} cat"))]).unwrap();
    assert_eq!(wildcards.prompt.as_deref(), Some("{red|blue} cat"));
    let bare = recipe::read(&[text("parameters", "only a prompt")]).unwrap();
    assert_eq!(bare.notes, ["it has no line of settings (`Steps: …, Sampler: …`)"]);
}

fn a1111_text(prompt: &str) -> String {
    format!(
        "{prompt}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 64x64, Version: v1.10.1"
    )
}

#[test]
fn the_program_that_wrote_it_is_named() {
    let reading = recipe::read(&[text("parameters", a1111_text("x"))]).unwrap();
    assert_eq!(reading.tool_name, "A1111/Forge v1.10.1");
    assert!(reading.others.is_empty());
    let workflow = super::comfyui::simple();
    let reading = recipe::read(&[text("prompt", &workflow), text("workflow", "{}")]).unwrap();
    assert_eq!((reading.tool, reading.tool_name.as_str()), (Tool::ComfyUi, "ComfyUI"));
    assert_eq!(reading.prompt.as_deref(), Some("a lighthouse"));
    assert_eq!(reading.model.as_deref(), Some("sd15.safetensors"));
}

/// Python writes `NaN`, which is no JSON; ComfyUI's `is_changed` is one.
#[test]
fn pythons_json_is_read() {
    let mut workflow = super::comfyui::simple();
    workflow["3"]["is_changed"] = json!(["@"]);
    workflow["6"]["inputs"]["text"] = json!("the word NaN, \"quoted\" \\ and -Infinity");
    let python = workflow.to_string().replace("\"@\"", "NaN, -Infinity, Infinity");
    let reading = recipe::read(&[text("prompt", python)]).unwrap();
    assert_eq!(reading.prompt.as_deref(), Some("the word NaN, \"quoted\" \\ and -Infinity"));
}

#[test]
fn what_no_recipe_may_hold_is_a_note() {
    let wild = "x\nSteps: 9999, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 0x64, Clip skip: 0";
    let reading = recipe::read(&[text("parameters", wild)]).unwrap();
    assert_eq!((reading.settings.steps, reading.settings.width), (None, None));
    assert_eq!(reading.settings.height, Some(64));
    assert_eq!(reading.settings.guidance, Some(7.0));
    assert_eq!(reading.notes.len(), 3, "{:?}", reading.notes);
}

#[test]
fn a_person_reads_it() {
    let [_, ours] = recipe::texts(&full(), "shapes", (512, 768)).try_into().unwrap();
    let page = recipe::read(&[text("difftest", ours.1)]).unwrap().shown("x.png");
    assert_eq!(
        page,
        "x.png: made by difftest\n\
         \x20 prompt           a lighthouse, (dusk:1.2)\n\
         \x20 negative_prompt  blurry\n\
         \x20 seed             42\n\
         \x20 width            512\n\
         \x20 height           768\n\
         \x20 steps            20\n\
         \x20 guidance         6.5\n\
         \x20 scheduler        dpmpp_2m_karras (DPM++ 2M Karras)\n\
         \x20 loras            style:0.8, detail:-0.25\n\
         \x20 clip_skip        2\n\
         \x20 denoise          1\n\
         \x20 model            shapes\n"
    );
    let wild = "two\nlines\nSteps: 20, Sampler: Undefined, Seed: 3, Size: 8x8, Hires upscale: 2";
    let page = recipe::read(&[text("parameters", wild)]).unwrap().shown("y.png");
    for line in [
        "y.png: made by A1111/Forge\n",
        "  prompt           two\n                   lines\n",
        "  not said         negative_prompt, guidance, scheduler, loras, clip_skip, denoise, model\n",
        "  beside it        Hires upscale: 2\n",
        "  unclear          the registry has no scheduler for `Undefined`\n",
    ] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
}

/// An image's text may come from anybody, and a terminal obeys control characters.
#[test]
fn it_does_not_speak_to_the_terminal() {
    let evil = a1111_text("\u{1b}[2J\u{1b}]0;title\u{7} \u{202e}txet\u{9b}31m");
    let page = recipe::read(&[text("parameters", evil)]).unwrap().shown("\u{1b}[31m.png");
    assert!(!page.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{page:?}");
    assert!(page.contains("\\u{1b}[2J"), "{page}");
}

proptest! {
    #[test]
    fn any_recipe_comes_back_from_its_image(recipe in recipes(), model in any::<String>()) {
        let png = png::image();
        let texts = recipe::texts(&recipe, &model, (5, 3));
        let out = png_text::with_text(&png, &texts).unwrap();
        let reading = recipe::read(&png_text::read(&out).unwrap()).unwrap();
        prop_assert_eq!(reading.tool, Tool::Difftest);
        prop_assert_eq!(reading.recipe(), Some(recipe));
        prop_assert_eq!(reading.model, Some(model));
    }

    #[test]
    fn no_text_breaks_it(
        keyword in "difftest|parameters|prompt|workflow",
        content in prop_oneof![
            any::<String>(),
            "(\\{|\\}|\\[|\\]|\"[a-z_]{0,8}\"|:|,|[0-9]|NaN|-|\\\\){0,60}",
        ],
    ) {
        if let Some(reading) = recipe::read(&[text(&keyword, content)]) {
            reading.shown("x.png");
        }
    }
}

#[test]
fn a_bare_recipe_is_one_too() {
    let [_, ours] = recipe::texts(&plain(""), "", (1, 1)).try_into().unwrap();
    assert_eq!(recipe::read(&[text("difftest", ours.1)]).unwrap().recipe(), Some(plain("")));
}
