//! `zip-of-unequal-lengths`: variables that go side by side and are not equally long; and
//! `unknown-combine`: neither of the two ways in which they can go together.

use std::collections::BTreeSet;

use difftest_core::metric::nearest;
use difftest_core::template::placeholders;

use super::{Code, Finding, Fix};
use crate::decorators::{DecoratorUse, Variable};

const WAYS: [&str; 2] = ["product", "zip"];

pub(super) fn check(found: &DecoratorUse, findings: &mut Vec<Finding>) {
    for combine in &found.combine.literals {
        let word = combine.value.as_str();
        if !WAYS.contains(&word) {
            let meant = nearest(word, WAYS).unwrap_or("zip");
            findings.push(Finding {
                code: Code::UnknownCombine,
                range: combine.contents.clone(),
                message: format!("`combine` is \"product\" or \"zip\", not `{word}`"),
                fix: Fix::name(combine, 0..word.len(), meant),
            });
        }
    }
    if found.combine.values().any(|word| word == "zip") {
        unequal(found, findings);
    }
}

fn unequal(found: &DecoratorUse, findings: &mut Vec<Finding>) {
    let mut said = BTreeSet::new();
    for prompt in &found.prompts.literals {
        let Ok(placeholders) = placeholders(&prompt.value) else { continue };
        let used = placeholders.iter().filter_map(|placeholder| {
            found.variables.iter().find(|variable| variable.name.value == placeholder.name)
        });
        let mut counted = used.filter_map(|variable| Some((variable, variable.count?)));
        let Some((first, length)) = counted.next() else { continue };
        for (other, count) in counted {
            // Another prompt may have the two the other way round.
            let mut pair = [&first.name.value, &other.name.value];
            pair.sort();
            if count != length && said.insert(pair) {
                findings.push(finding(first, length, other, count));
            }
        }
    }
}

fn finding(first: &Variable, length: usize, other: &Variable, count: usize) -> Finding {
    Finding {
        code: Code::ZipOfUnequalLengths,
        range: other.name.contents.clone(),
        message: format!(
            "combine=\"zip\" takes values side by side, but `{}` has {length} and `{}` has {count}",
            first.name.value, other.name.value
        ),
        fix: None,
    }
}
