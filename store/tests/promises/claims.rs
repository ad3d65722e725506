use std::collections::HashSet;

use crate::databases::on_every_database;
use crate::pull_requests::{LONG, apply, check, commit, job, pull, push_steps};
use difftest_store::{CheckStatus, PlanStep};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_claimers_never_claim_one_job_twice() {
    on_every_database(async |db| {
        let head = commit('a');
        let mut steps = vec![PlanStep::UpsertPull(pull(&head, 1))];
        steps.extend((0..40).map(|n| check(&format!("rerun:{n}"), &head, job(&head, &[]))));
        apply(&db, "g", &steps).await;

        let mut claimers = tokio::task::JoinSet::new();
        for claimer in 0..8 {
            // Half of them in another process, as far as a database can tell.
            let store = if claimer % 2 == 0 { (*db).clone() } else { db.another_process().await };
            claimers.spawn(async move {
                let mut claimed = Vec::new();
                let name = format!("runner {claimer}");
                while let Some(claim) = store.claim_job(&name, &[], LONG).await.unwrap() {
                    assert_eq!(claim.attempt, 1);
                    claimed.push((claim.job, claim.lease_token.expose().to_owned()));
                }
                store
                    .claim_job(&name, &[], LONG)
                    .await
                    .map(|none| assert!(none.is_none()))
                    .unwrap();
                claimed
            });
        }
        let claimed: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len(), 40);
        assert_eq!(claimed.iter().map(|c| c.0).collect::<HashSet<_>>().len(), 40);
        assert_eq!(claimed.iter().map(|c| &c.1).collect::<HashSet<_>>().len(), 40);
    })
    .await;
}

#[tokio::test]
async fn a_job_goes_to_a_runner_with_all_of_its_labels() {
    on_every_database(async |db| {
        let steps = push_steps(&commit('a'), 1, &["gpu", "a,\"b\"_%"]);
        apply(&db, "g", &steps).await;
        let offered = async |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
            db.claim_job("r", &labels, LONG).await.unwrap()
        };
        assert!(offered(&[]).await.is_none());
        assert!(offered(&["gpu"]).await.is_none());
        assert!(offered(&["gpu", "a", "b", "a,\"b\"xx"]).await.is_none());
        let claim = offered(&["cpu", "a,\"b\"_%", "gpu"]).await.unwrap();
        assert_eq!(claim.spec.suite, "shapes");
    })
    .await;
}

#[tokio::test]
async fn a_claim_puts_the_check_in_progress_and_its_token_is_not_stored() {
    on_every_database(async |db| {
        let check = crate::pull_requests::push(&db, 'a', 1).await;
        crate::pull_requests::post_all(&db).await;
        let claim = crate::pull_requests::claim(&db).await;
        let stored = db.check(check).await.unwrap().unwrap();
        assert_eq!(stored.status, CheckStatus::InProgress);
        assert!(stored.started_at.unwrap() >= stored.created_at);
        assert_eq!(crate::pull_requests::post_all(&db).await.len(), 2);
        let kept = db.count("SELECT COUNT(*) FROM jobs WHERE length(lease_hash) = 64").await;
        assert_eq!(kept, 1);
        assert!(claim.lease_token.expose().len() >= 64);
        assert!(!format!("{claim:?}").contains(claim.lease_token.expose()));
    })
    .await;
}
