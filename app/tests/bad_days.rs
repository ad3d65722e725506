//! GitHub fails, answers get lost, the App is killed: people see one check run and one comment.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod harness;

use difftest_core::protocol::{Completion, Side};
use harness::{Kind, Start, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_done_but_never_answered_is_not_done_twice() {
    let Some(world) = World::start().await else { return };
    for path in ["/check-runs$", "/issues/[0-9]+/comments$"] {
        world.fault(json!({ "method": "POST", "path": path, "drop": "after" })).await;
    }
    world.fault(json!({ "method": "PATCH", "path": "/check-runs/", "drop": "after" })).await;
    let (number, head) = world.open("feature", json!({ "a.py": "1" })).await;
    world.check_becomes(&head, "queued", None).await;
    world.comment_says(number, "queued").await;
    let lease = world.claim().await;
    world.check_becomes(&head, "in_progress", None).await;
    // GitHub adds up annotations: the conclusion, lost on its way back, must not bring its own
    // a second time.
    world
        .fault(json!({ "method": "PATCH", "path": "/check-runs/", "times": 2, "drop": "after" }))
        .await;
    lease.upload(Side::Base, b"image", 0.9).await;
    lease.upload(Side::Head, b"image", 0.2).await;
    lease.finish().await;
    world.comment_says(number, "❌ failed").await;
    world.a_while().await;
    let run = world.check_becomes(&head, "completed", Some("failure")).await;
    assert_eq!(run["output"]["annotations"].as_array().unwrap().len(), 1);
    assert_eq!(world.checks(&head).await.len(), 1);
    assert_eq!(world.comments(number).await.len(), 1);
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_and_limits_are_waited_out() {
    let Some(world) = World::start().await else { return };
    world.fault(json!({ "path": "/pulls/", "status": 502, "times": 2 })).await;
    world.fault(json!({ "path": "/check-runs", "status": 503, "retry_after": 1 })).await;
    world
        .fault(json!({ "path": "/comments", "kind": "secondary-rate-limit", "retry_after": 2 }))
        .await;
    world.fault(json!({ "method": "POST", "path": "/comments$", "drop": "before" })).await;
    let (number, head) = world.open("feature", json!({ "a.py": "1" })).await;
    world.check_becomes(&head, "queued", None).await;
    world.comment_says(number, "queued").await;
    world.control("POST", "/tokens/expire", json!({})).await;
    world.run_job(b"image", b"image").await;
    world.check_becomes(&head, "completed", Some("success")).await;
    world.comment_says(number, "✅ pass").await;
    world.no_violations().await;
}

/// Whatever the App dies of, after its restart the pull request ends as if it had lived.
async fn survives(fault: &str, when: Dies) {
    for database in [Kind::Sqlite, Kind::Postgres] {
        let start = Start { fault: Some(fault), database, ..Start::default() };
        let Some(mut world) = World::start_with(start).await else { continue };
        let (number, head) = world.open("feature", json!({ "a.py": "1" })).await;
        if when == Dies::WithTheResult {
            world.run_job(b"image", b"image").await;
        }
        world.app_dies().await;
        world.start_app(Start { database, ..Start::default() }).await;
        if when == Dies::BeforeTheJob {
            world.run_job(b"image", b"image").await;
        }
        world.check_becomes(&head, "completed", Some("success")).await;
        world.comment_says(number, "✅ pass").await;
        world.a_while().await;
        assert_eq!(world.checks(&head).await.len(), 1);
        assert_eq!(world.comments(number).await.len(), 1);
        world.no_violations().await;
    }
}

#[derive(PartialEq, Eq)]
enum Dies {
    BeforeTheJob,
    WithTheResult,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_result_came_in() {
    survives("abort-before-judge", Dies::WithTheResult).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_comment() {
    survives("abort-before-comment", Dies::WithTheResult).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_comment_was_taken() {
    survives("abort-after-comment-before-commit", Dies::BeforeTheJob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_check_was_taken() {
    survives("abort-after-check-before-commit", Dies::BeforeTheJob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_keeps_its_job_while_the_app_is_away() {
    let Some(mut world) = World::start().await else { return };
    let (number, head) = world.open("feature", json!({ "a.py": "1" })).await;
    let claim = world.claim().await.claim;
    world.kill_app();
    world.start_app(Start::default()).await;
    let lease = world.resume(claim);
    assert!(lease.renew().await.is_some());
    lease.upload(Side::Base, b"image", 0.9).await;
    lease.upload(Side::Head, b"image", 0.9).await;
    lease.finish().await;
    world.check_becomes(&head, "completed", Some("success")).await;
    world.comment_says(number, "✅ pass").await;
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_failure_is_never_the_pull_requests() {
    let Some(world) = World::start().await else { return };
    let (number, head) = world.open("feature", json!({ "a.py": "1" })).await;
    let broken = Completion::Infrastructure { reason: "the disk is full".into() };
    for _ in 0..3 {
        world.claim().await.complete(&broken).await;
    }
    world.check_becomes(&head, "completed", Some("cancelled")).await;
    world.comment_says(number, "nothing about the pull request").await;
    world.no_violations().await;
}
