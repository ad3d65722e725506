//! Prompt templates: `{name}` is a variable, `{{` and `}}` are braces.

use std::collections::BTreeMap;
use std::ops::Range;

/// A `{name}` in a template, with the byte range of the whole of it, braces included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    pub name: String,
    pub range: Range<usize>,
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
        "the prompt `{template}` has the placeholder {{{name}}} at byte {at}, which is not a name"
    )]
    NotAName { template: String, name: String, at: usize },
    #[error("the prompt `{template}` uses {{{name}}}, but `variables` has no `{name}`{}", hint(.nearest))]
    NoVariable { template: String, name: String, nearest: Option<String> },
    #[error("the variable `{name}` of the prompt `{template}` has no values")]
    NoValues { template: String, name: String },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |n| format!("; did you mean {{{n}}}?"))
}

enum Piece {
    Text(String),
    Variable(Placeholder),
}

fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut chars = template.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '}' if chars.peek().is_some_and(|(_, next)| *next == c) => {
                chars.next();
                text.push(c);
            }
            '{' => {
                let length = template[at..]
                    .find('}')
                    .ok_or_else(|| TemplateError::Unclosed { template: template.into(), at })?;
                let name = &template[at + 1..at + length];
                let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
                    && name.chars().next().is_some_and(|c| !c.is_numeric());
                if !is_name {
                    return Err(TemplateError::NotAName {
                        template: template.into(),
                        name: name.into(),
                        at,
                    });
                }
                out.push(Piece::Text(std::mem::take(&mut text)));
                out.push(Piece::Variable(Placeholder {
                    name: name.into(),
                    range: at..at + length + 1,
                }));
                while chars.peek().is_some_and(|(next, _)| *next <= at + length) {
                    chars.next();
                }
            }
            '}' => return Err(TemplateError::Unopened { template: template.into(), at }),
            _ => text.push(c),
        }
    }
    out.push(Piece::Text(text));
    Ok(out)
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

/// Every prompt a template stands for: the cartesian product of its variables' values, the last
/// variable changing fastest. A variable used twice has the same value in both places.
pub fn expand(
    template: &str,
    variables: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<String>, TemplateError> {
    let pieces = pieces(template)?;
    let mut names: Vec<&str> = Vec::new();
    for piece in &pieces {
        if let Piece::Variable(placeholder) = piece {
            let name = placeholder.name.as_str();
            match variables.get(name) {
                None => {
                    return Err(TemplateError::NoVariable {
                        template: template.into(),
                        name: name.into(),
                        nearest: crate::metric::nearest(name, variables.keys().map(String::as_str))
                            .map(str::to_owned),
                    });
                }
                Some(values) if values.is_empty() => {
                    return Err(TemplateError::NoValues {
                        template: template.into(),
                        name: name.into(),
                    });
                }
                Some(_) if names.contains(&name) => {}
                Some(_) => names.push(name),
            }
        }
    }
    let mut assignments: Vec<BTreeMap<&str, &str>> = vec![BTreeMap::new()];
    for name in names {
        assignments = assignments
            .into_iter()
            .flat_map(|assignment| {
                variables[name].iter().map(move |value| {
                    let mut next = assignment.clone();
                    next.insert(name, value.as_str());
                    next
                })
            })
            .collect();
    }
    Ok(assignments
        .into_iter()
        .map(|assignment| {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Variable(placeholder) => assignment[placeholder.name.as_str()],
                })
                .collect()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        pairs
            .iter()
            .map(|(name, values)| ((*name).into(), values.iter().map(|v| (*v).into()).collect()))
            .collect()
    }

    #[test]
    fn a_template_expands_to_the_product_of_its_variables() {
        let v = variables(&[("c", &["red", "blue"]), ("s", &["cross", "square"])]);
        assert_eq!(
            expand("a {c} {s}, {{not}} {c}", &v).unwrap(),
            [
                "a red cross, {not} red",
                "a red square, {not} red",
                "a blue cross, {not} blue",
                "a blue square, {not} blue"
            ]
        );
        assert_eq!(expand("plain", &v).unwrap(), ["plain"]);
    }

    #[test]
    fn a_wrong_template_says_what_and_where() {
        let v = variables(&[("color", &["red"]), ("none", &[])]);
        let message = |t: &str| expand(t, &v).unwrap_err().to_string();
        assert!(
            message("a {colr} x").contains("did you mean {color}?"),
            "{}",
            message("a {colr} x")
        );
        assert!(message("a {color").contains("byte 2"));
        assert!(message("a } b").contains("byte 2"));
        assert!(message("a {} b").contains("not a name"));
        assert!(message("a {none} b").contains("no values"));
    }

    #[test]
    fn placeholders_have_their_byte_ranges() {
        let found = placeholders("é {color} {x}").unwrap();
        assert_eq!(found[0].range, 3..10);
        assert_eq!(&"é {color} {x}"[found[1].range.clone()], "{x}");
    }
}
