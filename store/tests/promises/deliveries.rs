use difftest_store::Applied;

use crate::databases::on_every_database;
use crate::pull_requests::{commit, push_steps};

#[tokio::test]
async fn a_guid_is_stored_once_and_worked_on_by_one() {
    on_every_database(async |db| {
        assert!(db.record_delivery("g1", "pull_request", Some("opened"), "{}").await.unwrap());
        assert!(!db.record_delivery("g1", "pull_request", Some("opened"), "{}").await.unwrap());
        assert!(db.record_delivery("g2", "ping", None, r#"{"zen":"\u0000"}"#).await.unwrap());

        let first = db.next_delivery().await.unwrap().unwrap();
        assert_eq!((first.guid.as_str(), first.attempts), ("g1", 1));
        let second = db.next_delivery().await.unwrap().unwrap();
        assert_eq!((second.guid.as_str(), second.action), ("g2", None));
        assert_eq!(second.payload, r#"{"zen":"\u0000"}"#);
        assert!(db.next_delivery().await.unwrap().is_none(), "both are leased");

        db.ignore_delivery("g2", "nothing to do").await.unwrap();
        db.tamper("UPDATE deliveries SET lease_until = 0").await;
        let again = db.next_delivery().await.unwrap().unwrap();
        assert_eq!((again.guid.as_str(), again.attempts), ("g1", 2), "its worker died");
        assert!(db.next_delivery().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_failed_delivery_waits_or_is_given_up() {
    on_every_database(async |db| {
        db.record_delivery("g1", "pull_request", None, "{}").await.unwrap();
        db.next_delivery().await.unwrap().unwrap();
        db.fail_delivery("g1", "GitHub is away", Some(600_000)).await.unwrap();
        assert!(db.next_delivery().await.unwrap().is_none(), "not before its time");
        db.tamper("UPDATE deliveries SET not_before = 0").await;
        assert_eq!(db.next_delivery().await.unwrap().unwrap().attempts, 2);

        db.fail_delivery("g1", "not JSON", None).await.unwrap();
        db.fail_delivery("g1", "a slow worker's word comes too late", Some(0)).await.unwrap();
        assert!(db.next_delivery().await.unwrap().is_none(), "given up stays given up");
        let steps = push_steps(&commit('a'), 1, &[]);
        assert_eq!(db.apply_plan("g1", &steps).await.unwrap(), Applied::AlreadyDone);
        assert_eq!(db.count("SELECT COUNT(*) FROM checks").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_arrives_wakes_the_worker_that_was_busy() {
    on_every_database(async |db| {
        db.record_delivery("g1", "ping", None, "{}").await.unwrap();
        let woken = tokio::time::timeout(std::time::Duration::from_secs(5), db.hints().delivery());
        woken.await.unwrap();
    })
    .await;
}
