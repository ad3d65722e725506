//! A stream that goes on after its run had ended early.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use difftest_core::event::{CellKey, Environment, Event, ImageRef, RunStatus, SCHEMA, TestOutcome};
use difftest_core::ids::ImageSha;
use difftest_core::metric;
use difftest_core::result::Run;
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};

fn spec(name: &str, prompt: &str) -> TestSpec {
    TestSpec {
        id: TestId(format!("t.py::{name}")),
        place: Place { file: "t.py".into(), line: 1 },
        kind: TestKind::Quality {
            metrics: vec!["clip_score".into()],
            thresholds: Default::default(),
            reference_dir: None,
        },
        prompts: vec![prompt.into()],
        variables: Default::default(),
        combine: Combine::Product,
        negative_prompt: None,
        seeds: vec![1, 2],
        suite: None,
    }
}

fn started(tests: Vec<TestSpec>) -> Event {
    Event::RunStarted {
        schema: SCHEMA,
        run: "r".into(),
        model: "m".into(),
        generator: "g".into(),
        fingerprint: "f".into(),
        environment: Environment::default(),
        tests,
        metrics: metric::builtin(),
        cells: 4,
        recipe: Default::default(),
    }
}

fn cell(spec: &TestSpec, seed: i64) -> CellKey {
    CellKey { test: spec.id.clone(), prompt: spec.prompts[0].clone(), seed }
}

fn generated(cell: CellKey) -> Event {
    Event::CellGenerated {
        image: ImageRef {
            sha256: ImageSha::of(cell.prompt.as_bytes()),
            path: "images/x.png".into(),
            width: 1,
            height: 1,
        },
        cell,
        duration_ms: 1.0,
        cost_usd: None,
        retries: 0,
        cached: false,
    }
}

#[test]
fn images_and_scores_stay_and_what_failed_or_changed_is_open_again() {
    let (same, before) = (spec("same", "p"), spec("other", "q"));
    let after = spec("other", "changed");
    let failed = |cell| Event::CellFailed {
        cell,
        reason: "no".into(),
        trace: None,
        retries: 0,
        infra: false,
    };
    let scored = |cell| Event::CellScored { cell, metric: "clip_score".into(), value: 0.5 };
    let finished = |test: &TestSpec, outcome| Event::TestFinished {
        test: test.id.clone(),
        outcome,
        reasons: vec!["the run ended".into()],
        duration_ms: 0.0,
    };
    let mut events = vec![
        started(vec![same.clone(), before.clone()]),
        generated(cell(&same, 1)),
        scored(cell(&same, 1)),
        failed(cell(&same, 2)),
        generated(cell(&before, 1)),
        finished(&same, TestOutcome::Error),
        finished(&before, TestOutcome::NotRun),
        Event::RunFinished {
            status: RunStatus::Error,
            reason: Some("interrupted".into()),
            duration_ms: 1.0,
        },
        started(vec![same.clone(), after.clone()]),
    ];
    let run = Run::from_events(&events);
    let [first, second] = &run.tests[..] else { panic!("two tests") };
    assert_eq!(first.cells.len(), 1);
    assert_eq!(first.cells[&cell(&same, 1)].scores["clip_score"], 0.5);
    assert_eq!((first.outcome, second.outcome), (None, None));
    assert!(second.cells.is_empty(), "its prompts are other ones now");
    assert_eq!((run.cells_done, run.status), (1, None));

    events.extend([generated(cell(&same, 2)), generated(cell(&after, 1))]);
    assert_eq!(Run::from_events(&events).cells_done, 3);
}

#[test]
fn ten_thousand_tests_are_folded_in_one_go() {
    let tests: Vec<TestSpec> = (0..10_000).map(|n| spec(&format!("t{n}"), "p")).collect();
    let mut events = vec![started(tests.clone())];
    // Far from each other in turn: no hint at the last one helps.
    for n in 0..5_000 {
        events.push(generated(cell(&tests[n], 1)));
        events.push(generated(cell(&tests[9_999 - n], 1)));
    }
    let run = Run::from_events(&events);
    assert_eq!(run.cells_done, 10_000);
    assert!(run.tests.iter().all(|test| test.cells.len() == 1));
}
