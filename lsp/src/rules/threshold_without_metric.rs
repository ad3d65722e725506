//! `threshold-without-metric`: a threshold for something the test does not measure holds nothing.

use difftest_core::metric::nearest;

use super::{Code, Finding, Fix};
use crate::decorators::DecoratorUse;
use crate::metrics::Rest;

pub(super) fn check(found: &DecoratorUse, findings: &mut Vec<Finding>) {
    if found.metrics.rest == Rest::Unreadable {
        return;
    }
    for threshold in &found.thresholds.literals {
        let name = threshold.value.as_str();
        if found.metrics.values().any(|metric| metric == name) {
            continue;
        }
        // Only a metric that still lacks its threshold can have been meant.
        let free = found
            .metrics
            .values()
            .filter(|metric| !found.thresholds.values().any(|threshold| threshold == *metric));
        let meant = nearest(name, free);
        let mend = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add \"{name}\" to `metrics` or remove the threshold"),
        };
        findings.push(Finding {
            code: Code::ThresholdWithoutMetric,
            range: threshold.contents.clone(),
            message: format!(
                "this test does not measure `{name}`, so its threshold holds nothing; {mend}"
            ),
            fix: meant.and_then(|meant| Fix::name(threshold, 0..name.len(), meant)),
        });
    }
}
