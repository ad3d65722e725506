use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use difftest_core::protocol::{
    Appended, Claim, Completion, GitToken, JobId, Renewal, Sandbox, Secret, Side,
};
use difftest_store::JobState;

use crate::door::door;

const POST: Method = Method::POST;

fn finished() -> Vec<u8> {
    serde_json::to_vec(&Completion::Finished { sandbox: Sandbox::Bubblewrap }).unwrap()
}

#[tokio::test]
async fn a_job_from_its_first_renewal_to_its_end() {
    let door = door().await;
    let claim = door.leased().await;
    let renewed = door.call_job(&claim, POST, "renew", "").await;
    assert_eq!(renewed.status, StatusCode::OK);
    assert_eq!(renewed.json::<Renewal>(), Renewal { cancel: false, drain: false });
    door.store.drain_runner("gpu-1", true).await.unwrap();
    assert!(door.call_job(&claim, POST, "renew", "").await.json::<Renewal>().drain);

    let token: GitToken = door.call_job(&claim, POST, "git-token", "").await.json();
    assert_eq!(token.token.expose(), "ghs_99_acme/gen");

    let piece = |offset, bytes: &'static str| {
        let what = format!("events/head?offset={offset}");
        let (door, claim) = (&door, &claim);
        async move { door.call_job(claim, POST, &what, bytes).await }
    };
    assert_eq!(piece(0, "one\n").await.json::<Appended>().length, 4);
    assert_eq!(piece(2, "e\ntwo\n").await.json::<Appended>().length, 8);
    let gap = piece(99, "late\n").await;
    assert_eq!((gap.status, gap.json::<Appended>().length), (StatusCode::CONFLICT, 8));
    let log = door.store.read_events(claim.job, 1, Side::Head).await.unwrap();
    assert_eq!(log, "one\ntwo\n");

    for _ in 0..2 {
        let answer = door.call_job(&claim, POST, "complete", finished()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(door.store.job_state(claim.job).await.unwrap(), Some(JobState::Reported));
}

#[tokio::test]
async fn a_lost_lease_is_409_everywhere_and_changes_nothing() {
    let door = door().await;
    let claim = door.leased().await;
    door.lose(&claim).await;
    let forged = Claim { lease_token: Secret::new("forged"), ..claim.clone() };
    let unknown = Claim { job: JobId(4_711), ..claim.clone() };
    let image = format!("images/{}", difftest_core::ids::ImageSha::of(&crate::door::png(1, 1)));
    for claim in [&claim, &forged, &unknown] {
        let calls = [
            (POST, "renew", Vec::new()),
            (POST, "git-token", Vec::new()),
            (POST, "events/head?offset=0", b"late\n".to_vec()),
            (POST, "complete", finished()),
            (Method::PUT, image.as_str(), crate::door::png(1, 1).to_vec()),
        ];
        for (method, what, body) in calls {
            let answer = door.call_job(claim, method, what, body).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{what}");
            // Not to be taken for a gap in a log.
            assert!(serde_json::from_slice::<Appended>(&answer.body).is_err(), "{what}");
        }
    }
    assert_eq!(door.store.job_state(claim.job).await.unwrap(), Some(JobState::Queued));
    assert!(door.store.read_events(claim.job, 1, Side::Head).await.unwrap().is_empty());
}

#[tokio::test]
async fn github_that_gives_no_token_now_and_github_that_never_will_are_told_apart() {
    for (repository, status) in
        [("gone", StatusCode::FAILED_DEPENDENCY), ("busy", StatusCode::SERVICE_UNAVAILABLE)]
    {
        let door = door().await;
        door.queue(repository, &[]).await;
        let claim = door.store.claim_job("gpu-1", &[], 60_000).await.unwrap().unwrap();
        let answer = door.call_job(&claim, POST, "git-token", "").await;
        assert_eq!(answer.status, status);
        let retry = answer.headers.get("retry-after").map(|v| v.to_str().unwrap());
        assert_eq!(retry, (repository == "busy").then_some("7"));
    }
}

#[tokio::test]
async fn a_call_that_is_not_understood_says_so() {
    let door = door().await;
    let claim = door.leased().await;
    for (what, status) in [
        ("events/middle?offset=0", StatusCode::BAD_REQUEST),
        ("events/head", StatusCode::BAD_REQUEST),
        ("events/head?offset=-1", StatusCode::BAD_REQUEST),
        ("complete", StatusCode::BAD_REQUEST),
        ("explode", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(door.call_job(&claim, POST, what, "").await.status, status, "{what}");
    }
    let no_lease = door.call(POST, &format!("/api/v1/runner/jobs/{}/renew", claim.job), "").await;
    assert_eq!(no_lease.status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&no_lease.body).contains("x-difftest-lease"));

    let large = vec![b'x'; (32 << 20) + 1];
    let answer = door.call_job(&claim, POST, "events/head?offset=0", large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let line = vec![b'x'; 16 << 20];
    let answer = door.call_job(&claim, POST, "events/head?offset=0", line).await;
    assert_eq!(answer.status, StatusCode::OK, "the longest line that a runner sends is taken");
}

#[tokio::test]
async fn what_a_lease_may_do_its_token_alone_may_not() {
    let door = door().await;
    let claim = door.leased().await;
    let request = Request::post(format!("/api/v1/runner/jobs/{}/renew", claim.job))
        .header("x-difftest-lease", claim.lease_token.expose())
        .body(Body::empty())
        .unwrap();
    assert_eq!(door.send(request).await.status, StatusCode::UNAUTHORIZED);
}
