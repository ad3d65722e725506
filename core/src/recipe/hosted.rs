//! The names that hosted APIs have for a recipe's fields. A model may call one otherwise, and the
//! options then say so; what has no name here, a provider takes in no common form.

/// What fal's image models call a field
/// (<https://fal.ai/docs/documentation/model-apis/model-arguments>). Width and height are the two
/// halves of `image_size` there.
pub fn fal(field: &str) -> Option<&'static str> {
    Some(match field {
        "prompt" => "prompt",
        "negative_prompt" => "negative_prompt",
        "seed" => "seed",
        "steps" => "num_inference_steps",
        "guidance" => "guidance_scale",
        _ => return None,
    })
}

/// What Replicate's image models call a field, the most usual name first. Each model has inputs of
/// its own, and says which.
pub fn replicate(field: &str) -> &'static [&'static str] {
    match field {
        "prompt" => &["prompt"],
        "negative_prompt" => &["negative_prompt"],
        "seed" => &["seed"],
        "width" => &["width"],
        "height" => &["height"],
        "steps" => &["num_inference_steps", "steps", "num_steps"],
        "guidance" => &["guidance_scale", "guidance", "cfg", "cfg_scale"],
        _ => &[],
    }
}
