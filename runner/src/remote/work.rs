//! One image under way: what is known of it while it is made, so that it can be called off and so
//! that an error can say how far it got.

use std::sync::{Mutex, MutexGuard, PoisonError};

use difftest_core::recipe::Recipe;

use super::fault::{ImageError, PictureError};
use super::picture::{self, Picture};
use super::retry::Tally;

/// An image that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub picture: Picture,
    pub cost_usd: Option<f64>,
}

#[derive(Debug, Default)]
pub struct Work {
    pub tally: Tally,
    /// What the back end calls the work, from when it may have begun to when it surely ended.
    job: Mutex<Option<String>>,
    /// How far it is, for a person.
    at: Mutex<String>,
}

impl Work {
    pub fn began(&self, job: impl Into<String>) {
        *lock(&self.job) = Some(job.into());
    }

    pub fn ended(&self) {
        *lock(&self.job) = None;
    }

    pub fn job(&self) -> Option<String> {
        lock(&self.job).clone()
    }

    pub fn is_at(&self, place: impl Into<String>) {
        *lock(&self.at) = place.into();
    }

    pub fn at(&self) -> String {
        lock(&self.at).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decodes off the threads that wait for the network.
pub async fn decoded(bytes: Vec<u8>) -> Result<Picture, ImageError> {
    match tokio::task::spawn_blocking(move || picture::decode(&bytes)).await {
        Ok(decoded) => Ok(decoded?),
        Err(panicked) => {
            Err(PictureError::Broken { format: "received", cause: panicked.to_string() }.into())
        }
    }
}

/// An image of another size than the recipe asks for: the setting was dropped or rounded somewhere.
pub fn check_size(recipe: &Recipe, picture: &Picture) -> Result<(), ImageError> {
    let (width, height) = picture.pixels.dimensions();
    let differs = |asked: Option<u32>, made: u32| asked.is_some_and(|asked| asked != made);
    if differs(recipe.settings.width, width) || differs(recipe.settings.height, height) {
        let asked = |side: Option<u32>| side.map_or("any".into(), |side| side.to_string());
        return Err(ImageError::BackEnd(format!(
            "the recipe asks for {}x{}, and the back end made {width}x{height}; ask for a size that the model makes",
            asked(recipe.settings.width),
            asked(recipe.settings.height),
        )));
    }
    Ok(())
}
