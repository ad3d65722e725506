use std::time::{Duration, Instant};

use difftest_core::event::Event;
use difftest_core::protocol::{Completion, Sandbox};

use crate::harness::{World, sandboxed};

const BASE: &str = "started; image one; image two; image two; finished";
const HEAD: &str = r#"started; image one; image three; test "$REFERENCE" = /job/base && says "$(ls /job/base/images | wc -l)"; test -e head.txt && says head; finished; exit 1"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_job() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(BASE, HEAD);
    world.daemon(&["--once"]).ends().await;

    let done = Completion::Finished { sandbox: Sandbox::Bubblewrap };
    assert_eq!(world.app.story().completions, [done]);
    assert_eq!(world.app.story().images.len(), 3);
    assert_eq!(world.app.story().strangers, 0);
    assert!(world.app.story().renewals >= 1);
    assert_eq!(world.app.log("base").len(), 5);
    // The head side sees the base side's images, and its own files.
    assert_eq!(world.app.said("head"), ["2", "head"]);
    let left: Vec<_> = std::fs::read_dir(world.work_dir().join("jobs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_fetched_once() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let spec = world.offer("started; finished", "started; finished");
    world.daemon(&["--once"]).ends().await;
    world.app.offer(spec);
    world.app.story().events.clear();
    world.daemon(&["--once"]).ends().await;
    assert_eq!(world.app.story().git_tokens, 1);
    assert_eq!(world.app.story().completions.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_breaks_does_not_stop_the_head() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer("started; echo 'the model is gone' >&2; kill -SEGV $$", "started; finished");
    world.daemon(&["--once"]).ends().await;

    let done = Completion::Finished { sandbox: Sandbox::Bubblewrap };
    assert_eq!(world.app.story().completions, [done]);
    let said = world.app.said("base");
    assert!(said[0].contains("the model is gone"), "{said:?}");
    // Nothing is put into the job's mouth: its stream simply did not finish.
    let finished = |side| {
        let log = world.app.log(side);
        log.iter().any(|event| matches!(event, Event::RunFinished { .. }))
    };
    assert!(!finished("base"));
    assert!(finished("head"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_prints_does_not_spoil_the_stream() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer("started; echo hello; finished", "started; finished");
    world.daemon(&["--once"]).ends().await;
    assert_eq!(world.app.log("base").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_stumbles_gets_everything_once() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let many = "started; for i in 1 2 3 4 5 6; do image $i; sleep 0.15; done; finished";
    world.offer(many, many);
    {
        let mut story = world.app.story();
        story.lose_answers = 3;
        story.refuse_calls = 6;
    }
    world.daemon(&["--once"]).ends().await;
    assert_eq!(world.app.log("base").len(), 8);
    assert_eq!(world.app.log("head").len(), 8);
    assert_eq!(world.app.story().images.len(), 6);
    assert_eq!(world.app.story().completions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_events_go_up_while_the_job_runs() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer("started; image one; sleep 30; finished", "started; finished");
    let daemon = world.daemon(&["--once"]);
    world.app.until("an image", |story| story.images.len() == 1).await;
    world.app.until("an event", |story| story.events.contains_key("base")).await;
    assert!(world.app.story().completions.is_empty());
    world.app.story().cancel = true;
    daemon.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_app_gets_no_further_claim() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer("started; finished", "started; finished");
    world.app.story().drain = true;
    world.daemon(&[]).ends().await;
    assert_eq!(world.app.story().completions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_lets_the_job_finish_or_hands_it_back() {
    if !sandboxed() {
        return;
    }
    for (grace, finishes) in [("--grace=30", true), ("--grace=1", false)] {
        let world = World::new().await;
        world.offer("started; sleep 4; finished", "started; finished");
        let daemon = world.daemon(&[grace]);
        world.app.until("a start", |story| story.events.contains_key("base")).await;
        let asked = Instant::now();
        daemon.stop.cancel();
        daemon.ends().await;
        let completions = world.app.story().completions.clone();
        let finished = matches!(completions[..], [Completion::Finished { .. }]);
        assert_eq!(finished, finishes, "{completions:?}");
        if !finishes {
            assert!(matches!(completions[..], [Completion::Infrastructure { .. }]));
            assert!(asked.elapsed() < Duration::from_secs(4));
        }
    }
}
