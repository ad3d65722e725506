//! The one recipe: what it may hold, what it is in each back end's words, and how images carry it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

mod a1111;
mod comfyui;
mod comfyui_errors;
mod diffusers;
mod embedded;
mod png;
mod settings;

use difftest_core::recipe::{Lora, Recipe, RecipeSettings};

/// Every field set, with values that every back end can hold.
fn full() -> Recipe {
    Recipe {
        prompt: "a lighthouse, (dusk:1.2)".into(),
        negative_prompt: Some("blurry".into()),
        seed: 42,
        settings: RecipeSettings {
            width: Some(512),
            height: Some(768),
            steps: Some(20),
            guidance: Some(6.5),
            scheduler: Some("dpmpp_2m_karras".into()),
            loras: vec![
                Lora { name: "style".into(), weight: 0.8 },
                Lora { name: "detail".into(), weight: -0.25 },
            ],
            clip_skip: Some(2),
            denoise: Some(1.0),
        },
    }
}

fn plain(prompt: &str) -> Recipe {
    Recipe {
        prompt: prompt.into(),
        negative_prompt: None,
        seed: 7,
        settings: RecipeSettings::default(),
    }
}
