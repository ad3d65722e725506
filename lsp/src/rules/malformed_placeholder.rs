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
            format!(
                "`{{{name}}}` does not hold a name, or a name and its default as in \
                 `{{color=red}}`; write `{{{{{name}}}}}` for braces"
            ),
        ),
        TemplateError::BraceInDefault { name, at, .. } => (
            *at..at + 1,
            format!(
                "a default holds no braces; close the placeholder before this one, or give the \
                 text in `variables` under \"{name}\""
            ),
        ),
        TemplateError::TwoDefaults { name, first, second, at, .. } => (
            *at..at + name.len() + second.len() + 3,
            format!(
                "`{{{name}}}` already has the default `{first}`; a variable has one value in all \
                 its places, so keep one of them"
            ),
        ),
        // These are about a template's values, which reading its placeholders never asks for.
        TemplateError::NoVariable { .. }
        | TemplateError::NoValues { .. }
        | TemplateError::UnequalLengths { .. }
        | TemplateError::TooMany { .. }
        | TemplateError::Blank { .. } => return,
    };
    findings.push(Finding {
        code: Code::MalformedPlaceholder,
        range: prompt.place_of(range),
        message,
        fix: None,
    });
}
