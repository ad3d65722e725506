//! What can stand in the string literal that is being typed.

use std::ops::Range;

use difftest_core::metric;

use crate::decorators::{DecoratorUse, Slot, SlotKind, SourceFile};
use crate::hover;
use crate::metrics::KnownMetrics;
use crate::suites;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Metric,
    Suite,
    Variable,
    Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub label: String,
    pub kind: Kind,
    /// A few words beside the label.
    pub detail: String,
    /// Markdown.
    pub documentation: Option<String>,
    /// In bytes of the source: what was typed of it, and what follows of the word.
    pub replaces: Range<usize>,
}

/// What an editor may offer at byte `at` of the source; nothing outside of a decorator's literals.
pub fn complete(
    source: &str,
    file: &SourceFile,
    known: &KnownMetrics,
    at: usize,
) -> Vec<Completion> {
    let Some((slot, found)) = slot(file, at) else { return Vec::new() };
    let text = source.get(slot.contents.clone()).unwrap_or_default();
    if text.contains('\\') {
        return Vec::new(); // a name has no escapes, so this is something else
    }
    if slot.kind == SlotKind::Prompt {
        return variables(source, slot, found, at);
    }
    let replaces = slot.contents.start..at + word_length(&source[at..slot.contents.end]);
    let word = source[replaces.clone()].to_owned();
    let option = |label: &str, kind, detail: String, documentation| Completion {
        label: label.to_owned(),
        kind,
        detail,
        documentation,
        replaces: replaces.clone(),
    };
    match slot.kind {
        SlotKind::Prompt => Vec::new(),
        SlotKind::Metric | SlotKind::Threshold => {
            let listing =
                if slot.kind == SlotKind::Metric { &found.metrics } else { &found.thresholds };
            let taken = |name: &str| name != word && listing.values().any(|value| value == name);
            let measured: Vec<&str> = found.metrics.values().collect();
            let offered = |name: &str| match slot.kind {
                // A threshold is for a metric that the test measures.
                SlotKind::Threshold if !measured.is_empty() => measured.contains(&name),
                _ => true,
            };
            known
                .names
                .iter()
                .filter(|name| offered(name) && !taken(name))
                .map(|name| match metric::METRICS.iter().find(|m| m.name == name) {
                    Some(metric) => {
                        let told = hover::metric(metric);
                        option(name, Kind::Metric, hover::facts(metric), Some(told))
                    }
                    None => {
                        option(name, Kind::Metric, "declared in this workspace".to_owned(), None)
                    }
                })
                .collect()
        }
        SlotKind::Suite => suites::builtin()
            .iter()
            .map(|suite| {
                let detail = format!("{} prompts", suite.prompts);
                option(suite.name, Kind::Suite, detail, Some(suite.description.clone()))
            })
            .collect(),
        SlotKind::Combine => [
            ("product", "every value with every other"),
            ("zip", "the first values together, then the second ones"),
        ]
        .map(|(word, detail)| option(word, Kind::Word, detail.to_owned(), None))
        .into(),
    }
}

/// The literal in which byte `at` lies, quotes excluded, and its decorator.
pub fn slot(file: &SourceFile, at: usize) -> Option<(&Slot, &DecoratorUse)> {
    let slot = file.slots.iter().find(|s| s.contents.start <= at && at <= s.contents.end)?;
    Some((slot, file.uses.get(slot.decorator)?))
}

/// The names of variables, behind a brace that is open at the cursor.
fn variables(source: &str, slot: &Slot, found: &DecoratorUse, at: usize) -> Vec<Completion> {
    let before = &source[slot.contents.start..at];
    let Some(brace) = open_brace(before) else { return Vec::new() };
    if word_length(&before[brace + 1..]) < before.len() - brace - 1 {
        return Vec::new(); // within a default
    }
    let start = slot.contents.start + brace + 1;
    let replaces = start..at + word_length(&source[at..slot.contents.end]);
    found
        .variables
        .iter()
        .map(|variable| Completion {
            label: variable.name.value.clone(),
            kind: Kind::Variable,
            detail: match variable.count {
                Some(1) => "1 value".to_owned(),
                Some(count) => format!("{count} values"),
                None => "values known at run time".to_owned(),
            },
            documentation: None,
            replaces: replaces.clone(),
        })
        .collect()
}

/// Where a brace opens that is neither doubled nor closed.
fn open_brace(text: &str) -> Option<usize> {
    let mut open = None;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' | b'}' if bytes.next_if(|(_, next)| *next == byte).is_some() => {}
            b'{' => open = Some(at),
            b'}' => open = None,
            _ => {}
        }
    }
    open
}

/// Bytes of the name at the beginning of a text.
fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-')))
        .unwrap_or(text.len())
}
