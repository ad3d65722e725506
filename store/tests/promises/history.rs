use difftest_core::event::{BatchScore, RunStatus, read_stream};
use difftest_core::result::Run;
use difftest_core::suite::TestKind;

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

/// The run of the fixture under another name, its two scores moved by `by`.
fn another(id: &str, by: f64) -> Run {
    let mut run = Run::from_events(&read_stream(STREAM.as_bytes()).unwrap());
    run.id = id.into();
    for cell in run.tests[0].cells.values_mut() {
        for score in cell.scores.values_mut() {
            *score += by;
        }
    }
    run
}

#[tokio::test]
async fn the_trend_of_a_run_is_what_was_measured_up_to_it() {
    on_every_database(async |db| {
        for (id, by) in [("1", 0.0), ("2", 0.1), ("3", 0.2), ("4", 0.3)] {
            db.record_run(&another(id, by)).await.unwrap();
        }
        let died = Run { status: None, ..another("died", 9.0) };
        db.record_run(&died).await.unwrap();
        let broke = Run { status: Some(RunStatus::Error), ..another("broke", 9.0) };
        db.record_run(&broke).await.unwrap();
        db.record_run(&Run { model: "other".into(), ..another("5", 0.4) }).await.unwrap();
        // The database's clock ticks in milliseconds; a run recorded again counts as of now.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let now = another("6", 0.5);
        db.record_run(&now).await.unwrap();

        let trends = db.trends("6", 4).await.unwrap();
        assert_eq!(trends.len(), 1);
        let trend = &trends[0];
        assert_eq!((trend.test.as_str(), trend.metric.as_str()), ("test_a.py::red", "clip_score"));
        let means: Vec<(&str, f64)> =
            trend.points.iter().map(|p| (p.run.as_str(), (p.mean * 1e6).round() / 1e6)).collect();
        // The mean of 0.25 and 0.5 is 0.375.
        assert_eq!(means, [("3", 0.575), ("4", 0.675), ("5", 0.775), ("6", 0.875)]);
        assert!(trend.points.iter().all(|p| p.samples == 2));
        // Another model's run is in the picture and not in the expectation.
        let before = trend.before(&now).unwrap();
        assert_eq!((before.runs, (before.mean * 1e6).round()), (2, 625_000.0));

        assert!(db.trends("unknown", 4).await.unwrap().is_empty());
        let own = db.trends("died", 1).await.unwrap();
        assert_eq!(own[0].points.len(), 1);
        assert_eq!(own[0].points[0].run, "died");
    })
    .await;
}

#[tokio::test]
async fn a_batch_metric_has_a_trend_too() {
    on_every_database(async |db| {
        for (id, value) in [("1", 12.5), ("2", 10.0)] {
            let mut run = another(id, 0.0);
            let TestKind::Quality { metrics, .. } = &mut run.tests[0].spec.kind else { panic!() };
            metrics.push("kid".into());
            let score = BatchScore { value, samples: 50, note: None, replicates: Vec::new() };
            run.tests[0].batch_scores.insert("kid".into(), score);
            db.record_run(&run).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        let trends = db.trends("2", 10).await.unwrap();
        let kid = trends.iter().find(|t| t.metric == "kid").unwrap();
        let points: Vec<(f64, u64)> = kid.points.iter().map(|p| (p.mean, p.samples)).collect();
        assert_eq!(points, [(12.5, 50), (10.0, 50)]);
    })
    .await;
}
