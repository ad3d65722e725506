//! Both sides of a job at once, in turns.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use difftest_core::compare::compare;
use difftest_core::config::VerdictSettings;
use difftest_core::event::{Event, RunStatus};
use difftest_core::protocol::{Completion, JobSpec, Sandbox};
use difftest_core::result::Run;
use difftest_core::verdict::Decision;

use crate::harness::{World, sandboxed};
use crate::real_engine::two_shades;

/// 160 pairs, of which a clear loss needs few.
const TESTS: &str = r#"
import difftest

@difftest.metric("brightness", range=(0.0, 1.0))
def brightness(array):
    return float(array.mean()) / 255

@difftest.test(
    prompts=["a {color} {thing}"],
    variables={"color": [f"c{n}" for n in range(8)], "thing": [f"t{n}" for n in range(10)]},
    metrics=["brightness"],
    seeds=[1, 2],
)
def test_brightness():
    pass
"#;

fn in_turns(spec: JobSpec) -> JobSpec {
    JobSpec { verdict: VerdictSettings::default(), ..spec }
}

fn done() -> [Completion; 1] {
    [Completion::Finished { sandbox: Sandbox::Bubblewrap }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_as_soon_as_its_verdict_stands() {
    let Some((world, base, head)) = two_shades(TESTS).await else { return };
    world.app.offer(in_turns(world.spec(base, head)));
    world.daemon(&["--once"]).ends().await;

    assert_eq!(world.app.story().completions, done());
    let run = |side| Run::from_events(&world.app.log(side));
    let (base, head) = (run("base"), run("head"));
    assert_eq!((base.status, head.status), (Some(RunStatus::Passed), Some(RunStatus::Passed)));
    let cells = |run: &Run| run.tests[0].cells.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(cells(&base), cells(&head), "every image has its partner");
    assert!(base.cells_done < 160, "{} of 160", base.cells_done);
    assert!(head.rounds.len() > 1);
    // The App judges for itself, and says the same.
    let verdict = compare(Some(&base), &head, &VerdictSettings::default());
    assert_eq!(verdict.decision, Decision::Regressed, "{verdict:#?}");
}

/// Reads commands for ever, and says which.
const WAITS: &str = "started; echo '{\"event\":\"round_finished\",\"round\":0}'; \
    while read -r line; do case $line in *finish*) says told; finished; exit 0;; esac; done";

fn says_told(events: &[Event]) -> bool {
    events.iter().any(|e| matches!(e, Event::Log { message, .. } if message == "told"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_dies_leaves_the_other_not_waiting() {
    if !sandboxed() {
        return;
    }
    for (base, head, left) in [("started; exit 3", WAITS, "head"), (WAITS, "exit 3", "base")] {
        let world = World::new().await;
        let spec = world.offer(base, head);
        world.app.offer(in_turns(spec));
        let asked = Instant::now();
        world.daemon(&["--once"]).ends().await;
        assert!(asked.elapsed() < Duration::from_secs(20), "{left}: {:?}", asked.elapsed());
        assert_eq!(world.app.story().completions, done(), "{left}");
        assert!(says_told(&world.app.log(left)), "{left}: {:#?}", world.app.log(left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_both_sides() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let for_ever = "trap '' TERM; started; beat";
    let spec = world.offer(for_ever, for_ever);
    world.app.offer(in_turns(spec));
    let daemon = world.daemon(&["--once"]);
    let beat = |side: &str| {
        let file = world.work_dir().join(format!("jobs/7-1/out-{side}/heartbeat"));
        std::fs::read_to_string(file).unwrap_or_default()
    };
    let waited = Instant::now();
    while beat("base").is_empty() || beat("head").is_empty() {
        assert!(waited.elapsed() < Duration::from_secs(30), "both sides run at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.app.story().cancel = true;
    let asked = Instant::now();
    daemon.ends().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(world.app.story().completions, [Completion::Cancelled]);
    assert!(!world.work_dir().join("jobs/7-1").exists(), "nothing of it is left to write");
}

/// A head that says it is ready without end never makes the base work without end: the job's
/// limit of time holds, and what it said is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_talks_without_end_is_stopped_by_the_jobs_limit() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let chatter = "started; n=0; while :; do n=$((n+1)); \
        echo \"{\\\"event\\\":\\\"round_finished\\\",\\\"round\\\":$n}\"; sleep 0.05; done";
    let mut spec = in_turns(world.offer("started; sleep 100", chatter));
    spec.timeout_s = 2;
    world.app.offer(spec);
    world.daemon(&["--once"]).ends().await;
    let completions = world.app.story().completions.clone();
    assert!(matches!(completions[..], [Completion::TimedOut { .. }]), "{completions:?}");
    assert!(world.app.log("head").len() > 5);
}
