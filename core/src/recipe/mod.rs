//! What decides one image, in difftest's own words. Every back end's names are mapped to and
//! from these, nowhere else.

pub mod a1111;
mod check;
pub mod comfyui;
pub mod diffusers;
mod embedded;
mod error;
pub mod hosted;
pub mod onnx;
mod setting;
mod shown;

use serde::{Deserialize, Serialize};

pub use check::{MAX_CLIP_SKIP, MAX_SIDE, MAX_STEPS, SETTINGS};
pub use embedded::{KEYWORD, Reading, Tool, read, texts};
pub use error::RecipeError;
pub use shown::schedulers;

/// Everything that decides one image, beside the model itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    pub seed: i64,
    #[serde(flatten)]
    pub settings: RecipeSettings,
}

/// The part of a recipe that is the same for every image of a run. `None` is the back end's own
/// default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecipeSettings {
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Denoising steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The weight of classifier-free guidance; 1 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// A scheduler by its canonical id, for instance `dpmpp_2m_karras`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Applied in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<Lora>,
    /// How many of the text encoder's last layers are left out, counted as A1111 does: 1 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<u32>,
    /// How much of the initial image is replaced, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoise: Option<f64>,
}

/// A low-rank adaptation, and how much of it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// A file, a hub id, or the name that the back end knows it by.
    pub name: String,
    #[serde(default = "whole")]
    pub weight: f64,
}

fn whole() -> f64 {
    1.0
}
