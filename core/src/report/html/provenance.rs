//! What the images were made with.

use maud::{Markup, html};

use crate::metric::{Category, Direction, MetricInfo};
use crate::recipe::RecipeSettings;
use crate::report::figures;
use crate::result::Run;

pub fn section(run: &Run) -> Markup {
    let environment = &run.environment;
    html! {
        footer.provenance {
            details {
                summary { h2 { "How this was made" } }
                div.columns {
                    section {
                        h3 { "Run" }
                        dl {
                            dt { "run" } dd { code { (run.id) } }
                            dt { "model" } dd { code { (run.model) } }
                            dt { "generator" } dd { code { (run.generator) } }
                            dt { "fingerprint" } dd { code { (run.fingerprint) } }
                        }
                    }
                    section {
                        h3 { "Environment" }
                        dl {
                            dt { "device" } dd { (environment.device) }
                            dt { "threads" } dd { (environment.threads) }
                            dt { "batch size" } dd { (environment.batch_size) }
                            @for (library, version) in &environment.versions {
                                dt { (library) } dd { (version) }
                            }
                        }
                    }
                    @let recipe = recipe(&run.recipe);
                    @if !recipe.is_empty() {
                        section {
                            h3 { "Recipe" }
                            dl { @for (name, value) in recipe { dt { (name) } dd { (value) } } }
                        }
                    }
                    @if !run.metrics.is_empty() {
                        section {
                            h3 { "Metrics" }
                            dl { @for metric in run.metrics.values() { dt { (metric.name) } dd { (facts(metric)) } } }
                        }
                    }
                }
            }
            p.quiet { "Made by difftest. This page is one file and loads nothing." }
        }
    }
}

/// What the configuration said of every image; nothing where the back end's defaults hold.
fn recipe(recipe: &RecipeSettings) -> Vec<(&'static str, String)> {
    let RecipeSettings { width, height, steps, guidance, scheduler, loras, clip_skip, denoise } =
        recipe;
    let mut out = Vec::new();
    let mut put = |name, value: Option<String>| out.extend(value.map(|v| (name, v)));
    put("width", width.map(|v| v.to_string()));
    put("height", height.map(|v| v.to_string()));
    put("steps", steps.map(|v| v.to_string()));
    put("guidance", guidance.map(|v| v.to_string()));
    put("scheduler", scheduler.clone());
    for lora in loras {
        put("LoRA", Some(format!("{} × {}", lora.name, lora.weight)));
    }
    put("clip skip", clip_skip.map(|v| v.to_string()));
    put("denoise", denoise.map(|v| v.to_string()));
    out
}

fn facts(metric: &MetricInfo) -> String {
    let mut facts = vec![
        match metric.direction {
            Direction::HigherIsBetter => "higher is better".to_owned(),
            Direction::LowerIsBetter => "lower is better".to_owned(),
        },
        match metric.category {
            Category::PerSample => "of each image",
            Category::Reference => "of each image against a reference",
            Category::Batch => "of all images together",
        }
        .to_owned(),
    ];
    if let Some((low, high)) = metric.range {
        facts.push(format!("from {} to {}", figures::limit(low), figures::limit(high)));
    }
    facts.push(format!("margin {}", figures::limit(metric.margin)));
    facts.extend(metric.weights.as_ref().map(|weights| format!("weights {weights}")));
    facts.join(", ")
}
