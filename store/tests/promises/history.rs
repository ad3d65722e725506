use difftest_core::event::read_stream;
use difftest_core::result::Run;

use crate::databases::on_every_database;

const STREAM: &str = include_str!("a-run.jsonl");

#[tokio::test]
async fn a_run_is_recorded_once_with_its_samples() {
    on_every_database(async |db| {
        let run = Run::from_events(&read_stream(STREAM.as_bytes()).unwrap());
        db.record_run(&run).await.unwrap();
        db.record_run(&run).await.unwrap();
        let mut died = run.clone();
        died.id = "died".into();
        died.status = None;
        db.record_run(&died).await.unwrap();

        let history = db.list_runs(10).await.unwrap();
        assert_eq!(history.len(), 2);
        let kept = history.iter().find(|r| r.id == run.id).unwrap();
        assert_eq!((kept.passed, kept.failed), (1, 0));
        assert_eq!(kept.status, run.status);
        assert_eq!(history.iter().find(|r| r.id == "died").unwrap().status, None);
        assert_eq!(db.run_report(&run.id).await.unwrap(), Some(run.report()));
        assert_eq!(db.run_report("unknown").await.unwrap(), None);

        let samples = db.run_samples(&run.id).await.unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].seed, samples[0].value), (42, 0.25));
        assert!(samples.iter().all(|s| s.image_sha.is_some()));
    })
    .await;
}
