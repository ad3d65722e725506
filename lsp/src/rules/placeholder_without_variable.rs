//! `placeholder-without-variable`: a prompt's `{name}` has no values to stand for.

use difftest_core::metric::nearest;
use difftest_core::template::Placeholder;

use super::{Code, Finding, Fix};
use crate::decorators::DecoratorUse;
use crate::literal::TextLiteral;
use crate::metrics::Rest;

pub(super) fn check(
    found: &DecoratorUse,
    prompt: &TextLiteral,
    placeholders: &[Placeholder],
    findings: &mut Vec<Finding>,
) {
    if found.variables_rest == Rest::Unreadable {
        return;
    }
    for placeholder in placeholders {
        let name = placeholder.name.as_str();
        let has_default = || placeholders.iter().any(|p| p.name == name && p.default.is_some());
        if found.variable_names().any(|variable| variable == name) || has_default() {
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
