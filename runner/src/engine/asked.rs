//! What a test asks for, with every name looked up: once, before its first image.

use std::collections::BTreeMap;

use difftest_core::metric::Category;
use difftest_core::native::{self, NativeMetric};

use super::plan::{PlannedTest, ReferenceKind, reference_dir};
use super::python_metric::Metric;

pub struct Asked<'a> {
    /// Computed here, in parallel.
    pub native: Vec<NativeMetric>,
    /// Computed by Python, an image or many at a time.
    pub python: Vec<&'a Metric>,
    /// Computed by Python from all images of the test.
    pub batch: Vec<&'a Metric>,
    /// Whether an image without a reference is a failed one.
    pub needs_reference: bool,
    /// Whether a reference is looked for.
    pub wants_reference: bool,
}

impl<'a> Asked<'a> {
    pub fn of(
        test: &PlannedTest,
        loaded: &'a BTreeMap<String, Metric>,
        reference: ReferenceKind,
    ) -> Self {
        let mut asked = Self {
            native: Vec::new(),
            python: Vec::new(),
            batch: Vec::new(),
            needs_reference: false,
            wants_reference: false,
        };
        for name in test.spec.metrics() {
            let category = match (native::find(&name), loaded.get(&name)) {
                (Some(metric), _) => {
                    let category = metric.info.category;
                    asked.native.push(metric);
                    category
                }
                (None, Some(metric)) if metric.info.category == Category::Batch => {
                    // Without images to compare with there is nothing to compute.
                    if reference == ReferenceKind::None && reference_dir(&test.spec).is_none() {
                        continue;
                    }
                    asked.batch.push(metric);
                    asked.wants_reference |= reference == ReferenceKind::Run;
                    continue;
                }
                (None, Some(metric)) => {
                    asked.python.push(metric);
                    metric.info.category
                }
                (None, None) => continue,
            };
            asked.needs_reference |=
                category == Category::Reference && reference != ReferenceKind::None;
        }
        asked.wants_reference |= asked.needs_reference;
        asked
    }

    /// Whether Python looks at the images.
    pub fn python_looks(&self) -> bool {
        !self.python.is_empty() || !self.batch.is_empty()
    }
}
