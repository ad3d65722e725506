//! `difftest audit`: runs the suite several times with one thing changed each time, and says what
//! that moved.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use difftest_core::audit::{self, Audit, Compared, Finding, Measured, Outcome, Source, measure};
use difftest_core::event::ImageRef;
use difftest_core::metric::Category;
use difftest_core::pixels::Rgb;
use difftest_core::result::Run;
use image::RgbImage;
use pyo3::prelude::*;

use super::args::AuditArgs;
use super::bridge::Bridge;
use super::decode::decode;
use super::error::EngineError;
use super::history;
use super::outputs::write_file;
use super::reference::IMAGES_DIR;
use super::settings::{self, Target};
use super::sources::{self, Change, Facts, Offered, Planned};
use super::usage;
use super::variant::{Laboratory, Made, NoImages};

/// Answers the exit code: 0 where anything could be said, 2 where no variation could be run.
pub fn run(py: Python<'_>, args: &AuditArgs, cwd: &Path) -> Result<i32, EngineError> {
    let target = settings::resolve(&args.select, cwd)?.with_tests()?;
    let offered = Bridge::connect(py)?.generator_options(&target)?;
    let dir = history::folder(&target.root)?.join("audit").join(uuid::Uuid::now_v7().to_string());
    let most = args.max_images.map(NonZeroUsize::get);
    let laboratory = Laboratory::open(py, &args.select, most, cwd, dir)?;
    let reference = reference(py, &laboratory)?;
    let chosen: Vec<Source> = Source::ALL
        .into_iter()
        .filter(|source| args.only.is_empty() || args.only.contains(source))
        .collect();
    let mut findings = Vec::new();
    for source in chosen {
        for planned in variations(source, &target, &offered, &reference.run) {
            findings.push(finding(py, &laboratory, &target, &reference, source, planned)?);
        }
    }
    let run = &reference.run;
    let audit = Audit {
        model: run.model.clone(),
        generator: run.generator.clone(),
        device: run.environment.device.clone(),
        threads: run.environment.threads,
        batch_size: run.environment.batch_size,
        images: run.images(),
        findings,
        notes: notes(run).into_iter().chain(sets(run)).collect(),
    };
    if let Some(file) = &args.output {
        let json = serde_json::json!({ "audit": audit, "conclusions": audit.conclusions() });
        write_file(file, &format!("{json:#}\n"))?;
    }
    if let Some(file) = &args.markdown {
        write_file(file, &audit::markdown(&audit))?;
    }
    let shown = laboratory.dir.strip_prefix(cwd).unwrap_or(&laboratory.dir);
    let text = format!("\n{}\nimages and events: {}", audit::table(&audit), shown.display());
    writeln!(std::io::stdout(), "{text}")
        .map_err(EngineError::file("write to", "standard output"))?;
    let said = audit.findings.iter().any(|f| !matches!(f.outcome, Outcome::Failed { .. }));
    Ok(if said { 0 } else { super::ERROR })
}

/// The run that all others are held against.
pub fn reference(py: Python<'_>, laboratory: &Laboratory) -> Result<Made, EngineError> {
    laboratory.run(py, "reference", &Change::Nothing, None)?.map_err(|NoImages(reason)| {
        EngineError::NoReferenceRun { reason, dir: laboratory.dir.clone() }
    })
}

/// What can be varied, for the reference run as it was.
pub fn variations(
    source: Source,
    target: &Target,
    offered: &Offered,
    reference: &Run,
) -> Vec<Planned> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let facts = Facts {
        settings: &target.settings,
        offered,
        environment: &reference.environment,
        cores,
        cards: if source == Source::Device { usage::cards() } else { 0 },
    };
    sources::plan(source, &facts)
}

/// The folder that a variant's images are compared with, where a metric of the suite compares.
pub fn compared_with(reference: &Made) -> Option<&Path> {
    let compares = reference.run.metrics.values().any(|m| m.category == Category::Reference);
    compares.then_some(reference.dir.as_path())
}

/// What a reader of the numbers must know: tests that are not in them.
pub fn notes(run: &Run) -> Vec<String> {
    run.collection_errors
        .iter()
        .map(|e| format!("{}:{} is not in it: {}", e.place.file, e.place.line, e.message))
        .collect()
}

/// Metrics that are not in the numbers either.
fn sets(run: &Run) -> Option<String> {
    let sets: Vec<&str> = run
        .metrics
        .values()
        .filter(|metric| metric.category == Category::Batch)
        .map(|metric| metric.name.as_str())
        .collect();
    (!sets.is_empty()).then(|| {
        format!("{} not in it: one score of a whole set of images has no pairs", sets.join(", "))
    })
}

fn finding(
    py: Python<'_>,
    laboratory: &Laboratory,
    target: &Target,
    reference: &Made,
    source: Source,
    planned: Planned,
) -> Result<Finding, EngineError> {
    let (setting, outcome) = match planned {
        Planned::NotOffered { setting, reason } => (setting, Outcome::NotOffered { reason }),
        Planned::NotHere { setting, reason } => (setting, Outcome::NotHere { reason }),
        Planned::Run { setting, change } => {
            let made = laboratory.run(py, &setting, &change, compared_with(reference))?;
            let outcome = match made {
                // What a device lacks is the machine's, not the suite's.
                Err(NoImages(reason)) if source == Source::Device => Outcome::NotHere { reason },
                Err(NoImages(reason)) => Outcome::Failed { reason },
                Ok(made) => {
                    let (before, after) = (&reference.run.environment, &made.run.environment);
                    match sources::ignored(&change, before, after) {
                        Some(reason) => Outcome::NotOffered { reason },
                        None => Outcome::Measured(
                            py.detach(|| measured(reference, &made, &target.verdict.margins))?,
                        ),
                    }
                }
            };
            (setting, outcome)
        }
    };
    Ok(Finding { source, setting, outcome })
}

fn measured(
    reference: &Made,
    made: &Made,
    margins: &BTreeMap<String, f64>,
) -> Result<Measured, EngineError> {
    measure(&reference.run, &made.run, margins, |before, after| {
        let (a, b) = (pixels(&reference.dir, before)?, pixels(&made.dir, after)?);
        match (view(&a), view(&b)) {
            (Some(a), Some(b)) => Ok(audit::compare_pixels(&a, &b)),
            _ => Ok(Compared::SizesDiffer),
        }
    })
}

fn view(image: &RgbImage) -> Option<Rgb<'_>> {
    Rgb::new(image.as_raw(), image.width() as usize, image.height() as usize).ok()
}

fn pixels(dir: &Path, image: &ImageRef) -> Result<RgbImage, EngineError> {
    let file = dir.join(IMAGES_DIR).join(format!("{}.png", image.sha256));
    let bytes = std::fs::read(&file).map_err(EngineError::file("read", &file))?;
    decode(&bytes).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        EngineError::File { what: "read", path: file, source }
    })
}
