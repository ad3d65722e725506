//! `unknown-suite`: a prompt suite that does not come with difftest, or a file that is not there.

use difftest_core::metric::nearest;

use super::{Code, Finding, Fix};
use crate::decorators::DecoratorUse;
use crate::suites;

pub(super) fn check(
    found: &DecoratorUse,
    has_file: &dyn Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) {
    for suite in &found.suite.literals {
        let name = suite.value.as_str();
        if suites::find(name).is_some() {
            continue;
        }
        let (message, fix) = if suites::is_path(name) {
            if !suites::has_ending(name) {
                let endings = suites::ENDINGS.map(|ending| format!(".{ending}")).join(", ");
                (
                    format!("a prompt suite is a file that ends in {endings}; `{name}` does not"),
                    None,
                )
            } else if has_file(name) {
                continue;
            } else {
                let places = "beside the test or at the repository's root";
                (format!("there is no file `{name}` {places}"), None)
            }
        } else {
            let meant = nearest(name, suites::builtin().iter().map(|suite| suite.name));
            let mend = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "there are {}; a file is named with its ending, as in \"{name}.yaml\"",
                    suites::builtin().iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
                ),
            };
            let fix = meant.and_then(|meant| Fix::name(suite, 0..name.len(), meant));
            (format!("unknown prompt suite `{name}`; {mend}"), fix)
        };
        findings.push(Finding {
            code: Code::UnknownSuite,
            range: suite.contents.clone(),
            message,
            fix,
        });
    }
}
