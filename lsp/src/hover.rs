//! What a name in a decorator's string literal means.

use std::ops::Range;

use difftest_core::metric::{Builtin, Category, Direction, METRICS};

use crate::completion::slot;
use crate::decorators::{SlotKind, SourceFile};
use crate::suites;

/// Markdown about the metric or the prompt suite at byte `at`, and the bytes it is about.
pub fn hover(source: &str, file: &SourceFile, at: usize) -> Option<(Range<usize>, String)> {
    let (slot, _) = slot(file, at)?;
    let name = source.get(slot.contents.clone())?;
    let told = match slot.kind {
        SlotKind::Metric | SlotKind::Threshold => {
            metric(METRICS.iter().find(|metric| metric.name == name)?)
        }
        SlotKind::Suite => {
            let suite = suites::find(name)?;
            format!("**{}** · {} prompts\n\n{}", suite.name, suite.prompts, suite.description)
        }
        SlotKind::Prompt | SlotKind::Combine => return None,
    };
    Some((slot.contents.clone(), told))
}

/// All there is to say of a metric, as Markdown.
pub fn metric(metric: &Builtin) -> String {
    let mut told = format!(
        "**{}** · {}\n\n{}\n\nmargin {}",
        metric.name,
        facts(metric),
        sentence(metric.meaning),
        metric.margin
    );
    if let Some(least) = metric.min_samples {
        told += &format!("; at least {least} images");
    }
    told += &format!("\n\n{}", sentence(metric.source));
    told
}

/// Direction, category and range, in a few words.
pub fn facts(metric: &Builtin) -> String {
    let direction = match metric.direction {
        Direction::HigherIsBetter => "higher is better",
        Direction::LowerIsBetter => "lower is better",
    };
    let category = match metric.category {
        Category::PerSample => "each image",
        Category::Reference => "each image and its reference",
        Category::Batch => "all images together",
    };
    match metric.range {
        Some((least, most)) => format!("{direction} · {least} to {most} · {category}"),
        None => format!("{direction} · {category}"),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
