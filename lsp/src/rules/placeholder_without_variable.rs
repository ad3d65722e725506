//! `placeholder-without-variable`: a prompt's `{name}` has no values to stand for, or leaves its
//! place to the default because the variable's name is misspelt.

use std::collections::BTreeSet;

use difftest_core::metric::nearest;
use difftest_core::template::{Placeholder, placeholders};

use super::{Code, Finding, Fix};
use crate::decorators::DecoratorUse;
use crate::literal::TextLiteral;
use crate::metrics::Rest;

pub(super) fn check(
    found: &DecoratorUse,
    prompt: &TextLiteral,
    in_prompt: &[Placeholder],
    findings: &mut Vec<Finding>,
) {
    if found.variables_rest == Rest::Unreadable {
        return;
    }
    for placeholder in in_prompt {
        let name = placeholder.name.as_str();
        if found.variable_names().any(|variable| variable == name) {
            continue;
        }
        if in_prompt.iter().any(|p| p.name == name && p.default.is_some()) {
            findings.extend(misspelt(found, prompt, placeholder));
            continue;
        }
        let meant = nearest(name, found.variable_names());
        let mend = match meant {
            Some(meant) => format!("did you mean `{{{meant}}}`?"),
            None if found.variables.is_empty() => {
                format!(
                    "add `variables={{\"{name}\": [...]}}` or a default, `{{{name}=text}}`, or write \
                     `{{{{{name}}}}}` for braces"
                )
            }
            None => {
                format!("add \"{name}\" to `variables`, or write `{{{{{name}}}}}` for braces")
            }
        };
        findings.push(Finding {
            code: Code::PlaceholderWithoutVariable,
            range: prompt.place_of(placeholder.range.clone()),
            message: format!("no variable for `{{{name}}}`; {mend}"),
            fix: meant.and_then(|meant| Fix::name(prompt, placeholder.name_range(), meant)),
        });
    }
}

/// A variable of nearly the name of a placeholder with a default, and that no prompt uses.
fn misspelt(
    found: &DecoratorUse,
    prompt: &TextLiteral,
    placeholder: &Placeholder,
) -> Option<Finding> {
    let all_prompts_are_known = found.prompts.rest == Rest::Nothing
        && found.suite.literals.is_empty()
        && found.suite.rest == Rest::Nothing;
    if !all_prompts_are_known {
        return None;
    }
    let used: BTreeSet<String> = found
        .prompts
        .values()
        .filter_map(|prompt| placeholders(prompt).ok())
        .flatten()
        .map(|placeholder| placeholder.name)
        .collect();
    let unused = found.variable_names().filter(|name| !used.contains(*name));
    let meant = nearest(&placeholder.name, unused)?;
    Some(Finding {
        code: Code::PlaceholderWithoutVariable,
        range: prompt.place_of(placeholder.range.clone()),
        message: format!(
            "`{{{}}}` has its default alone, and no prompt uses the variable `{meant}`; did you \
             mean `{{{meant}}}`?",
            placeholder.name
        ),
        fix: Fix::name(prompt, placeholder.name_range(), meant),
    })
}
