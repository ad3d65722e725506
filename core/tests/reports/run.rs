//! The run that the reports are of: `run.jsonl`, which a person can read, and its images.

use std::io::Cursor;

use difftest_core::event::{CellKey, Event, ImageRef, read_stream};
use difftest_core::report::html::Images;
use difftest_core::report::trend::{Trend, TrendPoint};
use difftest_core::result::Run;

pub fn events() -> Vec<Event> {
    read_stream(include_bytes!("run.jsonl")).unwrap()
}

pub fn run() -> Run {
    Run::from_events(&events())
}

/// The run with one of its prompts replaced, wherever it is told.
pub fn run_with_prompt(prompt: &str) -> Run {
    let mut events = events();
    for event in &mut events {
        match event {
            Event::CellGenerated { cell, .. }
            | Event::CellScored { cell, .. }
            | Event::CellFailed { cell, .. } => rename(cell, prompt),
            Event::TestFinished { reasons, .. } if !reasons.is_empty() => {
                reasons.push(format!("about {prompt}"));
            }
            _ => {}
        }
    }
    Run::from_events(&events)
}

fn rename(cell: &mut CellKey, prompt: &str) {
    if cell.prompt == "a red cross" || cell.prompt == "broken" {
        cell.prompt = prompt.to_owned();
    }
}

pub fn trends() -> Vec<Trend> {
    let point = |index: i64, model: &str, mean: f64| TrendPoint {
        run: format!("earlier-{index}"),
        model: model.into(),
        generator: "onnx".into(),
        mean,
        samples: 4,
        recorded_at: 1_763_600_000_000 + index * 86_400_000,
    };
    let run = run();
    vec![Trend {
        test: run.tests[0].spec.id.clone(),
        metric: "clip_score".into(),
        points: vec![
            point(0, "sd-1.5", 0.21),
            point(1, "shapes", 0.33),
            point(2, "shapes", 0.34),
            TrendPoint { run: run.id, ..point(3, "shapes", 0.25795) },
        ],
    }]
}

/// Plain squares, each of a colour of its own; the baselines are blue, but for one that is equal.
pub struct Squares {
    pub edge: u32,
}

pub fn png(edge: u32, color: [u8; 3]) -> Vec<u8> {
    let image = image::RgbImage::from_pixel(edge, edge, image::Rgb(color));
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    bytes
}

impl Images for Squares {
    fn head(&self, image: &ImageRef) -> Option<Vec<u8>> {
        let byte = |at: usize| u8::from_str_radix(&image.sha256.as_str()[at..at + 2], 16).unwrap();
        Some(png(self.edge, [byte(0), byte(2), byte(4)]))
    }

    fn reference(&self, cell: &CellKey) -> Option<Vec<u8>> {
        if cell.test.name() != "same_as_before" {
            return None;
        }
        if cell.prompt == "a green square" {
            let run = run();
            return self.head(run.tests[1].cells[cell].image.as_ref()?);
        }
        Some(png(self.edge, [45, 80, 225]))
    }
}

/// A run whose images are lost.
pub struct Lost;

impl Images for Lost {
    fn head(&self, _: &ImageRef) -> Option<Vec<u8>> {
        None
    }

    fn reference(&self, _: &CellKey) -> Option<Vec<u8>> {
        None
    }
}
