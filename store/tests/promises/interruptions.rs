//! A process may die anywhere. A future that is dropped after its n-th step is the same to the
//! database: its transaction never commits.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use difftest_core::protocol::{Completion, Side};
use difftest_store::{Applied, JobState};

use crate::databases::on_every_database;
use crate::pull_requests::{FINISHED, LONG, commit, passed, post_all, push, push_steps};

/// Runs a future and drops it when it has waited `steps` times. None if it was dropped.
async fn dropped_after<T>(steps: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut waited = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending if waited >= steps => std::task::Poll::Ready(None),
        std::task::Poll::Pending => {
            waited += 1;
            std::task::Poll::Pending
        }
    })
    .await
}

/// Tries a call again and again, each time letting it come one step further.
async fn until_done<T>(mut call: impl AsyncFnMut() -> T) -> (T, usize) {
    for steps in 0..500 {
        if let Some(value) = dropped_after(steps, call()).await {
            return (value, steps);
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn the_main_job_interrupted_at_every_step_ends_as_if_it_never_was() {
    on_every_database(async |db| {
        let steps = push_steps(&commit('a'), 1, &[]);
        until_done(async || db.record_delivery("g", "pull_request", None, "{}").await.unwrap())
            .await;
        let mut halves = 0;
        let (applied, dropped) = until_done(async || {
            // One statement, one moment: check, job, two wishes, the delivery.
            let written = db
                .count(
                    "SELECT (SELECT COUNT(*) FROM checks) * 1000
                         + (SELECT COUNT(*) FROM jobs) * 100
                         + (SELECT COUNT(*) FROM outbox) * 10
                         + (SELECT COUNT(*) FROM deliveries WHERE state = 'done')",
                )
                .await;
            if ![0, 1121].contains(&written) {
                halves += 1;
            }
            db.apply_plan("g", &steps).await.unwrap()
        })
        .await;
        assert!(dropped > 5, "it was interrupted {dropped} times");
        assert_eq!(halves, 0);
        // The last interruption may have come after the commit, before the answer.
        assert!(matches!(applied, Applied::Started(_) | Applied::AlreadyDone), "{applied:?}");
        assert_eq!(db.count("SELECT COUNT(*) FROM jobs").await, 1);

        let (mut claim, _) = until_done(async || db.claim_job("r", &[], LONG).await.unwrap()).await;
        let begun = Instant::now();
        while claim.is_none() {
            // A claim whose answer was lost holds the job until its lease ends. One that was rolled
            // back holds its row until the database has heard of it.
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody gets the job");
            db.tamper("UPDATE jobs SET state = 'queued', attempt = 0").await;
            claim = db.claim_job("r", &[], LONG).await.unwrap();
        }
        let claim = claim.unwrap();
        let (job, lease) = (claim.job, &claim.lease_token);
        until_done(async || {
            db.append_events(job, lease, Side::Head, 0, b"one\ntwo\n").await.unwrap()
        })
        .await;
        assert_eq!(db.read_events(job, claim.attempt, Side::Head).await.unwrap(), "one\ntwo\n");
        until_done(async || db.complete_job(job, lease, &FINISHED).await.unwrap()).await;
        assert_eq!(db.job_state(job).await.unwrap(), Some(JobState::Reported));

        let check = db.latest_checks(crate::pull_requests::PULL).await.unwrap()[0].id;
        post_all(&db).await;
        until_done(async || db.finish_check(check, &passed()).await.unwrap()).await;
        assert_eq!(db.check(check).await.unwrap().unwrap().finding, Some(passed()));
        assert_eq!(post_all(&db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_store_whose_callers_vanish_still_works() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let held = crate::pull_requests::claim(&db).await;
        let infrastructure = Completion::Infrastructure { reason: "x".into() };
        for steps in 0..12 {
            let complete = db.complete_job(held.job, &held.lease_token, &infrastructure);
            let _ = dropped_after(steps % 4, complete).await;
            let _ = dropped_after(steps % 5, db.next_effect()).await;
            let _ = dropped_after(steps % 3, db.sweep_leases()).await;
        }
        assert!(db.record_delivery("after", "ping", None, "{}").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_app_had_taken_is_free_for_the_next_at_once() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let held = crate::pull_requests::claim(&db).await;
        db.complete_job(held.job, &held.lease_token, &FINISHED).await.unwrap();
        db.record_delivery("g", "ping", None, "{}").await.unwrap();
        let taken = async || {
            (
                db.next_delivery().await.unwrap().is_some(),
                db.next_unjudged_job().await.unwrap().is_some(),
                crate::pull_requests::due(&db).await.len(),
            )
        };
        assert_eq!(taken().await, (true, true, 2));
        assert_eq!(taken().await, (false, false, 0), "all of it is leased");
        db.take_over().await.unwrap();
        assert_eq!(taken().await, (true, true, 2));

        // A runner goes on while the App is away.
        push(&db, 'b', 2).await;
        let held = crate::pull_requests::claim(&db).await;
        db.take_over().await.unwrap();
        assert_eq!(db.sweep_leases().await.unwrap(), difftest_store::Swept::default());
        db.complete_job(held.job, &held.lease_token, &FINISHED).await.unwrap();
    })
    .await;
}
