use difftest_core::protocol::{Completion, JobId, Secret, Side};
use difftest_core::report::check::Conclusion;
use difftest_store::{CheckStatus, JobState, MAX_ATTEMPTS, StoreError, Swept};

use crate::databases::{Fresh, on_every_database};
use crate::pull_requests::{FINISHED, claim, commit, conclusion, post_all, push};

const EXPIRE: &str = "UPDATE jobs SET lease_until = 1 WHERE state = 'leased'";

async fn expect_lost(db: &Fresh, job: JobId, lease: &Secret) {
    let lost = |result: Result<(), StoreError>| match result {
        Err(StoreError::LeaseLost { job: lost }) => assert_eq!(lost, job.0),
        other => panic!("the lease is lost, not {other:?}"),
    };
    lost(db.renew(job, lease, 1_000).await.map(drop));
    lost(db.append_events(job, lease, Side::Head, 0, b"late\n").await.map(drop));
    lost(db.leased_pull(job, lease).await.map(drop));
    lost(db.link_image(job, lease, &difftest_core::ids::ImageSha::of(b"")).await);
    lost(db.complete_job(job, lease, &FINISHED).await);
}

#[tokio::test]
async fn a_lease_that_is_renewed_outlives_the_sweep() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let claim = claim(&db).await;
        db.tamper(EXPIRE).await;
        // Late, but nobody took the job away: an App that was down costs no runner its work.
        db.renew(claim.job, &claim.lease_token, 60_000).await.unwrap();
        assert_eq!(db.sweep_leases().await.unwrap(), Swept::default());
        db.complete_job(claim.job, &claim.lease_token, &FINISHED).await.unwrap();
        assert_eq!(db.job_state(claim.job).await.unwrap(), Some(JobState::Reported));
    })
    .await;
}

#[tokio::test]
async fn a_lost_lease_changes_nothing() {
    on_every_database(async |db| {
        let check = push(&db, 'a', 1).await;
        let lost = claim(&db).await;
        db.append_events(lost.job, &lost.lease_token, Side::Head, 0, b"one\n").await.unwrap();
        db.tamper(EXPIRE).await;
        assert_eq!(db.sweep_leases().await.unwrap().requeued, 1);
        expect_lost(&db, lost.job, &lost.lease_token).await;

        let holder = claim(&db).await;
        assert_eq!((holder.job, holder.attempt), (lost.job, 2));
        expect_lost(&db, lost.job, &lost.lease_token).await;
        expect_lost(&db, lost.job, &Secret::new("forged")).await;
        expect_lost(&db, JobId(4_711), &holder.lease_token).await;

        // The second attempt's log is its own.
        assert_eq!(db.read_events(holder.job, 1, Side::Head).await.unwrap(), "one\n");
        assert_eq!(db.read_events(holder.job, 2, Side::Head).await.unwrap(), "");
        assert_eq!(db.job_state(holder.job).await.unwrap(), Some(JobState::Leased));
        assert_eq!(db.check(check).await.unwrap().unwrap().status, CheckStatus::InProgress);

        db.complete_job(holder.job, &holder.lease_token, &FINISHED).await.unwrap();
        expect_lost(&db, lost.job, &lost.lease_token).await;
    })
    .await;
}

#[tokio::test]
async fn a_completion_may_be_repeated_by_its_own_lease() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let claim = claim(&db).await;
        let complete =
            async |c: &Completion| db.complete_job(claim.job, &claim.lease_token, c).await;
        complete(&FINISHED).await.unwrap();
        complete(&FINISHED).await.unwrap();
        let finished = db.next_unjudged_job().await.unwrap().unwrap();
        db.finish_check(finished.check.id, &crate::pull_requests::passed()).await.unwrap();
        complete(&Completion::Infrastructure { reason: "late".into() }).await.unwrap();
        assert_eq!(db.job_state(claim.job).await.unwrap(), Some(JobState::Judged));
        // Only the completion: the lease itself is over.
        assert!(db.renew(claim.job, &claim.lease_token, 1_000).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_runners_are_lost_three_times_is_not_called_a_regression() {
    on_every_database(async |db| {
        let check = push(&db, 'a', 1).await;
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(conclusion(&db, check).await, None);
            assert_eq!(i64::from(claim(&db).await.attempt), attempt);
            post_all(&db).await;
            db.tamper(EXPIRE).await;
            let swept = db.sweep_leases().await.unwrap();
            assert_eq!((swept.requeued, swept.failed), if attempt < 3 { (1, 0) } else { (0, 1) });
        }
        assert_eq!(conclusion(&db, check).await, Some(Conclusion::Cancelled));
        assert_eq!(post_all(&db).await.len(), 2);
        assert!(db.claim_job("r", &[], 1_000).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_runner_that_says_it_cannot_gives_the_job_back_and_is_not_asked_at_once() {
    on_every_database(async |db| {
        let check = push(&db, 'a', 1).await;
        let broken = Completion::Infrastructure { reason: "the disk is <b>full</b>".into() };
        for _ in 1..MAX_ATTEMPTS {
            let claim = claim(&db).await;
            db.complete_job(claim.job, &claim.lease_token, &broken).await.unwrap();
            db.complete_job(claim.job, &claim.lease_token, &broken).await.unwrap();
            assert!(db.claim_job("r", &[], 1_000).await.unwrap().is_none(), "not at once");
            db.tamper("UPDATE jobs SET not_before = 0").await;
        }
        let last = claim(&db).await;
        db.complete_job(last.job, &last.lease_token, &broken).await.unwrap();
        assert_eq!(db.job_state(last.job).await.unwrap(), Some(JobState::Failed));
        let finding = db.check(check).await.unwrap().unwrap().finding.unwrap();
        assert_eq!(finding.conclusion, Conclusion::Cancelled);
        assert!(!format!("{finding:?}").contains("<b>"), "what a runner says is not markup");
    })
    .await;
}

#[tokio::test]
async fn a_runner_that_is_stopped_gives_its_job_back() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let first = claim(&db).await;
        let stopped = Completion::Cancelled;
        db.complete_job(first.job, &first.lease_token, &stopped).await.unwrap();
        assert_eq!(claim(&db).await.attempt, 2);
    })
    .await;
}

#[tokio::test]
async fn a_superseded_job_of_a_lost_runner_is_cancelled_not_retried() {
    on_every_database(async |db| {
        let old = push(&db, 'a', 1).await;
        let held = claim(&db).await;
        push(&db, 'b', 2).await;
        db.tamper(EXPIRE).await;
        assert_eq!(db.sweep_leases().await.unwrap().cancelled, 1);
        assert_eq!(db.job_state(held.job).await.unwrap(), Some(JobState::Cancelled));
        assert_eq!(conclusion(&db, old).await, Some(Conclusion::Cancelled));
        assert_eq!(claim(&db).await.spec.head, commit('b'));
    })
    .await;
}
