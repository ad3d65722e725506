//! From two event streams to the verdict and the reports, as the App does it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::BTreeMap;

use difftest_core::compare::{Comparison, compare};
use difftest_core::config::VerdictSettings;
use difftest_core::event::{
    CellKey, Environment, Event, ImageRef, RunStatus, SCHEMA, TestOutcome, read_stream,
};
use difftest_core::ids::{CommitSha, ImageSha};
use difftest_core::metric;
use difftest_core::protocol::Sandbox;
use difftest_core::report::check::{self, Conclusion};
use difftest_core::report::comment::{CommentInput, MARKER, SuiteSection, SuiteState, render};
use difftest_core::report::{MAX_CHECK_TEXT, MAX_COMMENT};
use difftest_core::result::Run;
use difftest_core::suite::{CollectionError, Combine, Place, TestId, TestKind, TestSpec};
use difftest_core::verdict::Decision;

/// One image: what its bytes are, and its score.
type Cell = (String, f64);

fn quality(name: &str, threshold: Option<f64>) -> TestSpec {
    TestSpec {
        id: TestId(format!("tests/test_shapes.py::{name}")),
        place: Place { file: "tests/test_shapes.py".into(), line: 7 },
        kind: TestKind::Quality {
            metrics: vec!["clip_score".into()],
            thresholds: threshold.map(|t| ("clip_score".to_owned(), t)).into_iter().collect(),
            reference_dir: None,
        },
        prompts: Vec::new(),
        variables: BTreeMap::new(),
        combine: Combine::Product,
        negative_prompt: None,
        seeds: vec![1, 2],
        suite: None,
    }
}

fn visual(name: &str) -> TestSpec {
    TestSpec {
        kind: TestKind::VisualRegression {
            baseline_dir: "baselines/".into(),
            ssim_threshold: 0.85,
        },
        ..quality(name, None)
    }
}

/// A run of one test over `prompts`, each cell made by `cell(prompt index, seed)`.
fn run(
    spec: &TestSpec,
    prompts: &[String],
    outcome: TestOutcome,
    cell: impl Fn(usize, i64) -> Cell,
) -> Run {
    let metric = spec.metrics()[0].clone();
    let mut events = vec![Event::RunStarted {
        schema: SCHEMA,
        run: "r".into(),
        model: "shapes".into(),
        generator: "onnx".into(),
        fingerprint: "f".into(),
        environment: Environment {
            device: "cpu".into(),
            threads: 1,
            batch_size: 8,
            versions: BTreeMap::new(),
        },
        tests: vec![spec.clone()],
        metrics: metric::builtin(),
        cells: (prompts.len() * 2) as u64,
        recipe: Default::default(),
    }];
    for (index, prompt) in prompts.iter().enumerate() {
        for seed in [1, 2] {
            let (bytes, score) = cell(index, seed);
            let key = CellKey { test: spec.id.clone(), prompt: prompt.clone(), seed };
            let sha256 = ImageSha::of(bytes.as_bytes());
            let path = format!("images/{sha256}.png");
            let image = ImageRef { sha256, path, width: 32, height: 32 };
            events.push(Event::CellGenerated {
                cell: key.clone(),
                image,
                duration_ms: 10.0,
                cost_usd: None,
                retries: 0,
                cached: false,
            });
            events.push(Event::CellScored { cell: key, metric: metric.clone(), value: score });
        }
    }
    let reasons = Vec::new();
    events.push(Event::TestFinished { test: spec.id.clone(), outcome, reasons, duration_ms: 1.0 });
    events.push(Event::RunFinished {
        status: RunStatus::Passed,
        reason: None,
        duration_ms: 1500.0,
    });
    // Through the lines, as every stream goes.
    let lines: String = events.iter().map(|e| e.to_line() + "\n").collect();
    Run::from_events(&read_stream(lines.as_bytes()).unwrap())
}

fn prompts(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("a small red circle , place {i} , on a white background")).collect()
}

fn score(i: usize, seed: i64) -> f64 {
    0.8 + 0.01 * ((i * 7 + seed as usize * 3) % 5) as f64
}

fn good(i: usize, seed: i64) -> Cell {
    (format!("{i} {seed}"), score(i, seed))
}

fn worse(i: usize, seed: i64) -> Cell {
    (format!("worse {i} {seed}"), score(i, seed) - 0.3 - 0.02 * (i % 3) as f64)
}

fn verdict(base: Option<&Run>, head: &Run) -> Comparison {
    compare(base, head, &VerdictSettings::default())
}

#[test]
fn identical_images_pass() {
    let (spec, prompts) = (quality("test_a", Some(0.5)), prompts(3));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let found = verdict(Some(&base), &base);
    assert_eq!(found.decision, Decision::Pass);
    assert_eq!(found.tests[0].sentences[0], "all 6 images are byte-identical to the base's");
    assert_eq!(check::conclusion(&found), Conclusion::Success);
}

#[test]
fn a_loss_beyond_the_margin_is_a_regression_although_the_threshold_holds() {
    let (spec, prompts) = (quality("test_a", Some(0.1)), prompts(48));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head = run(&spec, &prompts, TestOutcome::Passed, worse);
    let found = verdict(Some(&base), &head);
    assert_eq!(found.decision, Decision::Regressed, "{found:#?}");
    assert_eq!(check::title(&found), "Regressed: 1 of 1 test");
    let gain = verdict(Some(&head), &base);
    assert_eq!(
        gain.decision,
        Decision::Inconclusive,
        "48 prompts rule out no ruined one: {gain:#?}"
    );
}

#[test]
fn other_images_of_equal_worth_pass_where_there_are_enough_of_them() {
    let (spec, prompts) = (quality("test_a", Some(0.5)), prompts(160));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head = run(&spec, &prompts, TestOutcome::Passed, |i, s| {
        (format!("other {i} {s}"), score(i, s) + 0.001 * ((i * 3) % 7) as f64 - 0.003)
    });
    let found = verdict(Some(&base), &head);
    assert_eq!(found.decision, Decision::Pass, "{found:#?}");
    let better = run(&spec, &prompts, TestOutcome::Passed, |i, s| {
        (format!("better {i} {s}"), score(i, s) + 0.1 + 0.01 * (i % 3) as f64)
    });
    let found = verdict(Some(&base), &better);
    assert_eq!(found.decision, Decision::Improved, "{found:#?}");
    assert_eq!(check::title(&found), "Improved: 1 of 1 test");
    assert_eq!(check::conclusion(&found), Conclusion::Success);
    assert_eq!(verdict(Some(&better), &base).decision, Decision::Regressed);
}

/// The cells of a run whose images all failed with this event's fault.
fn failing(spec: &TestSpec, prompts: &[String], infra: bool) -> Run {
    let mut run = run(spec, prompts, TestOutcome::Error, good);
    for prompt in prompts {
        let cell = CellKey { test: spec.id.clone(), prompt: prompt.clone(), seed: 1 };
        let reason = "the service answered 503".to_owned();
        run.apply(&Event::CellFailed { cell, reason, trace: None, retries: 4, infra });
    }
    let reasons = vec![format!("{} of {} images: the service answered 503", prompts.len(), 24)];
    let (test, outcome) = (spec.id.clone(), TestOutcome::Error);
    run.apply(&Event::TestFinished { test, outcome, reasons, duration_ms: 1.0 });
    run
}

#[test]
fn a_machines_failure_says_nothing_of_the_change() {
    let (spec, prompts) = (quality("test_a", None), prompts(12));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let found = verdict(Some(&base), &failing(&spec, &prompts, true));
    assert_eq!(found.decision, Decision::Infra, "{found:#?}");
    assert_eq!(check::conclusion(&found), Conclusion::Cancelled);
    let sentence = &found.tests[0].sentences[0];
    assert!(sentence.contains("not by any fault of the change"), "{sentence}");
    let found = verdict(Some(&base), &failing(&spec, &prompts, false));
    assert_eq!(found.decision, Decision::Error);
}

#[test]
fn runs_that_share_no_seeds_or_sizes_are_compared_without_pairs() {
    let (spec, prompts) = (quality("test_a", None), prompts(160));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let worse = run(&spec, &prompts, TestOutcome::Passed, worse);
    let resized = |run: &Run| {
        let mut run = run.clone();
        run.recipe.width = Some(768);
        run
    };
    let found = verdict(Some(&base), &resized(&worse));
    assert_eq!(found.decision, Decision::Regressed, "{found:#?}");
    let found = verdict(Some(&base), &resized(&base));
    // Equal bytes are equal whatever was asked for.
    assert_eq!(found.decision, Decision::Pass);
    let other = run(&spec, &prompts, TestOutcome::Passed, |i, s| {
        (format!("o {i} {s}"), score(i, s) - 0.02)
    });
    let found = verdict(Some(&base), &resized(&other));
    assert_eq!(found.decision, Decision::Inconclusive, "{found:#?}");
    let sentence = &found.tests[0].sentences[0];
    assert!(sentence.contains("without pairs") && sentence.contains("sizes differ"), "{sentence}");
}

#[test]
fn a_distance_without_a_threshold_is_a_change_and_not_a_loss() {
    let mut spec = quality("test_a", None);
    spec.kind = TestKind::Quality {
        metrics: vec!["ssim".into()],
        thresholds: BTreeMap::new(),
        reference_dir: None,
    };
    let prompts = prompts(160);
    let base = run(&spec, &prompts, TestOutcome::Passed, |i, s| (format!("{i} {s}"), 1.0));
    let of = |ssim: f64| {
        run(&spec, &prompts, TestOutcome::Passed, move |i, s| {
            (format!("head {i} {s}"), ssim - 0.002 * ((i * 3 + s as usize) % 5) as f64)
        })
    };
    let found = verdict(Some(&base), &of(0.7));
    assert_eq!(found.decision, Decision::Changed, "{found:#?}");
    assert!(found.tests[0].sentences[0].contains("not yet worse"), "{found:#?}");
    assert_eq!(verdict(Some(&base), &of(0.999)).decision, Decision::Pass);
}

#[test]
fn another_test_never_turns_a_regression_into_a_pass() {
    let (spec, prompts) = (quality("test_a", None), prompts(48));
    let together = |cell: fn(usize, i64) -> Cell, others: usize| {
        let mut whole = run(&spec, &prompts, TestOutcome::Passed, cell);
        for number in 0..others {
            let other = quality(&format!("other_{number}"), None);
            let run = run(&other, &prompts, TestOutcome::Passed, good);
            whole.tests.extend(run.tests);
        }
        whole
    };
    let slight: fn(usize, i64) -> Cell =
        |i, s| (format!("s {i} {s}"), score(i, s) - 0.03 - 0.01 * ((i * 5) % 7) as f64);
    let mut seen = Vec::new();
    for others in [0, 5, 50, 500] {
        let found = verdict(Some(&together(good, others)), &together(slight, others));
        let metric = &found.tests[0].metrics[0];
        assert!(!metric.decision.is_good(), "{others} others: {metric:#?}");
        seen.push((metric.decision, metric.paired.as_ref().unwrap().ln_e));
    }
    assert_eq!(seen[0].0, Decision::Regressed);
    // Whether it stands is e-BH's to say, and nothing else: ln(K/α).
    for ((decision, ln_e), claims) in seen.iter().zip([1.0, 6.0, 51.0, 501.0_f64]) {
        assert_eq!(*decision == Decision::Regressed, *ln_e >= (claims / 0.05).ln(), "{ln_e}");
    }
}

#[test]
fn other_images_of_equal_worth_are_inconclusive_where_there_are_few() {
    let (spec, prompts) = (quality("test_a", Some(0.5)), prompts(24));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head =
        run(&spec, &prompts, TestOutcome::Passed, |i, s| (format!("other {i} {s}"), score(i, s)));
    let found = verdict(Some(&base), &head);
    assert_eq!(found.decision, Decision::Inconclusive);
    assert_eq!(check::conclusion(&found), Conclusion::Neutral);
}

#[test]
fn a_missed_threshold_fails_even_where_nothing_changed() {
    let (spec, prompts) = (quality("test_a", Some(0.95)), prompts(12));
    let base = run(&spec, &prompts, TestOutcome::Failed, good);
    assert_eq!(verdict(Some(&base), &base).decision, Decision::Failed);
}

#[test]
fn one_ruined_image_changes_a_visual_regression() {
    let (spec, prompts) = (visual("test_v"), prompts(24));
    let base = run(&spec, &prompts, TestOutcome::Passed, |i, s| (format!("{i} {s}"), 1.0));
    let head = run(&spec, &prompts, TestOutcome::Failed, |i, s| match (i, s) {
        (5, 2) => ("ruined".into(), 0.2),
        _ => (format!("{i} {s}"), 1.0),
    });
    let found = verdict(Some(&base), &head);
    assert_eq!(found.decision, Decision::Changed, "different, and a person says whether worse");
    assert_eq!(check::conclusion(&found), Conclusion::Failure);
    assert_eq!(found.tests[0].changed.len(), 1);
    let fine = run(&spec, &prompts, TestOutcome::Passed, |i, s| (format!("b {i} {s}"), 0.99));
    assert_eq!(
        verdict(Some(&base), &fine).decision,
        Decision::Pass,
        "its threshold is all it asks"
    );
}

#[test]
fn an_unfinished_or_unreadable_head_never_passes() {
    let (spec, prompts) = (quality("test_a", Some(0.5)), prompts(12));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);

    let mut dead = base.clone();
    dead.status = None;
    assert_eq!(verdict(Some(&base), &dead).decision, Decision::Error);

    let mut unreadable = base.clone();
    unreadable.collection_errors.push(CollectionError {
        place: Place { file: "tests/test_b.py".into(), line: 3 },
        message: "invalid syntax".into(),
    });
    let found = verdict(Some(&base), &unreadable);
    assert_eq!(found.decision, Decision::Error);
    assert_eq!(check::title(&found), "tests/test_b.py:3 cannot run");

    let empty = Run { status: Some(RunStatus::Error), ..Run::default() };
    assert_eq!(verdict(Some(&base), &empty).decision, Decision::Error);
    assert_eq!(verdict(None, &Run::default()).decision, Decision::Error);

    let mut failed_cell = base.clone();
    let cell = failed_cell.tests[0].cells.values_mut().next().unwrap();
    (cell.image, cell.failure) = (None, Some("out of memory".into()));
    assert_eq!(verdict(Some(&base), &failed_cell).decision, Decision::Error);
}

#[test]
fn a_test_that_lost_prompts_is_not_identical() {
    let (spec, all) = (quality("test_a", Some(0.5)), prompts(12));
    let base = run(&spec, &all, TestOutcome::Passed, good);
    let head = run(&spec, &all[..11], TestOutcome::Passed, good);
    assert_eq!(verdict(Some(&base), &head).decision, Decision::Inconclusive);
}

fn comment_of(comparison: Comparison) -> String {
    let sha = |c: char| CommitSha::try_from(c.to_string().repeat(40)).unwrap();
    let state =
        SuiteState::Judged { comparison: Box::new(comparison), sandbox: Sandbox::Bubblewrap };
    let suites = vec![SuiteSection { name: "shapes".into(), base: sha('b'), state }];
    render(&CommentInput { head: sha('a'), suites }, &|sha| {
        format!("https://ci.example/images/{}.png", &sha.as_str()[..8])
    })
}

#[test]
fn the_comment_of_a_regression() {
    let (spec, prompts) = (quality("test_a", Some(0.1)), prompts(40));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head = run(&spec, &prompts, TestOutcome::Passed, worse);
    let found = verdict(Some(&base), &head);
    insta::assert_snapshot!(comment_of(found.clone()));
    insta::assert_json_snapshot!(check::output(&found, Sandbox::None, &|_| {
        "https://ci.example/i.png".into()
    }));
}

#[test]
fn hostile_names_stay_inside_their_cells() {
    let hostile =
        "</code></details><script>alert(1)</script> | x | [a](javascript:x) @maintainer ``` \n# h";
    let mut spec = quality(hostile, Some(0.1));
    spec.place.file = hostile.into();
    let prompts: Vec<String> = (0..12).map(|i| format!("{hostile} {i}")).collect();
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head = run(&spec, &prompts, TestOutcome::Passed, worse);
    let text = comment_of(verdict(Some(&base), &head));
    for part in ["<script", "javascript:", "@maintainer", "```", "\n# h", "| x |"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.matches("</details>").count(), 1);
}

#[test]
fn a_huge_suite_stays_within_githubs_limits() {
    let prompts: Vec<String> =
        (0..30).map(|i| format!("{} {i}", "|long prompt|".repeat(40))).collect();
    let spec = quality("test_a", Some(0.1));
    let base = run(&spec, &prompts, TestOutcome::Passed, good);
    let head = run(&spec, &prompts, TestOutcome::Passed, worse);
    let one = verdict(Some(&base), &head);
    let mut many = one.clone();
    many.tests = (0..3_000).map(|_| one.tests[0].clone()).collect();
    let text = comment_of(many.clone());
    assert!(text.len() <= MAX_COMMENT && text.starts_with(MARKER), "{}", text.len());
    assert!(text.contains("more tests"));
    let output = check::output(&many, Sandbox::Bubblewrap, &|_| "https://ci.example/i.png".into());
    assert!(output.summary.len() <= MAX_CHECK_TEXT && output.text.unwrap().len() <= MAX_CHECK_TEXT);
}

#[test]
fn a_batch_metric_shows_both_sides_and_holds_its_threshold() {
    let prompts = [String::from("p")];
    let mut spec = quality("fid_test", None);
    let id = spec.id.clone();
    if let TestKind::Quality { metrics, thresholds, .. } = &mut spec.kind {
        *metrics = vec!["fid".into()];
        thresholds.insert("fid".into(), 30.0);
    }
    let of = |value: f64| {
        let mut run =
            run(&spec, &prompts, TestOutcome::Passed, |i, seed| (format!("{i}{seed}{value}"), 0.0));
        for cell in run.tests[0].cells.values_mut() {
            cell.scores.clear();
        }
        let score = difftest_core::event::BatchScore {
            value,
            samples: 2,
            note: None,
            replicates: Vec::new(),
        };
        run.apply(&Event::BatchScored { test: id.clone(), metric: "fid".into(), score });
        run
    };
    let compared = compare(Some(&of(20.0)), &of(25.0), &VerdictSettings::default());
    let metric = &compared.tests[0].metrics[0];
    assert_eq!((metric.base.as_ref().unwrap().mean, metric.head.mean), (20.0, 25.0));
    assert_eq!(metric.decision, Decision::Pass);
    let worse = compare(Some(&of(20.0)), &of(31.0), &VerdictSettings::default());
    assert_eq!(worse.tests[0].metrics[0].decision, Decision::Failed);
}
