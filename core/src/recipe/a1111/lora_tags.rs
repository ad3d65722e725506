//! `<lora:name:weight>` in a prompt: how A1111 and Forge are told of LoRAs.

use crate::recipe::{Lora, RecipeError};

const OPENING: &str = "<lora:";

/// The prompt with a tag for each LoRA after it.
///
/// # Errors
/// A name that would end its tag early.
pub(super) fn appended(prompt: &str, loras: &[Lora]) -> Result<String, RecipeError> {
    let mut text = prompt.to_owned();
    for lora in loras {
        if lora.name.contains([':', '>', '<']) {
            return Err(RecipeError::CannotTake {
                back_end: super::BACK_END,
                field: "loras",
                value: format!("`{}`", lora.name),
                why: "names a LoRA by its file in its own folder, without `:`, `<`, `>` or path"
                    .to_owned(),
            });
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("{OPENING}{}:{}>", lora.name, lora.weight));
    }
    Ok(text)
}

/// The prompt without its tags, and what they named. A tag without a weight counts 1; one with
/// several weights (text encoder, U-Net) gives the first; what is no tag stays text.
pub(super) fn taken(prompt: &str) -> (String, Vec<Lora>) {
    let mut text = String::with_capacity(prompt.len());
    let mut loras = Vec::new();
    let mut rest = prompt;
    while let Some(start) = rest.find(OPENING) {
        let after = &rest[start + OPENING.len()..];
        let lora = after.find('>').and_then(|end| Some((lora(&after[..end])?, end)));
        match lora {
            Some((lora, end)) => {
                loras.push(lora);
                // The tag goes with one space before it, as it came.
                let before = &rest[..start];
                text.push_str(before.strip_suffix(' ').unwrap_or(before));
                rest = &after[end + 1..];
            }
            None => {
                text.push_str(&rest[..start + OPENING.len()]);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    (text, loras)
}

fn lora(inside: &str) -> Option<Lora> {
    let mut parts = inside.split(':');
    let name = parts.next().filter(|name| !name.trim().is_empty() && !name.contains('<'))?;
    let weight = match parts.next() {
        None => 1.0,
        Some(weight) => weight.trim().parse::<f64>().ok().filter(|weight| weight.is_finite())?,
    };
    Some(Lora { name: name.to_owned(), weight })
}
