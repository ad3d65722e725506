//! `difftest baseline save|update`: the stored images that later runs are compared with.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use difftest_core::event::CellKey;
use difftest_core::suite::TestSpec;
use image::RgbImage;
use pyo3::prelude::*;

use super::args::BaselineAction;
use super::bridge::Bridge;
use super::error::EngineError;
use super::generation;
use super::plan::{Plan, reference_file};
use super::png;
use super::progress::{count, visible};
use super::scoring::{similarity, write_whole};
use super::session::discover;
use super::settings::{self, Target};

/// What happened to the baselines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    new: u64,
    changed: u64,
    unchanged: u64,
    kept: u64,
    failed: u64,
}

/// Answers the exit code: 0, or 2 where a test could not be collected or an image not be made.
pub fn run(py: Python<'_>, action: &BaselineAction, cwd: &Path) -> Result<i32, EngineError> {
    let (select, overwrite) = match action {
        BaselineAction::Save(select) => (select, false),
        BaselineAction::Update(select) => (select, true),
    };
    let target = settings::resolve(select, cwd)?.with_tests()?;
    let bridge = Bridge::connect(py)?;
    let plan = discover(&bridge, &target)?;
    for error in &plan.errors {
        say_error(&format!("{}:{}: {}", error.place.file, error.place.line, error.message));
    }
    let mut tally = Tally::default();
    let missing = to_make(&plan, &target, overwrite, &mut tally);
    if !missing.is_empty() {
        let generator = bridge.load_generator(&target)?;
        for (spec, cells) in &missing {
            for cells in cells.chunks(generator.batch_size) {
                let batch = generation::generate(py, &generator, spec, cells)?;
                for (cell, image) in batch.cells {
                    match image {
                        Ok(picture) => store(&target, spec, &cell, &picture.pixels, &mut tally)?,
                        Err(failure) => {
                            tally.failed += 1;
                            let CellKey { test, prompt, seed } = &cell;
                            say_error(&format!(
                                "{test}, `{prompt}`, seed {seed}: {}",
                                failure.reason
                            ));
                        }
                    }
                }
            }
        }
    }
    say(&closing_line(&tally))?;
    Ok(if plan.errors.is_empty() && tally.failed == 0 { 0 } else { 2 })
}

/// The cells whose baseline is to be made: all of them, or those that have none.
fn to_make<'a>(
    plan: &'a Plan,
    target: &Target,
    overwrite: bool,
    tally: &mut Tally,
) -> Vec<(&'a TestSpec, Vec<CellKey>)> {
    let mut missing = Vec::new();
    for test in &plan.tests {
        let wanted: Vec<CellKey> = test
            .cells
            .iter()
            .filter(|cell| {
                let Some(file) = reference_file(&test.spec, cell) else { return false };
                let make = overwrite || !target.root.join(file).exists();
                tally.kept += u64::from(!make);
                make
            })
            .cloned()
            .collect();
        if !wanted.is_empty() {
            missing.push((&test.spec, wanted));
        }
    }
    missing
}

fn store(
    target: &Target,
    spec: &TestSpec,
    cell: &CellKey,
    pixels: &RgbImage,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let Some(file) = reference_file(spec, cell) else { return Ok(()) };
    let path = target.root.join(&file);
    let bytes = png::encode(pixels).map_err(EngineError::Encode)?;
    let what = match std::fs::read(&path) {
        Ok(old) if old == bytes => {
            tally.unchanged += 1;
            return Ok(());
        }
        Ok(old) => {
            tally.changed += 1;
            match png::decode(&old).map_err(|e| e.to_string()).and_then(|o| similarity(pixels, &o))
            {
                Ok(ssim) => format!("changed (SSIM {ssim:.4} to the old one)"),
                Err(_) => "changed".to_owned(),
            }
        }
        Err(_) => {
            tally.new += 1;
            "new".to_owned()
        }
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(EngineError::file("make", dir))?;
    }
    write_whole(&path, &bytes)?;
    say(&format!("{what}: {file}  `{}`, seed {}", cell.prompt, cell.seed))
}

fn closing_line(tally: &Tally) -> String {
    let parts: BTreeMap<usize, (u64, &str)> = [
        (tally.new, "new"),
        (tally.changed, "changed"),
        (tally.unchanged, "unchanged"),
        (tally.kept, "kept as they were; `difftest baseline update` overwrites"),
        (tally.failed, "failed"),
    ]
    .into_iter()
    .enumerate()
    .filter(|(_, (n, _))| *n > 0)
    .collect();
    if parts.is_empty() {
        return "no test compares with baselines: nothing to do".into();
    }
    let total = parts.values().map(|(n, _)| n).sum();
    let parts: Vec<String> = parts.values().map(|(n, what)| format!("{n} {what}")).collect();
    format!("{}: {}", count(total, "baseline"), parts.join(", "))
}

fn say(line: &str) -> Result<(), EngineError> {
    writeln!(std::io::stdout(), "{}", visible(line))
        .map_err(EngineError::file("write to", "standard output"))
}

/// That standard error is closed is no reason to stop.
fn say_error(line: &str) {
    drop(writeln!(std::io::stderr(), "error: {}", visible(line)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_what_there_is() {
        let tally = Tally { new: 2, kept: 1, ..Tally::default() };
        assert_eq!(
            closing_line(&tally),
            "3 baselines: 2 new, 1 kept as they were; `difftest baseline update` overwrites"
        );
        assert!(closing_line(&Tally::default()).contains("nothing to do"));
    }
}
