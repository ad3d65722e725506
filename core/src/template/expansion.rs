//! From a template and the values of its variables to prompts.

use std::collections::BTreeMap;

use super::{Piece, TemplateError, pieces};
use crate::suite::Combine;

/// More prompts than this in one test are a mistake in its variables: at one second an image they
/// would take a day, and written out they would fill the memory.
pub const MOST_PROMPTS: usize = 100_000;

/// A variable of one template, with what it takes.
struct Variable<'a> {
    name: &'a str,
    values: Values<'a>,
}

enum Values<'a> {
    Given(&'a [String]),
    Default(&'a str),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Given(values) => values.len(),
            Self::Default(_) => 1,
        }
    }
}

/// Every prompt a template stands for.
///
/// Under [`Combine::Product`] that is the cartesian product of its variables' values, the last
/// variable changing fastest. Under [`Combine::Zip`] the first values of all its variables come
/// together, then the second ones; a variable that has its default alone is the same in all of
/// them. Variables the template does not use change nothing.
///
/// # Errors
/// The template is malformed, a variable has neither values nor a default, zipped variables have
/// different numbers of values, there would be more than [`MOST_PROMPTS`] prompts (nothing is
/// written out then), or a prompt would be blank.
pub fn expand(
    template: &str,
    variables: &BTreeMap<String, Vec<String>>,
    combine: Combine,
) -> Result<Vec<String>, TemplateError> {
    let pieces = pieces(template)?;
    let used = used(template, &pieces, variables)?;
    let count = count(template, &used, combine)?;
    let mut prompts = Vec::with_capacity(count);
    for index in 0..count {
        let chosen = choose(&used, combine, index);
        let prompt: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Variable(placeholder) => chosen[placeholder.name.as_str()],
            })
            .collect();
        if prompt.trim().is_empty() {
            return Err(TemplateError::Blank { template: template.into() });
        }
        prompts.push(prompt);
    }
    Ok(prompts)
}

/// The template's variables in the order in which they first stand in it.
fn used<'a>(
    template: &str,
    pieces: &'a [Piece],
    variables: &'a BTreeMap<String, Vec<String>>,
) -> Result<Vec<Variable<'a>>, TemplateError> {
    let placeholders = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(placeholder) => Some(placeholder),
            Piece::Text(_) => None,
        })
    };
    let mut used: Vec<Variable<'a>> = Vec::new();
    for placeholder in placeholders() {
        let name = placeholder.name.as_str();
        if used.iter().any(|variable| variable.name == name) {
            continue;
        }
        // Any of its places may say the default.
        let default =
            || placeholders().filter(|p| p.name == name).find_map(|p| p.default.as_deref());
        let values = match variables.get(name) {
            Some(values) if !values.is_empty() => Values::Given(values),
            given => match (default(), given) {
                (Some(default), _) => Values::Default(default),
                (None, Some(_)) => {
                    return Err(TemplateError::NoValues {
                        template: template.into(),
                        name: name.into(),
                    });
                }
                (None, None) => {
                    return Err(TemplateError::NoVariable {
                        template: template.into(),
                        name: name.into(),
                        nearest: crate::metric::nearest(name, variables.keys().map(String::as_str))
                            .map(str::to_owned),
                    });
                }
            },
        };
        used.push(Variable { name, values });
    }
    Ok(used)
}

fn count(template: &str, used: &[Variable<'_>], combine: Combine) -> Result<usize, TemplateError> {
    let count = match combine {
        Combine::Product => {
            used.iter().try_fold(1usize, |count, v| count.checked_mul(v.values.len()))
        }
        Combine::Zip => {
            let mut given = used.iter().filter(|v| matches!(v.values, Values::Given(_)));
            match given.next() {
                None => Some(1),
                Some(first) => {
                    if let Some(other) = given.find(|v| v.values.len() != first.values.len()) {
                        return Err(TemplateError::UnequalLengths {
                            template: template.into(),
                            first: (first.name.into(), first.values.len()),
                            second: (other.name.into(), other.values.len()),
                        });
                    }
                    Some(first.values.len())
                }
            }
        }
    };
    match count {
        Some(count) if count <= MOST_PROMPTS => Ok(count),
        count => Err(TemplateError::TooMany { template: template.into(), count }),
    }
}

/// The values of the prompt number `index`: under a product its digits, where each variable is a
/// place whose base is the number of its values.
fn choose<'a>(
    used: &[Variable<'a>],
    combine: Combine,
    mut index: usize,
) -> BTreeMap<&'a str, &'a str> {
    let values = used.iter().rev().map(|variable| {
        let value = match (&variable.values, combine) {
            (Values::Default(text), _) => text,
            (Values::Given(values), Combine::Zip) => values[index].as_str(),
            (Values::Given(values), Combine::Product) => {
                let digit = index % values.len();
                index /= values.len();
                values[digit].as_str()
            }
        };
        (variable.name, value)
    });
    values.collect()
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

    fn product(template: &str, v: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        expand(template, v, Combine::Product).unwrap()
    }

    #[test]
    fn a_template_expands_to_the_product_of_its_variables() {
        let v = variables(&[("c", &["red", "blue"]), ("s", &["cross", "square"])]);
        assert_eq!(
            product("a {c} {s}, {{not}} {c}", &v),
            [
                "a red cross, {not} red",
                "a red square, {not} red",
                "a blue cross, {not} blue",
                "a blue square, {not} blue"
            ]
        );
        assert_eq!(product("plain", &v), ["plain"]);
    }

    #[test]
    fn zipped_variables_go_side_by_side() {
        let v = variables(&[("c", &["red", "blue"]), ("s", &["cross", "square"])]);
        assert_eq!(
            expand("a {c} {s}, {size=small}", &v, Combine::Zip).unwrap(),
            ["a red cross, small", "a blue square, small"]
        );
        assert_eq!(expand("plain {size=small}", &v, Combine::Zip).unwrap(), ["plain small"]);
        let uneven = variables(&[("c", &["red", "blue"]), ("s", &["cross"]), ("unused", &[])]);
        let message = expand("a {c} {s}", &uneven, Combine::Zip).unwrap_err().to_string();
        assert!(message.contains("`c` has 2 values and `s` has 1 value;"), "{message}");
        assert_eq!(expand("a {c}", &uneven, Combine::Zip).unwrap().len(), 2, "`s` is not used");
    }

    #[test]
    fn a_default_stands_where_no_values_are_given() {
        let v = variables(&[("c", &["green"]), ("none", &[])]);
        assert_eq!(product("a {c=red} {s=square}", &v), ["a green square"]);
        assert_eq!(product("{none=few} {x=one}, {x} again{y=}", &v), ["few one, one again"]);
        assert_eq!(product("{x} before {x=one}", &v), ["one before one"]);
    }

    #[test]
    fn what_is_missing_says_what_and_where() {
        let v = variables(&[("color", &["red"]), ("none", &[]), ("blank", &[" "])]);
        let message = |t: &str| expand(t, &v, Combine::Product).unwrap_err().to_string();
        assert!(message("a {colr} x").contains("did you mean {color}?"), "{}", message("a {colr}"));
        assert!(message("a {wholly} x").contains("{name=text}"), "{}", message("a {wholly}"));
        assert!(message("a {none} b").contains("no values"));
        assert!(message("{blank}{x=}").contains("empty text"));
    }

    #[test]
    fn too_many_prompts_are_refused_before_they_are_made() {
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let v: BTreeMap<String, Vec<String>> =
            ('a'..='z').map(|c| (c.to_string(), many.clone())).collect();
        assert_eq!(product("{a}", &v).len(), 1000);
        let message = |t: &str| expand(t, &v, Combine::Product).unwrap_err().to_string();
        assert!(message("{a}{b}").contains("make 1000000 prompts"), "{}", message("{a}{b}"));
        assert!(message("{a}{b}{c}{d}{e}{f}{g}{h}").contains("far too many"));
        assert_eq!(expand("{a}{b}", &v, Combine::Zip).unwrap().len(), 1000);
    }
}
