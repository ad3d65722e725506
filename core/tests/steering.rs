//! A steered comparison from its first round to its verdict, with two runs that are simulated:
//! no process, no pipe, no clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::BTreeMap;

use difftest_core::cell;
use difftest_core::compare::{Comparison, compare};
use difftest_core::config::{Budget, Method, VerdictSettings};
use difftest_core::event::{CellKey, Environment, Event, ImageRef, RunStatus, SCHEMA, TestOutcome};
use difftest_core::ids::ImageSha;
use difftest_core::metric;
use difftest_core::protocol::Side;
use difftest_core::result::Run;
use difftest_core::steering::lockstep::{Command, Lockstep};
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};
use difftest_core::verdict::Decision;

fn test(name: &str, prompts: usize, threshold: Option<f64>) -> TestSpec {
    TestSpec {
        id: TestId(format!("t.py::{name}")),
        place: Place { file: "t.py".into(), line: 3 },
        kind: TestKind::Quality {
            metrics: vec!["clip_score".into()],
            thresholds: threshold.map(|t| ("clip_score".to_owned(), t)).into_iter().collect(),
            reference_dir: None,
        },
        prompts: (0..prompts).map(|i| format!("{name} {i}")).collect(),
        variables: BTreeMap::new(),
        combine: Combine::Product,
        negative_prompt: None,
        seeds: vec![1, 2],
        suite: None,
    }
}

fn visual(name: &str, prompts: usize) -> TestSpec {
    let kind = TestKind::VisualRegression { baseline_dir: "b".into(), ssim_threshold: 0.9 };
    TestSpec { kind, ..test(name, prompts, None) }
}

/// A number in [0, 1) that depends on the text alone.
fn noise(text: &str) -> f64 {
    let digest = ImageSha::of(text.as_bytes());
    f64::from(u32::from_str_radix(&digest.as_str()[..8], 16).unwrap()) / f64::from(u32::MAX)
}

fn good(cell: &CellKey) -> f64 {
    0.5 + 0.2 * noise(&format!("{cell:?}"))
}

/// What a side makes of a cell: the bytes of its image, and its score.
type World<'a> = dyn Fn(&CellKey) -> (String, f64) + 'a;

/// A side of the comparison that does what it is told.
struct Simulated<'a> {
    tests: Vec<TestSpec>,
    world: &'a World<'a>,
    round: u32,
    made: usize,
    /// Dies when it is told to make more than this many images.
    dies_after: usize,
}

impl Simulated<'_> {
    fn start(&self, id: &str) -> Vec<Event> {
        let environment = Environment {
            device: "cpu".into(),
            threads: 1,
            batch_size: 8,
            versions: BTreeMap::new(),
        };
        let started = Event::RunStarted {
            schema: SCHEMA,
            run: id.into(),
            model: "m".into(),
            generator: "g".into(),
            fingerprint: "f".into(),
            environment,
            tests: self.tests.clone(),
            metrics: metric::builtin(),
            cells: 0,
            recipe: Default::default(),
        };
        vec![started, Event::RoundFinished { round: 0 }]
    }

    /// None where it dies.
    fn obey(&mut self, command: &Command) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        match command {
            Command::Make { cells } => {
                for cell in cells {
                    self.made += 1;
                    if self.made > self.dies_after {
                        return None;
                    }
                    let (bytes, value) = (self.world)(cell);
                    let sha256 = ImageSha::of(bytes.as_bytes());
                    let path = format!("images/{sha256}.png");
                    events.push(Event::CellGenerated {
                        cell: cell.clone(),
                        image: ImageRef { sha256, path, width: 8, height: 8 },
                        duration_ms: 100.0,
                        cost_usd: Some(0.01),
                        retries: 0,
                        cached: false,
                    });
                    let test = self.tests.iter().find(|t| t.id == cell.test).unwrap();
                    let metric = test.metrics()[0].clone();
                    events.push(Event::CellScored { cell: cell.clone(), metric, value });
                }
                self.round += 1;
                events.push(Event::RoundFinished { round: self.round });
            }
            Command::Finish => {
                events.extend(self.tests.iter().map(|test| Event::TestFinished {
                    test: test.id.clone(),
                    outcome: TestOutcome::Passed,
                    reasons: Vec::new(),
                    duration_ms: 1.0,
                }));
                let (status, reason) = (RunStatus::Passed, None);
                events.push(Event::RunFinished { status, reason, duration_ms: 1.0 });
            }
        }
        Some(events)
    }
}

struct Outcome {
    comparison: Comparison,
    base: Run,
    head: Run,
    commands: Vec<(Side, Command)>,
}

impl Outcome {
    fn images(&self) -> u64 {
        self.base.cells_done + self.head.cells_done
    }
}

/// Runs both to their end.
fn steer(settings: &VerdictSettings, mut sides: [Simulated<'_>; 2]) -> Outcome {
    let mut lockstep = Lockstep::new(settings.clone());
    let mut told = Vec::new();
    let mut queue: Vec<(Side, Option<Event>)> = Side::BOTH
        .into_iter()
        .zip(&sides)
        .flat_map(|(side, simulated)| {
            simulated.start(side.as_str()).into_iter().map(move |event| (side, Some(event)))
        })
        .collect();
    while !queue.is_empty() {
        let mut next = Vec::new();
        for (side, event) in queue {
            let commands = match event {
                Some(event) => lockstep.heard(side, &event),
                None => lockstep.ended(side),
            };
            for (to, command) in commands {
                let simulated = &mut sides[usize::from(to == Side::Head)];
                let ends = command == Command::Finish;
                match simulated.obey(&command) {
                    Some(events) => next.extend(events.into_iter().map(|e| (to, Some(e)))),
                    None => next.push((to, None)),
                }
                if ends {
                    next.push((to, None));
                }
                told.push((to, command));
                assert!(told.len() < 1000, "it does not end");
            }
        }
        queue = next;
    }
    let (base, head) = (lockstep.run(Side::Base).clone(), lockstep.run(Side::Head).clone());
    let comparison = compare(Some(&base), &head, settings);
    Outcome { comparison, base, head, commands: told }
}

fn sides<'a>(tests: &[TestSpec], base: &'a World<'a>, head: &'a World<'a>) -> [Simulated<'a>; 2] {
    [base, head].map(|world| Simulated {
        tests: tests.to_vec(),
        world,
        round: 0,
        made: 0,
        dies_after: usize::MAX,
    })
}

fn base_world(cell: &CellKey) -> (String, f64) {
    (format!("{cell:?}"), good(cell))
}

fn other_bytes(cell: &CellKey, score: f64) -> (String, f64) {
    (format!("head {cell:?}"), score)
}

fn settings() -> VerdictSettings {
    VerdictSettings::default()
}

#[test]
fn a_large_loss_ends_the_run_early_with_balanced_pairs() {
    let tests = [test("a", 400, None)];
    let worse = |cell: &CellKey| other_bytes(cell, good(cell) - 0.3);
    let found = steer(&settings(), sides(&tests, &base_world, &worse));
    assert_eq!(found.comparison.decision, Decision::Regressed, "{:#?}", found.comparison.tests);
    assert!(found.images() < 200, "{} of 1600", found.images());
    assert_eq!(found.base.cells_done, found.head.cells_done, "every image has its partner");
    assert_eq!(found.commands.last().map(|(_, c)| c), Some(&Command::Finish));
}

#[test]
fn no_change_at_all_passes_once_enough_pairs_are_identical() {
    let tests = [test("a", 400, None), test("b", 400, None)];
    let found = steer(&settings(), sides(&tests, &base_world, &base_world));
    assert_eq!(found.comparison.decision, Decision::Pass);
    assert!((300..=600).contains(&found.images()), "149 pairs rule out 2%: {}", found.images());
    let sentence = &found.comparison.tests[0].sentences[0];
    assert!(sentence.contains("byte-identical") && sentence.contains("2%"), "{sentence}");
}

#[test]
fn equal_worth_passes_and_a_small_suite_is_inconclusive() {
    let same = |cell: &CellKey| {
        other_bytes(cell, good(cell) + 0.002 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    let large = steer(&settings(), sides(&[test("a", 400, None)], &base_world, &same));
    assert_eq!(large.comparison.decision, Decision::Pass, "{:#?}", large.comparison.tests);
    assert!(large.images() < 1200, "{}", large.images());
    let small = steer(&settings(), sides(&[test("a", 40, None)], &base_world, &same));
    assert_eq!(small.comparison.decision, Decision::Inconclusive);
    assert_eq!(small.images(), 160, "everything was tried");
}

#[test]
fn decided_tests_get_no_more_images_and_the_others_go_on() {
    let tests = [test("clear", 300, None), test("open", 300, None)];
    let worse = |cell: &CellKey| match cell.test.name() {
        "clear" => other_bytes(cell, good(cell) - 0.3),
        _ => other_bytes(cell, good(cell) - 0.02 + 0.1 * (noise(&format!("h{cell:?}")) - 0.5)),
    };
    let found = steer(&settings(), sides(&tests, &base_world, &worse));
    let made = |at: usize| found.head.tests[at].cells.len();
    assert_eq!(found.comparison.tests[0].decision, Decision::Regressed);
    assert_eq!(found.comparison.tests[1].decision, Decision::Inconclusive, "at the margin");
    assert!(made(0) < 150 && made(1) == 600, "{} {}", made(0), made(1));
}

#[test]
fn a_budget_ends_the_run_and_is_said() {
    let tests = [test("a", 300, None), test("b", 300, None)];
    let open = |cell: &CellKey| {
        other_bytes(cell, good(cell) - 0.02 + 0.1 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    for (budget, most) in
        [(Budget::Images(100), 100.0), (Budget::Seconds(12), 120.0), (Budget::Dollars(1.5), 150.0)]
    {
        let settings = VerdictSettings { budget: Some(budget), ..settings() };
        let found = steer(&settings, sides(&tests, &base_world, &open));
        assert!(found.images() as f64 <= most, "{budget}: {}", found.images());
        assert!(found.images() as f64 >= 0.5 * most, "{budget}: {}", found.images());
        assert_eq!(found.comparison.decision, Decision::Inconclusive);
        let notes = &found.comparison.notes;
        assert!(notes.iter().any(|n| n.contains("budget") && n.contains("2 of 2")), "{notes:?}");
    }
}

#[test]
fn a_budget_goes_to_the_test_that_is_nearest_to_a_decision() {
    let tests = [test("hopeless", 300, None), test("near", 300, None)];
    let world = |cell: &CellKey| match cell.test.name() {
        "near" => other_bytes(cell, good(cell) - 0.06 + 0.1 * (noise(&format!("h{cell:?}")) - 0.5)),
        _ => other_bytes(cell, good(cell) - 0.02 + 0.4 * (noise(&format!("h{cell:?}")) - 0.5)),
    };
    let settings = VerdictSettings { budget: Some(Budget::Images(200)), ..settings() };
    let found = steer(&settings, sides(&tests, &base_world, &world));
    assert_eq!(found.comparison.tests[1].decision, Decision::Regressed, "{:#?}", found.comparison);
    assert!(found.images() <= 200);
}

#[test]
fn a_loss_near_the_margin_is_confirmed_on_fresh_seeds_or_taken_back() {
    let tests = [test("a", 200, None)];
    let own = |cell: &CellKey| [1, 2].contains(&cell.seed);
    let settings = VerdictSettings { confirm: true, ..settings() };
    let real = |cell: &CellKey| {
        other_bytes(cell, good(cell) - 0.035 + 0.02 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    let found = steer(&settings, sides(&tests, &base_world, &real));
    assert_eq!(found.comparison.decision, Decision::Regressed, "{:#?}", found.comparison.tests);
    assert!(found.comparison.tests[0].sentences[0].contains("which confirms it"));
    assert!(!found.head.tests[0].confirmation.is_empty());
    assert!(found.head.tests[0].cells.keys().all(own), "kept apart");
    assert!(found.head.tests[0].confirmation.keys().all(|cell| !own(cell)));

    let lucky = |cell: &CellKey| match own(cell) {
        true => real(cell),
        false => other_bytes(cell, good(cell) + 0.02 * (noise(&format!("h{cell:?}")) - 0.5)),
    };
    let found = steer(&settings, sides(&tests, &base_world, &lucky));
    assert_eq!(found.comparison.decision, Decision::Inconclusive, "{:#?}", found.comparison.tests);
    assert!(found.comparison.tests[0].sentences[0].contains("which contradicts it"));
}

#[test]
fn a_visual_regression_ends_at_the_first_image_that_is_another_one() {
    let tests = [visual("v", 100)];
    let ssim_of = |different: bool| {
        move |cell: &CellKey| {
            let ruined = different && noise(&format!("v{cell:?}")) < 0.3;
            other_bytes(cell, if ruined { 0.5 } else { 0.99 })
        }
    };
    let (changed, same) = (ssim_of(true), ssim_of(false));
    let found = steer(&settings(), sides(&tests, &base_world, &changed));
    assert_eq!(found.comparison.decision, Decision::Changed, "different, not yet worse");
    assert!(found.images() < 100, "{}", found.images());
    let found = steer(&settings(), sides(&tests, &base_world, &same));
    assert_eq!(found.comparison.decision, Decision::Pass);
    assert_eq!(found.images(), 400, "a pass needs them all");
}

#[test]
fn a_threshold_keeps_a_test_going_until_its_side_is_clear() {
    let near = [test("a", 300, Some(0.599))];
    let far = [test("a", 300, Some(0.3))];
    let same = |cell: &CellKey| {
        other_bytes(cell, good(cell) + 0.002 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    let near = steer(&settings(), sides(&near, &base_world, &same));
    let far = steer(&settings(), sides(&far, &base_world, &same));
    assert_eq!(far.comparison.decision, Decision::Pass);
    assert!(far.images() < near.images(), "{} {}", far.images(), near.images());
    assert_eq!(near.images(), 1200);
}

#[test]
fn the_base_is_only_asked_for_what_it_has() {
    let head = [test("old", 40, None), test("new", 40, Some(0.3))];
    let mut both = sides(&head, &base_world, &base_world);
    both[0].tests = vec![test("old", 30, None)];
    let found = steer(&settings(), both);
    let asked: Vec<&CellKey> = found
        .commands
        .iter()
        .filter_map(|(side, command)| match (side, command) {
            (Side::Base, Command::Make { cells }) => Some(cells),
            _ => None,
        })
        .flatten()
        .collect();
    let known = cell::expand(&test("old", 30, None)).unwrap();
    assert!(asked.iter().all(|cell| known.contains(cell)));
    assert_eq!(asked.len(), 60);
    assert!(found.head.tests[1].cells.len() >= 16, "the new test is judged by its threshold");
}

#[test]
fn a_side_that_dies_ends_the_other_and_is_no_verdict() {
    let tests = [test("a", 100, None)];
    let mut both = sides(&tests, &base_world, &base_world);
    both[1].dies_after = 20;
    let found = steer(&settings(), both);
    assert_eq!(found.comparison.decision, Decision::Error);
    assert_eq!(found.commands.last(), Some(&(Side::Base, Command::Finish)));

    let mut both = sides(&tests, &base_world, &base_world);
    both[0].dies_after = 20;
    let found = steer(&settings(), both);
    assert!(!found.comparison.decision.is_good(), "{:?}", found.comparison.decision);
    assert_eq!(found.commands.last(), Some(&(Side::Head, Command::Finish)));
}

#[test]
fn a_known_maximum_decides_by_its_boundaries() {
    let tests = [test("a", 200, None)];
    let settings = VerdictSettings { method: Method::GroupSequential, ..settings() };
    let worse = |cell: &CellKey| {
        other_bytes(cell, good(cell) - 0.1 + 0.02 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    let found = steer(&settings, sides(&tests, &base_world, &worse));
    assert_eq!(found.comparison.decision, Decision::Regressed);
    assert!(found.images() < 800);
    let same = |cell: &CellKey| {
        other_bytes(cell, good(cell) + 0.002 * (noise(&format!("h{cell:?}")) - 0.5))
    };
    let found = steer(&settings, sides(&tests, &base_world, &same));
    assert_eq!(found.comparison.decision, Decision::Pass, "{:#?}", found.comparison.tests);
}

#[test]
fn a_command_is_a_line_and_back() {
    let cells = cell::expand(&test("a\n\"b", 2, None)).unwrap();
    for command in [Command::Make { cells }, Command::Finish] {
        let line = command.to_line();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        assert_eq!(serde_json::from_str::<Command>(&line).unwrap(), command);
    }
}
