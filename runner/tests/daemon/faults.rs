use std::time::{Duration, Instant};

use difftest_core::protocol::{Completion, Sandbox};
use difftest_runner::daemon::RunnerError;

use crate::harness::{World, sandboxed};

const FOR_EVER: &str = "started; beat";

/// Fails when the job's process still lives.
async fn is_dead(world: &World) {
    let before = world.heartbeat();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.heartbeat(), before, "the job still runs");
}

async fn beats(world: &World) {
    for _ in 0..400 {
        if !world.heartbeat().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job never began: {:?}", world.app.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_refused_kills_the_job_and_says_nothing() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(FOR_EVER, "started; finished");
    let daemon = world.daemon(&["--once"]);
    beats(&world).await;
    world.app.story().lease_lost = true;
    let lost = Instant::now();
    daemon.ends().await;
    assert!(lost.elapsed() < Duration::from_secs(3), "{:?}", lost.elapsed());
    assert!(world.app.story().completions.is_empty());
    is_dead(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_falls_silent_loses_the_job_before_the_lease_ends() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(FOR_EVER, "started; finished");
    let daemon = world.daemon(&["--once"]);
    beats(&world).await;
    world.app.story().silent = true;
    tokio::time::sleep(Duration::from_millis(crate::app::LEASE_TTL_MS)).await;
    is_dead(&world).await;
    daemon.ends().await;
    assert!(world.app.story().completions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_daemon_keeps_its_lease() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer("started; beat & sleep 1; finished", "started; finished");
    let daemon = world.busy_daemon(Duration::from_millis(2 * crate::app::LEASE_TTL_MS));
    tokio::task::spawn_blocking(move || daemon.join().unwrap()).await.unwrap();
    let completions = world.app.story().completions.clone();
    assert!(matches!(completions[..], [Completion::Finished { .. }]), "{completions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_daemon_s_job_dies_with_its_lease() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(FOR_EVER, "started; finished");
    let daemon = world.busy_daemon(Duration::from_secs(5));
    beats(&world).await;
    world.app.story().lease_lost = true;
    tokio::time::sleep(Duration::from_millis(crate::app::LEASE_TTL_MS / 4 + 500)).await;
    is_dead(&world).await;
    assert!(!daemon.is_finished());
    tokio::task::spawn_blocking(move || daemon.join().unwrap()).await.unwrap();
    assert!(world.app.story().completions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_job_within_five_seconds() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(FOR_EVER, "started; finished");
    let daemon = world.daemon(&["--once"]);
    beats(&world).await;
    world.app.story().cancel = true;
    let asked = Instant::now();
    daemon.ends().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(world.app.story().completions, [Completion::Cancelled]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_long_is_stopped_and_keeps_what_it_said() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let mut spec = world.offer("trap '' TERM; started; image one; beat", "started; finished");
    spec.timeout_s = 2;
    world.app.offer(spec);
    world.daemon(&["--once"]).ends().await;
    let completions = world.app.story().completions.clone();
    assert!(matches!(completions[..], [Completion::TimedOut { .. }]), "{completions:?}");
    assert_eq!(world.app.log("base").len(), 2);
    assert_eq!(world.app.story().images.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_takes_its_job_along() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    world.offer(FOR_EVER, "started; finished");
    let path = std::env::var_os("PATH").unwrap();
    let mut daemon = world.daemon_process(&["--once"], path.as_ref());
    beats(&world).await;
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    is_dead(&world).await;
    assert!(world.app.story().completions.is_empty());

    // The next daemon in the same folder is not hindered by what was left.
    world.offer("started; finished", "started; finished");
    world.daemon(&["--once"]).ends().await;
    assert_eq!(world.app.story().completions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_not_what_their_names_say_are_not_sent() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let lies = r#"started
        picture one; cp "$OUT/images/$sha.png" "$OUT/keep"
        picture two; mv "$OUT/keep" "$OUT/images/$sha.png"; cell $sha
        linked=$(sha256sum /usr/bin/env | cut -c1-64); ln -s /usr/bin/env "$OUT/images/$linked.png"; cell $linked
        cell 0000000000000000000000000000000000000000000000000000000000000000
        finished"#;
    world.offer(lies, "started; image two; finished");
    world.daemon(&["--once"]).ends().await;
    let said = world.app.said("base");
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().any(|m| m.contains("another SHA-256 than its name")), "{said:?}");
    assert!(said.iter().any(|m| m.contains("symbolic links")), "{said:?}");
    // The head side's image of the same name is a true one.
    assert_eq!(world.app.story().images.len(), 1);
    let done = Completion::Finished { sandbox: Sandbox::Bubblewrap };
    assert_eq!(world.app.story().completions, [done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_eats_the_memory_is_stopped() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let eats = "started; awk 'BEGIN { s = \"0123456789\"; while (length(s) < 400000000) s = s s; while (1) ; }'";
    world.offer(eats, "started; finished");
    world.daemon(&["--once", "--memory=100"]).ends().await;
    let said = world.app.said("base");
    assert!(said[0].contains("of memory, more than this runner's limit of 100 MiB"), "{said:?}");
    assert_eq!(world.app.log("head").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fills_the_disk_is_stopped() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    // Many files: one alone meets the kernel's limit of a file's size.
    let fills = "started; i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > $OUT/$i; done";
    world.offer(fills, "started; mkdir $OUT/locked $OUT/locked/in; chmod 0 $OUT/locked; sleep 2");
    world.daemon(&["--once", "--output=20"]).ends().await;
    let said = world.app.said("base");
    assert!(said[0].contains("it wrote more than 20 MiB to its output folder"), "{said:?}");
    let left: Vec<_> = std::fs::read_dir(world.work_dir().join("jobs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_there_is_no_verdict() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let mut spec = world.offer("started; finished", "started; finished");
    spec.head = "0123456789012345678901234567890123456789".parse().unwrap();
    world.app.offer(spec);
    world.daemon(&["--once"]).ends().await;
    let completions = world.app.story().completions.clone();
    let [Completion::Infrastructure { reason }] = &completions[..] else {
        panic!("{completions:?}")
    };
    assert!(reason.contains("git fetch ended"), "{reason}");
    assert!(!reason.contains(crate::app::GIT_TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_ends_the_daemon() {
    if !sandboxed() {
        return;
    }
    let world = World::new().await;
    let error = world.daemon_with("wrong", &[]).task.await.unwrap().unwrap_err();
    assert!(matches!(error, RunnerError::App(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong"));
}
