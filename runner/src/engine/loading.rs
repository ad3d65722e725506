//! What is there before the first image: the tests that can run, and every metric they ask for.

use std::collections::BTreeMap;

use difftest_core::metric::{Category, MetricInfo};
use difftest_core::native;

use super::bridge::{Bridge, CallError};
use super::error::EngineError;
use super::plan::{self, Plan, PlannedTest, ReferenceKind};
use super::python_metric::Metric;
use super::settings::Target;

pub struct Loaded {
    pub plan: Plan,
    /// Every metric, by the name that tests use.
    pub known: BTreeMap<String, MetricInfo>,
    /// Those that Python computes.
    pub metrics: BTreeMap<String, Metric>,
}

/// The tests in a form that can run, and everything that could not be.
pub fn discover(bridge: &Bridge<'_>, target: &Target) -> Result<Plan, EngineError> {
    let collected = bridge.collect(&target.test_dir, &target.root)?;
    if collected.tests.is_empty() && collected.errors.is_empty() {
        return Err(EngineError::NothingDiscovered(target.test_dir.clone()));
    }
    let mut specs = collected.tests;
    plan::shift_seeds(&mut specs, target.seed_offset);
    let mut plan = Plan::new(specs);
    plan.errors.splice(0..0, collected.errors);
    target.select(&mut plan)?;
    if let Some(most) = target.max_images {
        plan.limit(most);
    }
    let clashes = plan::shared_baselines(&plan.tests);
    plan.reject(|test| clashes.get(test.spec.id.as_str()).cloned());
    Ok(plan)
}

/// Collects, plans and loads every metric. A test whose metric does not load, or cannot say
/// anything of so few images, is an error of that test before anything is generated for it.
pub fn load(
    bridge: &Bridge<'_>,
    target: &Target,
    reference: ReferenceKind,
) -> Result<Loaded, EngineError> {
    let mut plan = discover(bridge, target)?;
    let (mut known, mut metrics) = (BTreeMap::new(), BTreeMap::new());
    let mut faults: BTreeMap<String, String> = BTreeMap::new();
    for name in plan.metrics() {
        if let Some(metric) = native::find(&name) {
            known.insert(name, metric.info);
            continue;
        }
        match bridge.load_metric(&name, &target.settings.device) {
            Ok(metric) => {
                known.insert(name.clone(), metric.info.clone());
                metrics.insert(name, metric);
            }
            Err(CallError::Interrupted) => return Err(EngineError::Interrupted),
            Err(CallError::Failed(failure)) => drop(faults.insert(name, failure.reason)),
        }
    }
    plan.reject(|test| test.spec.metrics().iter().find_map(|name| faults.get(name).cloned()));
    plan.reject(|test| plan::missing_reference_dir(test, &known, reference));
    plan.reject(|test| too_few(test, &known, reference));
    Ok(Loaded { plan, known, metrics })
}

/// Why a batch metric will refuse: the test has fewer images than it needs.
fn too_few(
    test: &PlannedTest,
    known: &BTreeMap<String, MetricInfo>,
    reference: ReferenceKind,
) -> Option<String> {
    let computed = reference != ReferenceKind::None || plan::reference_dir(&test.spec).is_some();
    let images = test.cells.len();
    test.spec.metrics().iter().filter_map(|name| known.get(name)).find_map(|metric| {
        let least = metric.min_samples.filter(|_| metric.category == Category::Batch)? as usize;
        (computed && images < least).then(|| {
            format!(
                "`{}` asks for {}, which needs at least {least} images, and has {images}; give it more prompts or seeds",
                test.spec.id.name(),
                metric.name
            )
        })
    })
}
