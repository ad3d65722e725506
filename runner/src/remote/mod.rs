//! Generators that are reached over HTTP: ComfyUI, A1111 and Forge, fal, Replicate, OpenAI, and any
//! other by a template. `docs/http-back-ends.md` is the user's page.
//!
//! What decides (mappings of recipes, readings of answers, addresses, pauses) is pure; the files
//! named after a back end speak to it, all through [`transport`]. Nothing here names Python.

mod a1111;
mod address;
mod comfyui;
mod complaint;
mod custom;
mod describe;
mod fal;
mod fault;
mod fields;
mod generator;
mod hosted;
mod json_path;
mod link;
mod openai;
mod options;
mod picture;
mod prices;
mod replicate;
mod resolver;
mod retry;
mod template;
mod transport;
mod work;

pub use fault::{CallError, ImageError, OpenError, PictureError};
pub use generator::{Item, Remote};
pub use options::{Environment, Request};
pub use picture::Picture;
pub use retry::{Pace, Sleep, Sleeper};
pub use work::Made;
