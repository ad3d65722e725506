//! `malformed-placeholder`: braces in a prompt that are neither a `{name}` nor doubled.

use difftest_core::template::TemplateError;

use super::{Code, Finding};
use crate::literal::TextLiteral;

pub(super) fn check(prompt: &TextLiteral, error: &TemplateError, findings: &mut Vec<Finding>) {
    let (range, message) = match error {
        TemplateError::Unclosed { at, .. } => (
            *at..at + 1,
            "this brace is never closed; close it, or write `{{` for a brace".to_owned(),
        ),
        TemplateError::Unopened { at, .. } => (
            *at..at + 1,
            "this brace was never opened; open it, or write `}}` for a brace".to_owned(),
        ),
        TemplateError::NotAName { name, at, .. } => (
            *at..at + name.len() + 2,
            format!("`{{{name}}}` does not hold a name; write `{{{{{name}}}}}` for braces"),
        ),
        // These two are about a template's variables, which reading its placeholders never asks for.
        TemplateError::NoVariable { .. } | TemplateError::NoValues { .. } => return,
    };
    findings.push(Finding {
        code: Code::MalformedPlaceholder,
        range: prompt.place_of(range),
        message,
        fix: None,
    });
}
