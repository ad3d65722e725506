use difftest_core::protocol::Secret;
use difftest_store::StoreError;

use crate::databases::on_every_database;

#[tokio::test]
async fn a_token_is_shown_once_and_ends_when_it_is_removed() {
    on_every_database(async |db| {
        let token = db.add_runner_token("gpu-1").await.unwrap();
        assert_eq!(db.check_runner_token(&token).await.unwrap().unwrap().name, "gpu-1");
        assert!(db.check_runner_token(&Secret::new("dtr_guess")).await.unwrap().is_none());
        let twice = db.add_runner_token("gpu-1").await;
        assert!(matches!(twice, Err(StoreError::RunnerExists { .. })), "{twice:?}");
        assert_eq!(
            db.count("SELECT COUNT(*) FROM runner_tokens WHERE length(token_hash) = 64").await,
            1
        );

        assert!(db.drain_runner("gpu-1", true).await.unwrap());
        assert!(db.check_runner_token(&token).await.unwrap().unwrap().draining);
        assert!(!db.drain_runner("nobody", true).await.unwrap());

        let chosen = Secret::new("chosen by the deployment");
        db.set_runner_token("gpu-1", &chosen).await.unwrap();
        db.set_runner_token("gpu-1", &chosen).await.unwrap();
        assert!(db.check_runner_token(&token).await.unwrap().is_none());
        assert!(db.check_runner_token(&chosen).await.unwrap().is_some());

        assert!(db.remove_runner_token("gpu-1").await.unwrap());
        assert!(db.check_runner_token(&chosen).await.unwrap().is_none());
    })
    .await;
}
