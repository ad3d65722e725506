use difftest_store::{CheckId, EffectKey};

use crate::databases::on_every_database;
use crate::pull_requests::{PULL, claim, due, post_all, push};

const COMMENT: EffectKey = EffectKey::Comment(PULL);

#[tokio::test]
async fn changes_before_a_post_are_one_post() {
    on_every_database(async |db| {
        for _ in 0..5 {
            db.want(COMMENT).await.unwrap();
        }
        assert_eq!(post_all(&db).await, ["comment:7:12"]);
        assert_eq!(post_all(&db).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_change_while_a_post_is_under_way_is_posted_after_it() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let under_way = due(&db).await;
        assert_eq!(under_way.len(), 2);
        claim(&db).await; // queued → in progress
        assert!(db.next_effect().await.unwrap().is_none(), "no second post beside the first");
        for effect in &under_way {
            db.effect_done(effect).await.unwrap();
        }
        assert_eq!(post_all(&db).await.len(), 2, "the change is not lost");
        assert!(db.next_effect().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_failed_post_waits_and_a_new_change_does_not() {
    on_every_database(async |db| {
        db.want(COMMENT).await.unwrap();
        let first = db.next_effect().await.unwrap().unwrap();
        assert_eq!((first.key, first.attempts), (COMMENT, 1));
        db.effect_failed(&first, "502", Some(600_000)).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_none());
        db.tamper("UPDATE outbox SET not_before = 0").await;
        let second = db.next_effect().await.unwrap().unwrap();
        assert_eq!(second.attempts, 2);
        db.effect_failed(&second, "502", Some(600_000)).await.unwrap();

        db.want(COMMENT).await.unwrap();
        let third = db.next_effect().await.unwrap().unwrap();
        assert_eq!(third.attempts, 1);
        db.effect_done(&third).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_post_given_up_comes_back_with_the_next_change_only() {
    on_every_database(async |db| {
        db.want(COMMENT).await.unwrap();
        let effect = db.next_effect().await.unwrap().unwrap();
        db.want(COMMENT).await.unwrap();
        db.effect_failed(&effect, "the installation is gone", None).await.unwrap();
        let later = db.next_effect().await.unwrap().unwrap();
        db.effect_failed(&later, "the installation is gone", None).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_none());
        db.want(COMMENT).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_poster_that_died_is_replaced_and_cannot_undo_its_successor() {
    on_every_database(async |db| {
        db.want(COMMENT).await.unwrap();
        let slow = db.next_effect().await.unwrap().unwrap();
        db.tamper("UPDATE outbox SET lease_until = 1").await;
        db.want(COMMENT).await.unwrap();
        let successor = db.next_effect().await.unwrap().unwrap();
        db.effect_done(&slow).await.unwrap();
        db.effect_failed(&slow, "late", Some(0)).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_none(), "the successor still has it");
        db.effect_done(&successor).await.unwrap();
        db.effect_done(&slow).await.unwrap();
        assert!(db.next_effect().await.unwrap().is_none(), "what is done stays done");
    })
    .await;
}

#[test]
fn a_key_is_read_back_as_it_was_written() {
    for key in [COMMENT, EffectKey::Check(CheckId(3))] {
        assert_eq!(key.to_string().parse::<EffectKey>().unwrap(), key);
    }
    for bad in ["", "check", "check:x", "comment:7", "job:1"] {
        assert!(bad.parse::<EffectKey>().is_err(), "{bad}");
    }
    assert_eq!(CheckId::from_external_id(&CheckId(31).external_id()), Some(CheckId(31)));
    assert_eq!(CheckId::from_external_id("another-app-31"), None);
}
