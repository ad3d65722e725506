//! Prompt templates: `{name}` is a variable, `{name=text}` one with a default, `{{` and `}}` are
//! braces.
//!
//! A default is any text without braces, spaces and `=` included, and may be empty. It stands where
//! the variable has no values; values that are given replace it. It ends at the first `}`, so
//! `{a=red}}}` is `red}`. A variable used twice in a template has one value in both places, and so
//! one default at most.

mod expansion;

use std::collections::BTreeMap;
use std::ops::Range;

pub use expansion::{MOST_PROMPTS, expand};

/// A `{name}` or `{name=default}` in a template, with the byte range of the whole of it, braces
/// included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    pub name: String,
    pub default: Option<String>,
    pub range: Range<usize>,
}

impl Placeholder {
    /// The bytes of the name alone.
    pub fn name_range(&self) -> Range<usize> {
        self.range.start + 1..self.range.start + 1 + self.name.len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "the prompt `{template}` opens a brace at byte {at} that is never closed; write {{{{ for a brace"
    )]
    Unclosed { template: String, at: usize },
    #[error(
        "the prompt `{template}` closes a brace at byte {at} that was never opened; write }}}} for a brace"
    )]
    Unopened { template: String, at: usize },
    #[error(
        "the prompt `{template}` has the placeholder {{{name}}} at byte {at}, which is not a name; write {{name}} or {{name=default}} without spaces around the name, or {{{{ and }}}} for braces"
    )]
    NotAName { template: String, name: String, at: usize },
    #[error(
        "the prompt `{template}` has a brace in the default of {{{name}}} at byte {at}; a default holds none: give the text in `variables`"
    )]
    BraceInDefault { template: String, name: String, at: usize },
    #[error(
        "the prompt `{template}` gives {{{name}}} two defaults, `{first}` and at byte {at} `{second}`; keep one of them"
    )]
    TwoDefaults { template: String, name: String, first: String, second: String, at: usize },
    #[error(
        "the prompt `{template}` uses {{{name}}}, but `variables` has no `{name}`{}",
        hint(.nearest)
    )]
    NoVariable { template: String, name: String, nearest: Option<String> },
    #[error(
        "the variable `{name}` of the prompt `{template}` has no values; give some, or a default: {{{name}=…}}"
    )]
    NoValues { template: String, name: String },
    #[error(
        "combine=\"zip\" takes the values of a prompt's variables side by side, but in `{template}` `{}` has {} and `{}` has {}; give as many of each, or take combine=\"product\"",
        first.0, counted(first.1), second.0, counted(second.1)
    )]
    UnequalLengths { template: String, first: (String, usize), second: (String, usize) },
    #[error(
        "the variables of the prompt `{template}` make {} prompts; a test has at most {MOST_PROMPTS}: give fewer values, or combine=\"zip\"",
        match .count { Some(count) => count.to_string(), None => "far too many".to_owned() }
    )]
    TooMany {
        template: String,
        /// None above what a `usize` holds.
        count: Option<usize>,
    },
    #[error("the prompt `{template}` becomes an empty text; give its variables other values")]
    Blank { template: String },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(
        || "; add it, or give a default: {name=text}".to_owned(),
        |n| format!("; did you mean {{{n}}}?"),
    )
}

fn counted(values: usize) -> String {
    format!("{values} value{}", if values == 1 { "" } else { "s" })
}

enum Piece {
    Text(String),
    Variable(Placeholder),
}

fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    let mut chars = template.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '}' if chars.peek().is_some_and(|(_, next)| *next == c) => {
                chars.next();
                text.push(c);
            }
            '{' => {
                let placeholder = placeholder(template, at)?;
                if let Some(second) = &placeholder.default {
                    let name = placeholder.name.clone();
                    let first = defaults.entry(name).or_insert_with(|| second.clone());
                    if first != second {
                        return Err(TemplateError::TwoDefaults {
                            template: template.into(),
                            name: placeholder.name.clone(),
                            first: first.clone(),
                            second: second.clone(),
                            at,
                        });
                    }
                }
                while chars.next_if(|(next, _)| *next < placeholder.range.end).is_some() {}
                out.push(Piece::Text(std::mem::take(&mut text)));
                out.push(Piece::Variable(placeholder));
            }
            '}' => return Err(TemplateError::Unopened { template: template.into(), at }),
            _ => text.push(c),
        }
    }
    out.push(Piece::Text(text));
    Ok(out)
}

/// The placeholder whose brace opens at byte `at`.
fn placeholder(template: &str, at: usize) -> Result<Placeholder, TemplateError> {
    let length = template[at..]
        .find('}')
        .ok_or_else(|| TemplateError::Unclosed { template: template.into(), at })?;
    let inner = &template[at + 1..at + length];
    let (name, default) = match inner.split_once('=') {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_numeric());
    if !is_name {
        return Err(TemplateError::NotAName { template: template.into(), name: inner.into(), at });
    }
    if let Some(brace) = default.and_then(|default| default.find('{')) {
        return Err(TemplateError::BraceInDefault {
            template: template.into(),
            name: name.into(),
            at: at + 1 + name.len() + 1 + brace,
        });
    }
    Ok(Placeholder {
        name: name.into(),
        default: default.map(str::to_owned),
        range: at..at + length + 1,
    })
}

/// The placeholders of a template, in order.
pub fn placeholders(template: &str) -> Result<Vec<Placeholder>, TemplateError> {
    Ok(pieces(template)?
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Variable(placeholder) => Some(placeholder),
            Piece::Text(_) => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(template: &str) -> String {
        placeholders(template).unwrap_err().to_string()
    }

    #[test]
    fn placeholders_have_their_byte_ranges() {
        let found = placeholders("é {color} {x=a = b}").unwrap();
        assert_eq!(found[0].range, 3..10);
        assert_eq!(found[0].name_range(), 4..9);
        assert_eq!(&"é {color} {x=a = b}"[found[1].range.clone()], "{x=a = b}");
        assert_eq!(found[1].default.as_deref(), Some("a = b"));
    }

    #[test]
    fn a_default_ends_at_the_first_brace_and_may_be_empty() {
        let found = placeholders("{a=red}}} {b=}").unwrap();
        assert_eq!(found[0].default.as_deref(), Some("red"));
        assert_eq!(found[1].default.as_deref(), Some(""));
    }

    #[test]
    fn a_wrong_template_says_what_and_where() {
        assert!(message("a {color").contains("byte 2"));
        assert!(message("a } b").contains("byte 2"));
        assert!(message("a {} b").contains("not a name"));
        assert!(message("a { x } b").contains("without spaces"));
        assert!(message("a {=red} b").contains("not a name"));
        assert!(
            message("{a=x {b} y}").contains("default of {a} at byte 5"),
            "{}",
            message("{a=x {b} y}")
        );
        let two = message("{c=red} and {c=blue}");
        assert!(two.contains("two defaults, `red` and at byte 12 `blue`"), "{two}");
        assert!(placeholders("{c=red} and {c}, {c=red}").is_ok());
    }
}
