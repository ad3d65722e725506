//! `difftest run --dry-run`: what would run, how long it might take, what it might cost. Pure.

use std::fmt::Write as _;

use difftest_core::result::RunReport;

use super::plan::Plan;
use super::progress::count;

/// Runs of the history that an estimate looks back on.
pub const RUNS: u32 = 20;

/// What an image took and cost, on average over earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PerImage {
    pub ms: Option<f64>,
    pub cost_usd: Option<f64>,
    /// Images that `ms` is the mean of.
    pub images: usize,
}

impl PerImage {
    /// From the images that the same model and generator made on the same device. Those that came
    /// from the cache took no time and say nothing.
    pub fn of<'a>(
        reports: impl IntoIterator<Item = &'a RunReport>,
        model: &str,
        generator: Option<&str>,
        device: &str,
    ) -> Self {
        let images: Vec<_> = reports
            .into_iter()
            .filter(|report| {
                report.model == model
                    && generator.is_none_or(|name| name == report.generator)
                    && report.environment.device.starts_with(device)
            })
            .flat_map(|report| report.results.iter().flat_map(|test| &test.images))
            .filter(|image| !image.cached && image.duration_ms > 0.0)
            .collect();
        let mean = |values: Vec<f64>| {
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self {
            ms: mean(images.iter().map(|image| image.duration_ms).collect()),
            cost_usd: mean(images.iter().filter_map(|image| image.cost_usd).collect()),
            images: images.len(),
        }
    }
}

/// The text of `--dry-run`. `price` is what the configuration says an image costs, in US dollars.
pub fn render(plan: &Plan, per_image: PerImage, price: Option<f64>) -> String {
    let mut out = String::new();
    for test in &plan.tests {
        let spec = &test.spec;
        let prompts =
            test.cells.iter().map(|cell| &cell.prompt).collect::<std::collections::BTreeSet<_>>();
        let _ = writeln!(
            out,
            "{}  {}, {} × {}: {}",
            spec.id,
            spec.metrics().join(", "),
            count(prompts.len() as u64, "prompt"),
            count(spec.seeds.len() as u64, "seed"),
            count(test.cells.len() as u64, "image"),
        );
    }
    for error in &plan.errors {
        let _ =
            writeln!(out, "error: {}:{}: {}", error.place.file, error.place.line, error.message);
    }
    let images = plan.cell_count();
    let _ = write!(
        out,
        "\n{}, {}",
        count(plan.tests.len() as u64, "test"),
        count(images as u64, "image")
    );
    match per_image.ms {
        Some(ms) => {
            let _ = write!(
                out,
                " · about {} ({:.0} ms an image, over {} of earlier runs)",
                duration(ms * images as f64 / 1000.0),
                ms,
                count(per_image.images as u64, "image"),
            );
        }
        None => out.push_str(" · no earlier run says how long an image takes"),
    }
    if let Some(cost) = price.or(per_image.cost_usd) {
        let from = if price.is_some() { "price_per_image" } else { "earlier runs" };
        let _ = write!(out, " · about ${:.2} ({from}: ${cost:.4} an image)", cost * images as f64);
    }
    out.push('\n');
    out
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), s % 3600.0 / 60.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use difftest_core::result::Run;
    use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};

    fn plan() -> Plan {
        Plan::new(vec![TestSpec {
            id: TestId("t.py::cats".into()),
            place: Place { file: "t.py".into(), line: 1 },
            kind: TestKind::VisualRegression { baseline_dir: "b".into(), ssim_threshold: 0.9 },
            prompts: vec!["a".into(), "b".into()],
            variables: Default::default(),
            combine: Combine::Product,
            negative_prompt: None,
            seeds: vec![1, 2, 3],
            suite: None,
        }])
    }

    #[test]
    fn it_says_how_many_and_admits_what_it_does_not_know() {
        assert_eq!(
            render(&plan(), PerImage::default(), None),
            "t.py::cats  ssim, 2 prompts × 3 seeds: 6 images\n\n\
             1 test, 6 images · no earlier run says how long an image takes\n"
        );
    }

    #[test]
    fn time_and_cost_come_from_earlier_runs_and_the_price_wins() {
        let per_image = PerImage { ms: Some(20_000.0), cost_usd: Some(0.01), images: 40 };
        let text = render(&plan(), per_image, None);
        assert!(text.contains("about 2 min 00 s (20000 ms an image, over 40 images"), "{text}");
        assert!(text.contains("about $0.06 (earlier runs: $0.0100 an image)"), "{text}");
        assert!(render(&plan(), per_image, Some(0.5)).contains("about $3.00 (price_per_image"));
    }

    #[test]
    fn only_what_was_made_the_same_way_counts() {
        let report = |model: &str, device: &str, ms: f64, cached: bool| {
            let mut report = Run::default().report();
            model.clone_into(&mut report.model);
            device.clone_into(&mut report.environment.device);
            let json = serde_json::json!({
                "name": "t", "id": "t.py::t", "passed": true, "outcome": "passed", "reasons": [],
                "metrics": {}, "failures": [], "duration_ms": 1.0,
                "images": [{"path": "p", "prompt": "p", "seed": 1, "duration_ms": ms, "cached": cached}],
            });
            report.results = vec![serde_json::from_value(json).unwrap()];
            report
        };
        let reports = [
            report("m", "cpu", 10.0, false),
            report("m", "cpu", 30.0, false),
            report("m", "cpu", 0.0, true),
            report("m", "cuda", 1.0, false),
            report("x", "cpu", 1.0, false),
        ];
        let per_image = PerImage::of(&reports, "m", None, "cpu");
        assert_eq!((per_image.ms, per_image.images), (Some(20.0), 2));
        assert_eq!(PerImage::of(&reports, "z", None, "cpu"), PerImage::default());
    }
}
