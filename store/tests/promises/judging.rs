use difftest_core::protocol::{Completion, Side};
use difftest_core::report::check::Conclusion;
use difftest_store::{CheckStatus, Finding, JobState, Said};

use crate::databases::on_every_database;
use crate::pull_requests::{FINISHED, PULL, claim, conclusion, passed, post_all, push};

#[tokio::test]
async fn a_result_is_judged_once_and_said() {
    on_every_database(async |db| {
        let check = push(&db, 'a', 1).await;
        let held = claim(&db).await;
        db.append_events(held.job, &held.lease_token, Side::Head, 0, b"{}\n").await.unwrap();
        assert!(db.next_unjudged_job().await.unwrap().is_none());
        db.complete_job(held.job, &held.lease_token, &FINISHED).await.unwrap();
        post_all(&db).await;

        let finished = db.next_unjudged_job().await.unwrap().unwrap();
        assert_eq!((finished.job, finished.attempt), (held.job, 1));
        assert_eq!((finished.check.id, finished.check.pull), (check, PULL));
        assert_eq!((finished.completion, finished.judge_attempts), (FINISHED, 1));
        assert_eq!(finished.spec, held.spec);
        assert!(db.next_unjudged_job().await.unwrap().is_none(), "one judge at a time");

        // The judge died before its finding was written: another takes the result up.
        db.tamper("UPDATE jobs SET judge_until = 1").await;
        let again = db.next_unjudged_job().await.unwrap().unwrap();
        assert_eq!(again.judge_attempts, 2);
        assert!(db.finish_check(check, &passed()).await.unwrap());
        let other = Finding { conclusion: Conclusion::Failure, said: Said::note("No", "no") };
        assert!(!db.finish_check(check, &other).await.unwrap(), "the first finding stands");

        let stored = db.check(check).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.finding), (CheckStatus::Completed, Some(passed())));
        assert_eq!(db.job_state(held.job).await.unwrap(), Some(JobState::Judged));
        assert_eq!(post_all(&db).await, [format!("check:{check}"), "comment:7:12".into()]);
        assert!(db.next_unjudged_job().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_job_that_ran_out_of_time_is_judged_too() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let held = claim(&db).await;
        let late = Completion::TimedOut { reason: "60 s passed".into() };
        db.complete_job(held.job, &held.lease_token, &late).await.unwrap();
        assert_eq!(db.next_unjudged_job().await.unwrap().unwrap().completion, late);
    })
    .await;
}

#[tokio::test]
async fn a_push_while_a_result_is_judged_wins() {
    on_every_database(async |db| {
        let check = push(&db, 'a', 1).await;
        let held = claim(&db).await;
        db.complete_job(held.job, &held.lease_token, &FINISHED).await.unwrap();
        let judged = db.next_unjudged_job().await.unwrap().unwrap();
        push(&db, 'b', 2).await;
        assert!(!db.finish_check(judged.check.id, &passed()).await.unwrap());
        assert_eq!(conclusion(&db, check).await, Some(Conclusion::Cancelled));
        assert_eq!(db.job_state(held.job).await.unwrap(), Some(JobState::Cancelled));
    })
    .await;
}
