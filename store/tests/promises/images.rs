use bytes::Bytes;
use difftest_core::ids::ImageSha;
use difftest_store::StoreError;

use crate::databases::on_every_database;
use crate::pull_requests::{claim, push};

#[tokio::test]
async fn an_image_is_stored_under_the_hash_of_its_bytes_alone() {
    on_every_database(async |db| {
        let bytes = Bytes::from_static(b"not really a PNG");
        let sha = ImageSha::of(&bytes);
        assert!(db.get_image(&sha).await.unwrap().is_none());
        assert!(db.put_image(&sha, bytes.clone()).await.unwrap());
        assert!(!db.put_image(&sha, bytes.clone()).await.unwrap(), "it was there");
        assert_eq!(db.get_image(&sha).await.unwrap(), Some(bytes.clone()));

        let other = ImageSha::of(b"other");
        let wrong = db.put_image(&other, bytes).await;
        assert!(matches!(wrong, Err(StoreError::WrongHash { .. })), "{wrong:?}");
        assert!(db.get_image(&other).await.unwrap().is_none());

        push(&db, 'a', 1).await;
        let held = claim(&db).await;
        for _ in 0..2 {
            db.link_image(held.job, &held.lease_token, &sha).await.unwrap();
        }
        assert_eq!(db.job_images(held.job).await.unwrap(), std::slice::from_ref(&sha));
        let missing = db.link_image(held.job, &held.lease_token, &other).await;
        assert!(matches!(missing, Err(StoreError::Database(_))), "a link has its image");

        // A restart finds it again.
        assert!(db.another_process().await.get_image(&sha).await.unwrap().is_some());
    })
    .await;
}
