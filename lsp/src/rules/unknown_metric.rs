//! `unknown-metric`: a test asks for a metric that neither difftest nor the workspace has.

use difftest_core::metric::nearest;

use super::{Code, Finding, Fix};
use crate::decorators::DecoratorUse;
use crate::metrics::{KnownMetrics, Rest};

/// More names than this make a message longer than anyone reads.
const NAMES_SHOWN: usize = 6;

pub(super) fn check(found: &DecoratorUse, known: &KnownMetrics, findings: &mut Vec<Finding>) {
    if known.rest == Rest::Unreadable {
        return;
    }
    for metric in &found.metrics.literals {
        let name = metric.value.as_str();
        if known.names.contains(name) {
            continue;
        }
        let meant = nearest(name, known.names.iter().map(String::as_str));
        let message = match meant {
            Some(meant) => format!("unknown metric `{name}`; did you mean `{meant}`?"),
            None if can_be_declared(name) => format!(
                "unknown metric `{name}`; known are {}, and `@difftest.metric(\"{name}\")` \
                 declares a new one",
                names(known)
            ),
            None => format!("unknown metric `{name}`; known are {}", names(known)),
        };
        findings.push(Finding {
            code: Code::UnknownMetric,
            range: metric.contents.clone(),
            message,
            fix: meant.and_then(|meant| Fix::name(metric, 0..name.len(), meant)),
        });
    }
}

/// What `@difftest.metric` accepts as a name.
fn can_be_declared(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn names(known: &KnownMetrics) -> String {
    let shown: Vec<String> =
        known.names.iter().take(NAMES_SHOWN).map(|name| format!("`{name}`")).collect();
    match known.names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
