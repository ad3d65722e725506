//! Two runs of one suite that should be equal: what moved, what that means, and the margins that
//! follow from it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::BTreeMap;

use difftest_core::audit::{
    self, Audit, Compared, Finding, Measured, Outcome, PixelDifference, Reach, Source, measure,
};
use difftest_core::calibration::{
    Home, Outcome as Calibrated, Refused, Variant, calibrate, diff, edit, fresh_offset, table,
};
use difftest_core::config::{Units, VerdictSettings};
use difftest_core::event::{CellKey, Environment, Event, ImageRef, RunStatus, SCHEMA, TestOutcome};
use difftest_core::ids::ImageSha;
use difftest_core::metric;
use difftest_core::result::Run;
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};

/// The bytes of an image, and its scores.
type Cell = (String, Vec<(&'static str, f64)>);

/// A run of one test over `prompts` prompts, whose seeds are moved by `offset`.
fn run(prompts: usize, offset: i64, cell: impl Fn(usize, i64) -> Cell) -> Run {
    let spec = TestSpec {
        id: TestId("tests/test_shapes.py::test_shapes".into()),
        place: Place { file: "tests/test_shapes.py".into(), line: 7 },
        kind: TestKind::Quality {
            metrics: vec!["clip_score".into(), "shapes_oracle".into(), "ssim".into()],
            thresholds: BTreeMap::from([("ssim".into(), 0.9)]),
            reference_dir: None,
        },
        prompts: Vec::new(),
        variables: BTreeMap::new(),
        combine: Combine::Product,
        negative_prompt: None,
        seeds: vec![1 + offset, 2 + offset],
        suite: None,
    };
    let metrics = ["clip_score", "shapes_oracle", "ssim"].map(|m| metric::find(m).unwrap());
    let mut events = vec![Event::RunStarted {
        schema: SCHEMA,
        run: "r".into(),
        model: "shapes".into(),
        generator: "onnx".into(),
        fingerprint: "f".into(),
        environment: Environment {
            device: "cpu".into(),
            threads: 1,
            batch_size: 8,
            versions: BTreeMap::new(),
        },
        tests: vec![spec.clone()],
        metrics: metrics.to_vec(),
        cells: 2 * prompts as u64,
        recipe: Default::default(),
    }];
    for index in 0..prompts {
        for seed in [1, 2] {
            let (bytes, scores) = cell(index, seed + offset);
            let prompt = format!("a circle , place {index:02}");
            let key = CellKey { test: spec.id.clone(), prompt, seed: seed + offset };
            let sha256 = ImageSha::of(bytes.as_bytes());
            let path = format!("images/{sha256}.png");
            events.push(Event::CellGenerated {
                cell: key.clone(),
                image: ImageRef { sha256, path, width: 32, height: 32 },
                duration_ms: 10.0,
                cost_usd: None,
                retries: 0,
                cached: false,
            });
            for (metric, value) in scores {
                let (cell, metric) = (key.clone(), metric.to_owned());
                events.push(Event::CellScored { cell, metric, value });
            }
        }
    }
    events.push(Event::TestFinished {
        test: spec.id,
        outcome: TestOutcome::Passed,
        reasons: Vec::new(),
        duration_ms: 1.0,
    });
    let (status, reason) = (RunStatus::Passed, None);
    events.push(Event::RunFinished { status, reason, duration_ms: 1500.0 });
    Run::from_events(&events)
}

fn score(i: usize, seed: i64) -> f64 {
    0.8 + 0.01 * ((i as i64 * 7 + seed * 3) % 11) as f64
}

fn reference(prompts: usize) -> Run {
    run(prompts, 0, |i, seed| {
        (format!("{i} {seed}"), vec![("clip_score", score(i, seed)), ("shapes_oracle", 1.0)])
    })
}

/// Every fourth image is another one, and every such score `by` lower.
fn moved(prompts: usize, by: f64) -> Run {
    run(prompts, 0, |i, seed| {
        let other = i % 4 == 0;
        let (bytes, by) =
            if other { (format!("other {i} {seed}"), by) } else { (format!("{i} {seed}"), 0.0) };
        let ssim = if other { 0.998 } else { 1.0 };
        let scores =
            vec![("clip_score", score(i, seed) - by), ("shapes_oracle", 1.0), ("ssim", ssim)];
        (bytes, scores)
    })
}

fn by_one(_: &ImageRef, _: &ImageRef) -> Result<Compared, ()> {
    Ok(Compared::Differ(PixelDifference { largest: 1, mean: 0.01, ssim: Some(0.9999) }))
}

fn measured(by: f64) -> Measured {
    measure(&reference(12), &moved(12, by), &BTreeMap::new(), by_one).unwrap()
}

fn finding(source: Source, setting: &str, outcome: Outcome) -> Finding {
    Finding { source, setting: setting.into(), outcome }
}

#[test]
fn images_and_scores_are_counted_with_their_margins() {
    let measured = measured(0.0001);
    assert_eq!((measured.images, measured.changed, measured.missing), (24, 6, 0));
    assert_eq!((measured.largest, measured.lowest_ssim), (1, 0.9999));
    assert!((measured.mean - 0.01 * 6.0 / 24.0).abs() < 1e-12);
    let clip = &measured.metrics[0];
    assert_eq!((clip.name.as_str(), clip.images, clip.reach), ("clip_score", 24, Reach::Within));
    assert!((clip.largest_abs - 0.0001).abs() < 1e-12);
    assert!((clip.mean_abs - 0.0001 * 6.0 / 24.0).abs() < 1e-12);
    assert_eq!(measured.metrics[1].reach, Reach::None);
    let ssim = &measured.references[0];
    assert_eq!((ssim.images, ssim.worst, ssim.missed), (24, 0.998, false));
}

#[test]
fn equal_pixels_in_different_files_have_not_moved() {
    let equal = |_: &ImageRef, _: &ImageRef| Ok::<_, ()>(Compared::Equal);
    let measured = measure(&reference(12), &moved(12, 0.0), &BTreeMap::new(), equal).unwrap();
    assert_eq!((measured.changed, measured.mean, measured.lowest_ssim), (0, 0.0, 1.0));
}

#[test]
fn an_image_without_its_partner_is_missing_not_equal() {
    let measured = measure(&reference(12), &reference(10), &BTreeMap::new(), by_one).unwrap();
    assert_eq!((measured.images, measured.missing), (20, 4));
    let finding = finding(Source::Again, "again", Outcome::Measured(measured));
    let said = audit::conclusion(Source::Again, &[&finding]);
    assert!(said.contains("4 images could not be compared"), "{said}");
}

#[test]
fn a_larger_shift_never_reaches_less() {
    let reach = |by: f64| measured(by).metrics[0].reach;
    assert_eq!(
        [0.0, 0.001, 0.05, 0.5].map(reach),
        [Reach::None, Reach::Within, Reach::SingleImages, Reach::Mean]
    );
    let margins = BTreeMap::from([("clip_score".to_owned(), 0.9)]);
    let wide = measure(&reference(12), &moved(12, 0.5), &margins, by_one).unwrap();
    assert_eq!(wide.metrics[0].reach, Reach::Within, "the configuration's margin counts");
}

fn whole() -> Audit {
    let again = measure(&reference(12), &reference(12), &BTreeMap::new(), by_one).unwrap();
    let refused = |reason: &str| Outcome::NotOffered { reason: reason.into() };
    Audit {
        model: "shapes".into(),
        generator: "onnx".into(),
        device: "cpu".into(),
        threads: 1,
        batch_size: 8,
        images: 24,
        findings: vec![
            finding(Source::Again, "again", Outcome::Measured(again)),
            finding(Source::BatchSize, "batch size 1", Outcome::Measured(measured(0.0001))),
            finding(Source::BatchSize, "batch size 4", Outcome::Measured(measured(0.0))),
            finding(Source::Threads, "2 threads", Outcome::Measured(measured(0.05))),
            finding(Source::Dtype, "dtype float16", Outcome::Measured(measured(0.5))),
            finding(
                Source::Dtype,
                "dtype bfloat16",
                Outcome::Failed { reason: "out of memory".into() },
            ),
            finding(
                Source::Device,
                "device cuda",
                Outcome::NotHere { reason: "this machine has no NVIDIA card".into() },
            ),
            finding(Source::Attention, "", refused("its options are threads, provider")),
        ],
        notes: vec!["fid not in it: one score of a whole set of images has no pairs".into()],
    }
}

#[test]
fn the_audit_reads_as_a_person_would_say_it() {
    insta::assert_snapshot!("audit_table", audit::table(&whole()));
    insta::assert_snapshot!("audit_markdown", audit::markdown(&whole()));
}

/// Under other seeds `clip_score` moves by chance, `shapes_oracle` never.
fn calibration(prompts: usize, spread: f64) -> difftest_core::calibration::Calibration {
    let reference = reference(prompts);
    let offset = fresh_offset(&reference);
    let seeds = run(prompts, offset, |i, seed| {
        let wobble = spread * ((i as i64 * 5 + seed * 2) % 7 - 3) as f64 / 3.0;
        let clip = score(i, seed - offset) + wobble;
        (format!("{i} {seed}"), vec![("clip_score", clip), ("shapes_oracle", 1.0)])
    });
    let batch = moved(prompts, 0.0001);
    let settings = VerdictSettings {
        margins: BTreeMap::from([("clip_score".to_owned(), 0.02)]),
        ..VerdictSettings::default()
    };
    let numerical = [Variant { name: "batch size 1".into(), run: &batch, seed_offset: 0 }];
    let seeds = Variant { name: "other seeds".into(), run: &seeds, seed_offset: offset };
    calibrate(&reference, &seeds, &numerical, &settings).unwrap()
}

#[test]
fn margins_follow_from_the_null_and_what_cannot_be_calibrated_is_said() {
    let calibration = calibration(20, 0.05);
    insta::assert_snapshot!("calibration_table", table(&calibration));
    let by_name = |name: &str| calibration.metrics.iter().find(|m| m.name == name).unwrap();
    let Calibrated::Suggested(clip) = &by_name("clip_score").outcome else { panic!() };
    assert_eq!(clip.units, 20);
    let exact = calibration.kappa * clip.sd / 20_f64.sqrt();
    assert!(clip.margin >= exact && clip.margin < exact * 1.1, "{clip:?}");
    assert!(clip.drop >= 4.0 * clip.sd);
    assert_eq!(by_name("shapes_oracle").outcome, Calibrated::Refused(Refused::Constant));
    assert_eq!(by_name("ssim").outcome, Calibrated::Refused(Refused::ComparesImages));
    assert_eq!(by_name("ssim").worst_reference["batch size 1"], 0.998);
}

#[test]
fn what_is_written_reads_as_what_was_measured() {
    let entries = calibration(20, 0.05).entries("2026-11-27");
    let before = "model = \"shapes\"\n\n[verdict]\nalpha = 0.05  # as agreed\nmargins = { clip_score = 0.02 }\n";
    let edited = edit(before, Home::Own, &entries, true).unwrap();
    insta::assert_snapshot!("calibration_diff", diff(before, &edited.text));
    let kept = edit(before, Home::Own, &entries, false).unwrap();
    assert_eq!(kept.kept[0].yours, "0.02");
}

#[test]
fn nine_prompts_are_too_few() {
    let calibration = calibration(9, 0.05);
    let Calibrated::Refused(refused) = &calibration.metrics[0].outcome else { panic!() };
    assert!(refused.to_string().contains("9 units are too few"), "{refused}");
    assert!(calibration.entries("2026-11-27").is_empty());
}

#[test]
fn a_score_that_is_no_number_is_refused_with_its_cell() {
    let broken = run(12, 0, |i, seed| {
        let score = if i == 3 { f64::NAN } else { score(i, seed) };
        (format!("{i}"), vec![("clip_score", score)])
    });
    let seeds = Variant { name: "other seeds".into(), run: &broken, seed_offset: 0 };
    let settings = VerdictSettings::default();
    let refused = calibrate(&reference(12), &seeds, &[], &settings).unwrap_err().to_string();
    assert!(refused.contains("clip_score") && refused.contains("place 03"), "{refused}");
    assert!(refused.contains("seed 1"), "{refused}");
}

#[test]
fn units_are_prompts_unless_images_are_asked_for() {
    let reference = reference(12);
    let units = |units| {
        let seeds = Variant { name: "other seeds".into(), run: &reference, seed_offset: 0 };
        let settings = VerdictSettings { units, ..VerdictSettings::default() };
        calibrate(&reference, &seeds, &[], &settings).unwrap().metrics[0].seeds[0].units
    };
    assert_eq!((units(Units::Prompts), units(Units::Images)), (12, 24));
}

#[test]
fn fresh_seeds_are_none_of_the_tests_own() {
    assert_eq!(fresh_offset(&reference(2)), 1000);
    let mut run = reference(2);
    run.tests[0].spec.seeds = vec![1, 1001, 20_000, 30_000];
    assert_eq!(fresh_offset(&run), 100_000);
}
