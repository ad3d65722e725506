use difftest_core::protocol::{Appended, Side};
use difftest_store::StoreError;

use crate::databases::on_every_database;
use crate::pull_requests::{claim, push};

#[tokio::test]
async fn a_log_grows_by_what_is_new_and_has_no_holes() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let claim = claim(&db).await;
        let append = async |side, offset, bytes: &[u8]| {
            db.append_events(claim.job, &claim.lease_token, side, offset, bytes).await
        };
        assert_eq!(append(Side::Head, 0, b"one\ntw").await.unwrap(), Appended { length: 6 });
        // The answer was lost: the runner sends it again, with more.
        assert_eq!(append(Side::Head, 4, b"two\n").await.unwrap(), Appended { length: 8 });
        assert_eq!(append(Side::Head, 0, b"one\n").await.unwrap(), Appended { length: 8 });
        assert_eq!(append(Side::Head, 8, b"").await.unwrap(), Appended { length: 8 });
        match append(Side::Head, 9, b"three\n").await {
            Err(StoreError::EventGap { length }) => assert_eq!(length, 8),
            other => panic!("a hole must be refused, not {other:?}"),
        }
        assert_eq!(append(Side::Base, 0, b"base\xff\0\n").await.unwrap(), Appended { length: 7 });
        assert_eq!(db.read_events(claim.job, 1, Side::Head).await.unwrap(), "one\ntwo\n");
        assert_eq!(&db.read_events(claim.job, 1, Side::Base).await.unwrap()[..], b"base\xff\0\n");
    })
    .await;
}

#[tokio::test]
async fn two_senders_of_one_log_leave_one_log() {
    on_every_database(async |db| {
        push(&db, 'a', 1).await;
        let claim = claim(&db).await;
        let log: Vec<u8> = (0..200u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let mut senders = tokio::task::JoinSet::new();
        for step in [7, 31, 64, 200] {
            let (store, claim, log) = ((*db).clone(), claim.clone(), log.clone());
            senders.spawn(async move {
                let mut offset = 0;
                while offset < log.len() {
                    let piece = &log[offset..log.len().min(offset + step)];
                    let appended = store
                        .append_events(
                            claim.job,
                            &claim.lease_token,
                            Side::Head,
                            offset as u64,
                            piece,
                        )
                        .await
                        .unwrap();
                    offset = appended.length as usize;
                }
            });
        }
        senders.join_all().await;
        assert_eq!(&db.read_events(claim.job, 1, Side::Head).await.unwrap()[..], &log[..]);
    })
    .await;
}
