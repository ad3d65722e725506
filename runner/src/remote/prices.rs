//! What an image costs where the provider does not say it in dollars. Prices change: each has its
//! source and its day, and `price_per_image` in `[options]` counts before all of them.

use serde_json::Value;

/// US dollars for a million tokens.
struct TokenPrice {
    model: &'static str,
    text_in: f64,
    image_in: f64,
    image_out: f64,
}

/// <https://developers.openai.com/api/docs/models>, the page of each model, November 2026.
const OPENAI: [TokenPrice; 5] = [
    TokenPrice { model: "gpt-image-1-mini", text_in: 2.0, image_in: 2.5, image_out: 8.0 },
    TokenPrice { model: "gpt-image-2", text_in: 5.0, image_in: 8.0, image_out: 30.0 },
    TokenPrice { model: "gpt-image-2.5-flare", text_in: 5.0, image_in: 8.0, image_out: 30.0 },
    TokenPrice { model: "gpt-image-2.5-sunburst", text_in: 5.0, image_in: 8.0, image_out: 30.0 },
    TokenPrice { model: "gpt-image-2.6-sunburst", text_in: 5.0, image_in: 8.0, image_out: 30.0 },
];

/// US dollars for one billed unit, a megapixel for these: the pages `https://fal.ai/models/MODEL`,
/// November 2026.
const FAL: [(&str, f64); 3] =
    [("fal-ai/flux/schnell", 0.003), ("fal-ai/flux/dev", 0.025), ("fal-ai/flux-lora", 0.035)];

/// Of an answer's `usage`. None for a model without a price here, or without a usage.
pub fn openai(model: &str, usage: &Value) -> Option<f64> {
    // Dated snapshots cost what their model does: `gpt-image-2-2026-04-21`.
    let price = OPENAI.iter().find(|price| {
        model
            .strip_prefix(price.model)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("-2"))
    })?;
    let output = usage["output_tokens"].as_f64()?;
    let details = &usage["input_tokens_details"];
    let image = details["image_tokens"].as_f64().unwrap_or(0.0);
    let text = match details["text_tokens"].as_f64() {
        Some(text) => text,
        None => usage["input_tokens"].as_f64()? - image,
    };
    Some((text * price.text_in + image * price.image_in + output * price.image_out) / 1e6)
}

/// Of the units that fal billed (`x-fal-billable-units`), each at `price` or at what the table has.
pub fn fal(model: &str, units: f64, price: Option<f64>) -> Option<f64> {
    let listed = || FAL.iter().find(|(name, _)| *name == model).map(|(_, price)| *price);
    Some(units * price.or_else(listed)?).filter(|cost| cost.is_finite() && *cost >= 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_have_prices_by_kind() {
        let usage = json!({"input_tokens": 100, "output_tokens": 4160, "total_tokens": 4260,
            "input_tokens_details": {"text_tokens": 100, "image_tokens": 0}});
        assert_eq!(openai("gpt-image-2", &usage), Some(0.0005 + 0.1248));
        assert_eq!(openai("gpt-image-2-2026-04-21", &usage), openai("gpt-image-2", &usage));
        let mini = openai("gpt-image-1-mini", &usage).unwrap();
        assert!((mini - (0.0002 + 0.03328)).abs() < 1e-12, "{mini}");
        assert_eq!(openai("gpt-image-1.5", &usage), None, "another model, another price");
        assert_eq!(openai("gpt-image-2", &Value::Null), None);
    }

    #[test]
    fn billed_units_have_the_given_price_or_the_listed_one() {
        assert_eq!(fal("fal-ai/flux/dev", 2.0, None), Some(0.05));
        assert_eq!(fal("fal-ai/flux/dev", 2.0, Some(1.0)), Some(2.0));
        assert_eq!(fal("acme/own", 2.0, None), None);
        assert_eq!(fal("acme/own", f64::NAN, Some(1.0)), None);
    }
}
