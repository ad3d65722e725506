//! The life of a pull request: what people do on GitHub, and what they then see there.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod harness;

use difftest_core::protocol::{Completion, Side};
use harness::{CONFIG, REPO, Start, World};
use serde_json::{Value, json};

fn change() -> Value {
    json!({ "pipeline.py": "# changed\n" })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_pull_request_is_queued_run_and_concluded_with_one_comment() {
    let Some(world) = World::start().await else { return };
    let (number, head) = world.open("refactor", change()).await;

    let queued = world.check_becomes(&head, "queued", None).await;
    assert_eq!(queued["name"], "difftest / shapes");
    world.comment_says(number, "queued").await;

    let lease = world.claim().await;
    assert_eq!(lease.claim.spec.suite, "shapes");
    assert_eq!(lease.claim.spec.head.as_str(), head);
    assert!(!lease.renew().await.unwrap().cancel);
    world.check_becomes(&head, "in_progress", None).await;

    lease.upload(Side::Base, b"image", 0.9).await;
    lease.upload(Side::Head, b"image", 0.9).await;
    lease.finish().await;
    // Repeated: nothing changes.
    lease.finish().await;
    world.check_becomes(&head, "completed", Some("success")).await;
    world.comment_says(number, "✅ pass").await;
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_threshold_fails_with_an_annotation_on_the_tests_line() {
    let Some(world) = World::start().await else { return };
    let (number, head) = world.open("worse", change()).await;
    let lease = world.claim().await;
    lease.upload(Side::Base, b"image", 0.9).await;
    lease.upload(Side::Head, b"other image", 0.2).await;
    lease.finish().await;
    let run = world.check_becomes(&head, "completed", Some("failure")).await;
    let annotation = &run["output"]["annotations"][0];
    assert_eq!(annotation["path"], "tests/test_a.py", "{run:#}");
    assert_eq!(annotation["start_line"], 1);
    assert_eq!(run["output"]["annotations"].as_array().unwrap().len(), 1);
    let comment = world.comment_says(number, "❌ failed").await;
    assert!(comment.contains("https://difftest.example/"), "no images in {comment}");
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_twice_or_in_the_wrong_order_is_done_once() {
    let Some(world) = World::start().await else { return };
    world.control("POST", "/webhooks", json!({ "mode": "hold" })).await;
    let (number, first) = world.open("feature", change()).await;
    let second = world.push("feature", json!({ "pipeline.py": "# again\n" })).await;
    world.control("POST", "/webhooks", json!({ "mode": "deliver", "reversed": true })).await;
    world.check_becomes(&second, "queued", None).await;

    let deliveries = world.control("GET", "/deliveries?event=pull_request", Value::Null).await;
    for delivery in deliveries.as_array().unwrap() {
        for new_guid in [false, true] {
            let path = format!("/deliveries/{}/redeliver", delivery["id"]);
            world.control("POST", &path, json!({ "new_guid": new_guid })).await;
        }
    }
    world.run_job(b"image", b"image").await;
    world.check_becomes(&second, "completed", Some("success")).await;
    world.comment_says(number, "✅ pass").await;
    world.a_while().await;
    world.check_becomes(&second, "completed", Some("success")).await;
    assert_eq!(world.checks(&first).await, Vec::<Value>::new());
    assert!(world.try_claim().await.is_none());
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_cancels_what_it_supersedes() {
    let Some(world) = World::start().await else { return };
    let (number, first) = world.open("feature", change()).await;
    let lease = world.claim().await;
    lease.renew().await.unwrap();
    let second = world.push("feature", json!({ "pipeline.py": "# again\n" })).await;
    world.check_becomes(&first, "completed", Some("cancelled")).await;
    world.check_becomes(&second, "queued", None).await;
    // The runner learns of it, and a result it sends all the same changes nothing.
    assert!(lease.renew().await.unwrap().cancel);
    lease.complete(&Completion::Cancelled).await;
    world.run_job(b"image", b"image").await;
    world.check_becomes(&second, "completed", Some("success")).await;
    world.check_becomes(&first, "completed", Some("cancelled")).await;
    world.comment_says(number, &second[..7]).await;
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn difftest_run_is_for_those_who_may_write() {
    let Some(world) = World::start().await else { return };
    let (number, head) = world.open("feature", change()).await;
    world.run_job(b"image", b"image").await;
    world.check_becomes(&head, "completed", Some("success")).await;

    let strange = world.say(number, "stranger", "/difftest run").await;
    world.reacted(strange, "confused").await;
    let quoted = world.say(number, "writer", "> /difftest run\n\nwhat does this do?").await;
    let mistaken = world.say(number, "writer", "/difftest rnu").await;
    world.reacted(mistaken, "confused").await;
    world.a_while().await;
    assert_eq!(world.checks(&head).await.len(), 1);
    let replies: Vec<Value> = world
        .comments(number)
        .await
        .into_iter()
        .filter(|comment| comment["body"].as_str().unwrap().contains("did you mean"))
        .collect();
    assert_eq!(replies.len(), 1, "{replies:#?}");

    let asked = world.say(number, "writer", "Once more:\n\n/difftest run\n").await;
    world.reacted(asked, "eyes").await;
    assert_eq!(world.reactions(quoted).await, Vec::<String>::new());
    world.run_job(b"image", b"image").await;
    world
        .until("second check run, concluded", async || match world.checks(&head).await.as_slice() {
            [_, second] if second["conclusion"] == "success" => Ok(()),
            other => Err(json!(other).to_string()),
        })
        .await;
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_can_be_run_again_from_githubs_page() {
    let Some(world) = World::start().await else { return };
    let (_, head) = world.open("feature", change()).await;
    world.run_job(b"image", b"image").await;
    let first = world.check_becomes(&head, "completed", Some("success")).await;
    let path = format!("/check-runs/{}/rerequest", first["id"]);
    for _ in 0..2 {
        world.control("POST", &path, json!({ "repo": REPO, "as": "writer" })).await;
    }
    world.run_job(b"image", b"image").await;
    world.a_while().await;
    // A completed run cannot be opened again: a fresh one stands beside it, and only one.
    let checks = world.checks(&head).await;
    assert_eq!(checks.len(), 2, "{checks:#?}");
    assert!(checks.iter().all(|run| run["conclusion"] == "success"), "{checks:#?}");
    assert!(world.try_claim().await.is_none());
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_can_be_run_again_at_once() {
    let Some(world) = World::start().await else { return };
    let two = json!({ "difftest.toml": format!("{CONFIG}[suites.faces]\n") });
    let (_, head) = world.open("feature", two).await;
    for _ in 0..2 {
        world.run_job(b"image", b"image").await;
    }
    world.concluded(&head, 2).await;
    let suite = world.check_suite(&head).await;
    let path = format!("/check-suites/{suite}/rerequest");
    world.control("POST", &path, json!({ "repo": REPO, "as": "writer" })).await;
    for _ in 0..2 {
        world.run_job(b"image", b"image").await;
    }
    world.concluded(&head, 4).await;
    assert!(world.try_claim().await.is_none());
    world.no_violations().await;
}

/// The log may be read by more people than the secrets.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_however_much_is_logged() {
    let Some(world) = World::start_with(Start { log: Some("trace"), ..Start::default() }).await
    else {
        return;
    };
    let (number, head) = world.open("feature", change()).await;
    let lease = world.claim().await;
    let token = lease.git_token().await;
    lease.upload(Side::Base, b"image", 0.9).await;
    lease.upload(Side::Head, b"other image", 0.9).await;
    lease.finish().await;
    world.check_becomes(&head, "completed", Some("neutral")).await;
    let comment = world.comment_says(number, "inconclusive").await;
    let (_, after) = comment.split_once("sig=").unwrap_or_else(|| panic!("no link in {comment}"));
    let signature = &after[..64];
    let image = comment.split(['"', '&']).find(|part| part.contains("/images/")).unwrap();
    let path = image.split_once("example").unwrap().1;
    let _ = world.http.get(format!("{}{path}&sig={signature}", world.app_url)).send().await;

    let (log, secrets) = world.log_and_secrets();
    assert!(log.contains("judged"), "{} bytes of log", log.len());
    let lease = lease.claim.lease_token.expose().to_owned();
    for secret in secrets.iter().chain([&lease, &token, &signature.to_owned()]) {
        assert!(!log.contains(secret.as_str()), "the log has {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_shown_on_its_line() {
    let Some(world) = World::start().await else { return };
    let broken = json!({ "difftest.toml": CONFIG.replace("labels", "lables") });
    let (number, head) = world.open("typo", broken).await;
    let run = world.check_becomes(&head, "completed", Some("failure")).await;
    assert_eq!(run["name"], "difftest");
    assert_eq!(run["output"]["annotations"][0]["path"], "difftest.toml");
    assert_eq!(run["output"]["annotations"][0]["start_line"], 3);
    world.comment_says(number, "did you mean").await;
    assert!(world.try_claim().await.is_none());
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_waits_and_a_forks_code_does_not_run() {
    let Some(world) = World::start().await else { return };
    world.push("draft", change()).await;
    let draft =
        json!({ "repo": REPO, "as": "writer", "title": "d", "head": "draft", "draft": true });
    let draft = world.control("POST", "/pulls", draft).await;
    let head = draft["head_sha"].as_str().unwrap();
    world.a_while().await;
    assert_eq!(world.checks(head).await, Vec::<Value>::new());
    let ready = json!({ "repo": REPO, "as": "writer", "action": "ready_for_review" });
    world.control("POST", &format!("/pulls/{}/change", draft["number"]), ready).await;
    world.check_becomes(head, "queued", None).await;
    world.run_job(b"image", b"image").await;

    let fork = json!({ "repo": REPO, "as": "stranger" });
    let fork = world.control("POST", "/forks", fork).await["repo"].as_str().unwrap().to_owned();
    let push = json!({ "repo": fork, "as": "stranger", "branch": "gift", "files": change() });
    world.control("POST", "/push", push).await;
    let pull = json!({ "repo": REPO, "as": "stranger", "title": "g", "head": "stranger:gift" });
    let pull = world.control("POST", "/pulls", pull).await;
    let gift = pull["head_sha"].as_str().unwrap();
    let run = world.check_becomes(gift, "completed", Some("action_required")).await;
    assert_eq!(run["name"], "difftest / shapes");
    assert!(world.try_claim().await.is_none());
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_a_person_deleted_stays_deleted() {
    let Some(world) = World::start().await else { return };
    let (number, head) = world.open("feature", change()).await;
    world.comment_says(number, "queued").await;
    let comment = world.comments(number).await.remove(0);
    let path = format!("/comments/{}", comment["id"]);
    world.control("DELETE", &path, json!({ "repo": REPO, "as": "maintainer" })).await;
    world.run_job(b"image", b"image").await;
    world.check_becomes(&head, "completed", Some("success")).await;
    world.a_while().await;
    assert_eq!(world.comments(number).await, Vec::<Value>::new());
    world.no_violations().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_event_is_accepted_or_ignored() {
    let Some(world) = World::start().await else { return };
    if let Err(said) = world.replay() {
        panic!("{said}");
    }
}
