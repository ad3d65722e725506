//! From the tests that discovery found to the images that have to be made. Pure.

use std::collections::{BTreeMap, BTreeSet};

use difftest_core::cell;
use difftest_core::event::CellKey;
use difftest_core::metric::{Category, MetricInfo};
use difftest_core::suite::{CollectionError, TestKind, TestSpec};

/// A test and its images, in the order they are made.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTest {
    pub spec: TestSpec,
    /// Those of the test's own seeds, and behind them those of fresh seeds, where there are any.
    pub cells: Vec<CellKey>,
    /// How many are of its own seeds.
    pub declared: usize,
}

/// An image of the plan: a test by its number, and a cell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellAt {
    pub test: usize,
    pub cell: usize,
}

impl PlannedTest {
    pub fn new(spec: TestSpec, cells: Vec<CellKey>) -> Self {
        Self { spec, declared: cells.len(), cells }
    }

    /// The place of a cell's prompt among the test's, in the order of expansion. Cells have
    /// prompts outermost, and as many of each as there are seeds.
    pub fn prompt_number(&self, cell: usize) -> usize {
        let seeds = self.cells.iter().take_while(|c| c.prompt == self.cells[0].prompt).count();
        let within = if cell < self.declared { cell } else { cell - self.declared };
        within / seeds.max(1)
    }

    /// Adds every prompt with seeds that the test does not name. They are made only when a
    /// steered run is told to.
    fn allow_confirmation(&mut self) {
        let seeds = cell::confirmation_seeds(&self.spec);
        let mut prompts: Vec<CellKey> = self.cells.clone();
        prompts.dedup_by(|a, b| a.prompt == b.prompt);
        self.cells.extend(prompts.into_iter().flat_map(|cell| {
            seeds
                .iter()
                .map(move |seed| CellKey { seed: *seed, ..cell.clone() })
                .collect::<Vec<_>>()
        }));
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub tests: Vec<PlannedTest>,
    /// Tests that cannot run as they are written; the others still do.
    pub errors: Vec<CollectionError>,
}

/// What images are compared with, as far as a plan has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceKind {
    Baseline,
    Run,
    None,
}

impl Plan {
    /// Expands every test into its cells.
    pub fn new(specs: Vec<TestSpec>) -> Self {
        let mut plan = Self::default();
        for spec in specs {
            match cells(&spec) {
                Ok(cells) => plan.tests.push(PlannedTest::new(spec, cells)),
                Err(message) => {
                    plan.errors.push(CollectionError { place: spec.place, message });
                }
            }
        }
        plan
    }

    /// Of the tests' own seeds.
    pub fn cell_count(&self) -> usize {
        self.tests.iter().map(|t| t.declared).sum()
    }

    /// For a run that is steered.
    pub fn allow_confirmation(&mut self) {
        self.tests.iter_mut().for_each(PlannedTest::allow_confirmation);
    }

    /// Leaves at most `most` images, as many of each test as there are of the others. Of a test,
    /// every prompt with its first seed comes before any with its second: prompts say more than
    /// seeds. A test that is left none is left out.
    pub fn limit(&mut self, most: usize) {
        let mut left = most;
        let mut quotas = vec![0_usize; self.tests.len()];
        while left > 0 && quotas.iter().zip(&self.tests).any(|(q, t)| *q < t.cells.len()) {
            for (quota, test) in quotas.iter_mut().zip(&self.tests) {
                if left > 0 && *quota < test.cells.len() {
                    *quota += 1;
                    left -= 1;
                }
            }
        }
        for (test, quota) in self.tests.iter_mut().zip(quotas) {
            let rank = |cell: &CellKey| test.spec.seeds.iter().position(|s| *s == cell.seed);
            let mut order: Vec<usize> = (0..test.cells.len()).collect();
            order.sort_by_key(|at| rank(&test.cells[*at]));
            let kept: BTreeSet<usize> = order.into_iter().take(quota).collect();
            let mut at = 0..;
            test.cells.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
            test.declared = test.cells.len();
        }
        self.tests.retain(|test| !test.cells.is_empty());
    }

    /// Every metric that a test asks for.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.tests.iter().flat_map(|t| t.spec.metrics()).collect()
    }

    /// Takes out every test that `fault` finds fault with.
    pub fn reject(&mut self, fault: impl Fn(&PlannedTest) -> Option<String>) {
        let (errors, tests) = (&mut self.errors, &mut self.tests);
        tests.retain(|test| match fault(test) {
            Some(message) => {
                errors.push(CollectionError { place: test.spec.place.clone(), message });
                false
            }
            None => true,
        });
    }
}

/// `--seed-offset`: the same tests on other seeds.
pub fn shift_seeds(specs: &mut [TestSpec], offset: i64) {
    for seed in specs.iter_mut().flat_map(|spec| &mut spec.seeds) {
        *seed = seed.wrapping_add(offset);
    }
}

fn cells(spec: &TestSpec) -> Result<Vec<CellKey>, String> {
    let expanded = cell::expand(spec).map_err(|e| e.to_string())?;
    let mut seen = BTreeSet::new();
    let cells: Vec<CellKey> =
        expanded.into_iter().filter(|cell| seen.insert(cell.clone())).collect();
    let name = spec.id.name();
    if spec.seeds.is_empty() {
        return Err(format!("`{name}` has no seeds; give at least one, as in seeds=[42]"));
    }
    if cells.is_empty() {
        return Err(format!("`{name}` has no prompts; give at least one"));
    }
    Ok(cells)
}

/// Where a test's stored references are, relative to the repository's root.
pub fn reference_dir(spec: &TestSpec) -> Option<&str> {
    match &spec.kind {
        TestKind::Quality { reference_dir, .. } => reference_dir.as_deref(),
        TestKind::VisualRegression { baseline_dir, .. } => Some(baseline_dir),
    }
}

/// The file of a cell's stored reference, relative to the repository's root.
pub fn reference_file(spec: &TestSpec, cell: &CellKey) -> Option<String> {
    let dir = reference_dir(spec)?.trim_end_matches('/');
    Some(format!("{dir}/{}", cell::baseline_path(cell)))
}

/// Whether a test compares its images with others.
pub fn compares(spec: &TestSpec, known: &BTreeMap<String, MetricInfo>) -> bool {
    spec.metrics()
        .iter()
        .any(|name| known.get(name).is_some_and(|m| m.category == Category::Reference))
}

/// Why a test that compares images cannot: it names no folder to find them in.
pub fn missing_reference_dir(
    test: &PlannedTest,
    known: &BTreeMap<String, MetricInfo>,
    reference: ReferenceKind,
) -> Option<String> {
    let needs_one = reference == ReferenceKind::Baseline && compares(&test.spec, known);
    (needs_one && reference_dir(&test.spec).is_none()).then(|| {
        format!(
            "`{}` scores a metric that compares with a reference image and names no folder of them; give reference_dir=\"…\"",
            test.spec.id.name()
        )
    })
}

/// The tests whose stored references would be the same files as an earlier test's, with why.
///
/// A baseline's path has the function's name, not its file: two functions of one name with a
/// prompt and seed in common would overwrite each other in silence.
pub fn shared_baselines(tests: &[PlannedTest]) -> BTreeMap<String, String> {
    let mut owner: BTreeMap<String, &TestSpec> = BTreeMap::new();
    let mut clashes = BTreeMap::new();
    for test in tests {
        for cell in &test.cells {
            let Some(file) = reference_file(&test.spec, cell) else { continue };
            let first = owner.entry(file.clone()).or_insert(&test.spec);
            if first.id != test.spec.id {
                clashes.entry(test.spec.id.as_str().to_owned()).or_insert_with(|| {
                    format!(
                        "`{}` would share its baseline {file} with the test at {}:{}; rename one of them or give it another folder",
                        test.spec.id.name(),
                        first.place.file,
                        first.place.line,
                    )
                });
            }
        }
    }
    clashes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use difftest_core::suite::{Combine, Place, TestId};

    fn visual(id: &str, prompts: &[&str], seeds: &[i64]) -> TestSpec {
        TestSpec {
            id: TestId(id.into()),
            place: Place { file: id.split("::").next().unwrap().into(), line: 4 },
            kind: TestKind::VisualRegression {
                baseline_dir: "baselines/".into(),
                ssim_threshold: 0.85,
            },
            prompts: prompts.iter().map(|p| (*p).into()).collect(),
            variables: BTreeMap::from([("c".into(), vec!["red".into(), "blue".into()])]),
            combine: Combine::Product,
            negative_prompt: None,
            seeds: seeds.to_vec(),
            suite: None,
        }
    }

    fn known() -> BTreeMap<String, MetricInfo> {
        difftest_core::metric::builtin().into_iter().map(|m| (m.name.clone(), m)).collect()
    }

    #[test]
    fn a_test_becomes_every_prompt_with_every_seed_once() {
        let plan = Plan::new(vec![visual("t.py::a", &["a {c} cat", "a red cat"], &[1, 2, 1])]);
        let cells: Vec<(&str, i64)> =
            plan.tests[0].cells.iter().map(|c| (c.prompt.as_str(), c.seed)).collect();
        assert_eq!(
            cells,
            [("a red cat", 1), ("a red cat", 2), ("a blue cat", 1), ("a blue cat", 2)]
        );
    }

    #[test]
    fn a_limit_takes_prompts_before_seeds_and_evenly_of_every_test() {
        let mut plan = Plan::new(vec![
            visual("t.py::a", &["a {c} cat", "a {c} dog"], &[7, 3]),
            visual("t.py::b", &["one"], &[1]),
            visual("t.py::c", &["x", "y"], &[1, 2]),
        ]);
        let mut none = plan.clone();
        plan.limit(7);
        let cells: Vec<(&str, i64)> = plan
            .tests
            .iter()
            .flat_map(|t| t.cells.iter().map(|c| (c.prompt.as_str(), c.seed)))
            .collect();
        assert_eq!(
            cells,
            [
                ("a red cat", 7),
                ("a blue cat", 7),
                ("a red dog", 7),
                ("one", 1),
                ("x", 1),
                ("x", 2),
                ("y", 1),
            ]
        );
        none.limit(1);
        assert_eq!((none.tests.len(), none.cell_count()), (1, 1));
        none.limit(100);
        assert_eq!(none.cell_count(), 1);
    }

    #[test]
    fn an_offset_moves_every_seed() {
        let mut specs = vec![visual("t.py::a", &["p"], &[1, -5])];
        shift_seeds(&mut specs, 1000);
        assert_eq!(specs[0].seeds, [1001, 995]);
    }

    #[test]
    fn a_test_that_cannot_run_is_an_error_at_its_line_and_the_others_stay() {
        let plan = Plan::new(vec![
            visual("a.py::x", &["a {k}"], &[1]),
            visual("b.py::y", &[], &[1]),
            visual("c.py::z", &["p"], &[]),
            visual("d.py::ok", &["p"], &[1]),
        ]);
        assert_eq!(plan.tests.len(), 1);
        assert_eq!(plan.errors.len(), 3);
        assert_eq!((plan.errors[0].place.file.as_str(), plan.errors[0].place.line), ("a.py", 4));
        assert!(plan.errors[1].message.contains("no prompts"));
        assert!(plan.errors[2].message.contains("no seeds"));
    }

    #[test]
    fn prompts_that_begin_alike_have_baselines_of_their_own() {
        let long = "a very long prompt that says the same for fifty characters and more, ";
        let (one, two) = (format!("{long}one"), format!("{long}two"));
        let plan = Plan::new(vec![visual("t.py::a", &[&one, &two], &[1])]);
        let files: BTreeSet<String> = plan.tests[0]
            .cells
            .iter()
            .filter_map(|c| reference_file(&plan.tests[0].spec, c))
            .collect();
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|f| f.starts_with("baselines/a/")), "{files:?}");
        assert!(shared_baselines(&plan.tests).is_empty());
    }

    #[test]
    fn two_tests_never_share_a_baseline_in_silence() {
        let mut plan = Plan::new(vec![
            visual("a.py::same", &["p"], &[1]),
            visual("b.py::same", &["p"], &[1]),
            visual("c.py::same", &["q"], &[1]),
        ]);
        let clashes = shared_baselines(&plan.tests);
        plan.reject(|test| clashes.get(test.spec.id.as_str()).cloned());
        assert_eq!(plan.tests.len(), 2);
        assert!(plan.errors[0].message.contains("a.py:4"), "{}", plan.errors[0].message);
    }

    #[test]
    fn a_comparing_test_without_a_folder_needs_another_reference() {
        let mut spec = visual("t.py::a", &["p"], &[1]);
        spec.kind = TestKind::Quality {
            metrics: vec!["ssim".into()],
            thresholds: BTreeMap::new(),
            reference_dir: None,
        };
        let plan = Plan::new(vec![spec]);
        let fault = |kind| missing_reference_dir(&plan.tests[0], &known(), kind);
        assert!(fault(ReferenceKind::Baseline).unwrap().contains("reference_dir"));
        assert_eq!(fault(ReferenceKind::Run), None);
        assert_eq!(fault(ReferenceKind::None), None);
    }
}
