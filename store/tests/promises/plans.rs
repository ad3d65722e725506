use difftest_core::ids::CommitSha;
use difftest_core::report::check::Conclusion;
use difftest_store::{Applied, CheckStatus, JobState, PlanStep, Work};

use crate::databases::on_every_database;
use crate::pull_requests::{
    FINISHED, PULL, apply, check, claim, commit, conclusion, job, passed, post_all, pull, push,
    push_steps,
};

#[tokio::test]
async fn a_push_starts_a_check_and_a_job_and_says_so() {
    on_every_database(async |db| {
        let id = push(&db, 'a', 1).await;
        let stored = db.check(id).await.unwrap().unwrap();
        assert_eq!(stored.status, CheckStatus::Queued);
        assert_eq!((stored.head, stored.base), (commit('a'), commit('0')));
        assert_eq!(stored.finding, None);
        assert_eq!(db.pull(PULL).await.unwrap().unwrap().pull, pull(&commit('a'), 1));
        assert_eq!(post_all(&db).await, [format!("check:{id}"), "comment:7:12".into()]);
        assert_eq!(claim(&db).await.spec.head, commit('a'));
    })
    .await;
}

#[tokio::test]
async fn one_cause_under_two_guids_starts_one_check() {
    on_every_database(async |db| {
        let id = push(&db, 'a', 1).await;
        post_all(&db).await;
        let again = apply(&db, "another", &push_steps(&commit('a'), 1, &[])).await;
        assert_eq!(again, Applied::Started(vec![]));
        assert_eq!(post_all(&db).await, Vec::<String>::new(), "nothing changed, nothing to say");
        assert_eq!(db.count("SELECT COUNT(*) FROM jobs").await, 1);
        assert_eq!(db.apply_plan("another", &[]).await.unwrap(), Applied::AlreadyDone);
        assert_eq!(conclusion(&db, id).await, None, "the same head supersedes nothing");
    })
    .await;
}

#[tokio::test]
async fn one_cause_planned_by_eight_workers_at_once_starts_one_check() {
    on_every_database(async |db| {
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..8 {
            let store = (*db).clone();
            workers.spawn(async move {
                let steps = push_steps(&commit('a'), 1, &[]);
                apply(&store, &format!("g{worker}"), &steps).await
            });
        }
        let applied = workers.join_all().await;
        let started = applied.iter().filter(|a| **a != Applied::Started(vec![])).count();
        assert_eq!(started, 1, "{applied:?}");
        assert_eq!(db.count("SELECT COUNT(*) FROM jobs").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_push_ends_what_went_before_in_every_state() {
    on_every_database(async |db| {
        let reported = push(&db, 'a', 1).await;
        let first = claim(&db).await;
        db.complete_job(first.job, &first.lease_token, &FINISHED).await.unwrap();

        // Three checks of one head: its result is in, a runner has it, it waits.
        let head = commit('a');
        let rerun = |key: &str| check(key, &head, job(&head, &[]));
        let Applied::Started(leased) = apply(&db, "r1", &[rerun("rerun:1")]).await else {
            panic!("a re-run starts");
        };
        let held = claim(&db).await;
        let Applied::Started(queued) = apply(&db, "r2", &[rerun("rerun:2")]).await else {
            panic!("a re-run starts");
        };
        post_all(&db).await;

        let newest = push(&db, 'b', 2).await;
        for old in [reported, leased[0], queued[0]] {
            assert_eq!(conclusion(&db, old).await, Some(Conclusion::Cancelled));
        }
        let posted = post_all(&db).await;
        assert_eq!(posted.len(), 5, "four check runs and the comment: {posted:?}");

        assert!(db.next_unjudged_job().await.unwrap().is_none());
        let next = claim(&db).await;
        assert_eq!(next.spec.head, commit('b'), "the queued job of the old head is not run");
        assert!(db.renew(held.job, &held.lease_token, 1_000).await.unwrap().cancel);
        assert!(!db.renew(next.job, &next.lease_token, 1_000).await.unwrap().cancel);
        db.complete_job(held.job, &held.lease_token, &FINISHED).await.unwrap();
        assert_eq!(db.job_state(held.job).await.unwrap(), Some(JobState::Cancelled));
        assert!(db.next_unjudged_job().await.unwrap().is_none(), "its result is not judged");
        assert_eq!(conclusion(&db, newest).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_was_overtaken_changes_nothing() {
    on_every_database(async |db| {
        let newer = push(&db, 'b', 20).await;
        post_all(&db).await;
        let late = apply(&db, "late", &push_steps(&commit('a'), 10, &[])).await;
        assert_eq!(late, Applied::Outdated);
        assert_eq!(db.pull(PULL).await.unwrap().unwrap().pull.head_sha, commit('b'));
        assert_eq!(conclusion(&db, newer).await, None, "the newer push keeps its check");
        assert_eq!(post_all(&db).await, Vec::<String>::new());
        assert!(db.next_delivery().await.unwrap().is_none(), "the late delivery is finished");
    })
    .await;
}

#[tokio::test]
async fn a_check_with_nothing_to_run_is_concluded_at_once() {
    on_every_database(async |db| {
        let head: CommitSha = commit('a');
        let steps = [
            PlanStep::UpsertPull(pull(&head, 1)),
            check("push:config", &head, Work::Concluded(passed())),
        ];
        let Applied::Started(checks) = apply(&db, "g", &steps).await else {
            panic!("it starts");
        };
        let stored = db.check(checks[0]).await.unwrap().unwrap();
        assert_eq!(stored.status, CheckStatus::Completed);
        assert_eq!(stored.finding, Some(passed()));
        assert!(db.claim_job("r", &[], 1_000).await.unwrap().is_none());
        assert_eq!(post_all(&db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_comment_shows_the_newest_check_of_each_suite_at_the_head() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let second = push(&db, 'b', 2).await;
        let head = commit('b');
        let again = check("rerun:2", &head, job(&head, &[]));
        let Applied::Started(rerun) = apply(&db, "r", &[again]).await else {
            panic!("a re-run starts");
        };
        assert!(rerun[0] > second);
        let shown = db.latest_checks(PULL).await.unwrap();
        assert_eq!(shown.iter().map(|c| c.id).collect::<Vec<_>>(), rerun);

        db.set_check_github_id(second, 555).await.unwrap();
        let found = db.check_by_github_id(555).await.unwrap().unwrap();
        assert_eq!(found.id, second);
        assert!(db.check_by_github_id(556).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_comment_that_a_person_deleted_stays_deleted() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        db.set_comment_id(PULL, 42).await.unwrap();
        assert_eq!(db.pull(PULL).await.unwrap().unwrap().comment_id, Some(42));
        db.set_comment_deleted(PULL).await.unwrap();
        push(&db, 'b', 2).await;
        let stored = db.pull(PULL).await.unwrap().unwrap();
        assert_eq!((stored.comment_id, stored.comment_deleted), (None, true));
    })
    .await;
}
