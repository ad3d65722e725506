use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use difftest_core::protocol::{Claim, ClaimRequest};

use crate::door::door;

const CLAIM: &str = "/api/v1/runner/claim";

fn request(labels: &[&str], wait_ms: u64) -> Vec<u8> {
    let labels = labels.iter().map(|l| (*l).to_owned()).collect();
    serde_json::to_vec(&ClaimRequest { runner: "gpu-1".into(), labels, wait_ms }).unwrap()
}

#[tokio::test]
async fn without_a_known_token_nothing_is_answered() {
    let door = door().await;
    door.queue("gen", &[]).await;
    for authorization in [None, Some("Bearer wrong"), Some("Basic Z3B1OjE="), Some("Bearer")] {
        for path in [CLAIM, "/api/v1/runner/jobs/1/renew", "/api/v1/runner/jobs/1/complete"] {
            let mut call = Request::post(path).header("content-type", "application/json");
            if let Some(value) = authorization {
                call = call.header("authorization", value);
            }
            let answer = door.send(call.body(Body::from(request(&[], 0))).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization:?} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    door.store.remove_runner_token("gpu-1").await.unwrap();
    let answer = door.call(Method::POST, CLAIM, request(&[], 0)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "a removed token is no token");
}

#[tokio::test]
async fn a_job_is_given_to_a_runner_with_its_labels() {
    let door = door().await;
    door.queue("gen", &["gpu"]).await;
    let answer = door.call(Method::POST, CLAIM, request(&["cpu"], 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let answer = door.call(Method::POST, CLAIM, request(&["gpu", "cpu"], 0)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let claim: Claim = answer.json();
    assert_eq!((claim.attempt, claim.lease_ttl_ms), (1, 60_000));
    assert_eq!(claim.spec.suite, "shapes");
    let answer = door.call(Method::POST, CLAIM, request(&["gpu"], 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_call_that_waits_is_answered_when_a_job_comes() {
    let door = door().await;
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(door.call(Method::POST, CLAIM, request(&[], 30_000)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        door.queue("gen", &[]).await;
    });
    assert_eq!(answer.status, StatusCode::OK);
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_call_that_waits_ends_when_its_time_is_over_or_the_app_stops() {
    let door = door().await;
    let begun = Instant::now();
    let answer = door.call(Method::POST, CLAIM, request(&[], 200)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(begun.elapsed() >= Duration::from_millis(200));

    let (answer, ()) = tokio::join!(door.call(Method::POST, CLAIM, request(&[], 60_000)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        door.stop.cancel();
    });
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_draining_runner_gets_no_job() {
    let door = door().await;
    door.queue("gen", &[]).await;
    door.store.drain_runner("gpu-1", true).await.unwrap();
    let answer = door.call(Method::POST, CLAIM, request(&[], 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    door.store.drain_runner("gpu-1", false).await.unwrap();
    let answer = door.call(Method::POST, CLAIM, request(&[], 0)).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_claim_that_is_no_claim_is_refused() {
    let door = door().await;
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (body, status) in [
        (b"{".to_vec(), StatusCode::BAD_REQUEST),
        (b"{}".to_vec(), StatusCode::UNPROCESSABLE_ENTITY),
        (request(&many, 0), StatusCode::BAD_REQUEST),
        (request(&[&"x".repeat(100_000)], 0), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(door.call(Method::POST, CLAIM, body).await.status, status);
    }
}
