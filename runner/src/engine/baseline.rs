//! `difftest baseline save|update`: the stored images that later runs are compared with.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use difftest_core::event::CellKey;
use difftest_core::native;
use difftest_core::recipe::Recipe;
use difftest_core::suite::TestSpec;
use image::RgbImage;
use pyo3::prelude::*;

use super::ERROR;
use super::args::BaselineAction;
use super::bridge::Bridge;
use super::decode::decode;
use super::error::EngineError;
use super::files::write_whole;
use super::generation::{Generation, Wanted};
use super::generator::Generator;
use super::loading::discover;
use super::native_stage::{file_of, score};
use super::plan::{CellAt, Plan, reference_file};
use super::progress::{count, visible};
use super::settings::{self, Target};
use super::stop::StopFlag;
use super::watchdog::Watchdog;

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
        make(py, &bridge, &target, &generator, &missing, &mut tally)?;
        bridge.unload(&generator)?;
    }
    say(&closing_line(&tally))?;
    Ok(if plan.errors.is_empty() && tally.failed == 0 { 0 } else { ERROR })
}

/// Generates and stores, under the watch of `--image-timeout`.
fn make(
    py: Python<'_>,
    bridge: &Bridge<'_>,
    target: &Target,
    generator: &Generator,
    missing: &[(&TestSpec, CellKey)],
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let stop = Arc::<StopFlag>::default();
    let watchdog = Arc::new(Watchdog::new(Arc::clone(&stop), None, Instant::now()));
    let alarm = Arc::clone(&watchdog);
    if bridge.watch(move || alarm.overdue())? {
        watchdog.may_interrupt();
    }
    let watching = Arc::clone(&watchdog);
    // On its own, not in a scope: it ends the process, or is told that it is over.
    let watching = std::thread::spawn(move || {
        watching.watch(|hung| {
            say_error(&hung.reason);
            signal_hook::low_level::exit(hung.code);
        });
    });
    let wanted: Vec<Wanted> = missing
        .iter()
        .enumerate()
        .map(|(number, (spec, cell))| Wanted {
            cell: CellAt { test: 0, cell: number },
            recipe: recipe(spec, cell, target),
            keep_array: false,
        })
        .collect();
    let mut generation =
        Generation::new(generator, &watchdog, &stop, target.settings.image_timeout);
    let made = wanted.chunks(generator.batch_size).try_for_each(|batch| {
        generation.batch(py, batch, &mut |came| {
            let (spec, cell) = &missing[came.cell.cell];
            match came.item.image {
                Ok(picture) => {
                    let recipe = recipe(spec, cell, target);
                    let bytes =
                        file_of(&picture.pixels, &recipe, &target.settings.model, came.item.text)?;
                    store(target, spec, cell, &picture.pixels, &bytes, tally)
                }
                Err(failure) => {
                    tally.failed += 1;
                    let CellKey { test, prompt, seed } = cell;
                    say_error(&format!("{test}, `{prompt}`, seed {seed}: {}", failure.reason));
                    Ok(())
                }
            }
        })
    });
    watchdog.dismiss();
    // It holds nothing that matters when it panicked.
    drop(py.detach(|| watching.join()));
    bridge.unwatch().and(made)
}

fn recipe(spec: &TestSpec, cell: &CellKey, target: &Target) -> Recipe {
    Recipe {
        prompt: cell.prompt.clone(),
        negative_prompt: spec.negative_prompt.clone(),
        seed: cell.seed,
        settings: target.settings.recipe.clone(),
    }
}

/// The cells whose baseline is to be made: all of them, or those that have none.
fn to_make<'a>(
    plan: &'a Plan,
    target: &Target,
    overwrite: bool,
    tally: &mut Tally,
) -> Vec<(&'a TestSpec, CellKey)> {
    let cells = plan.tests.iter().flat_map(|t| t.cells.iter().map(move |cell| (&t.spec, cell)));
    cells
        .filter(|(spec, cell)| {
            let Some(file) = reference_file(spec, cell) else { return false };
            let make = overwrite || !target.root.join(file).exists();
            tally.kept += u64::from(!make);
            make
        })
        .map(|(spec, cell)| (spec, cell.clone()))
        .collect()
}

fn store(
    target: &Target,
    spec: &TestSpec,
    cell: &CellKey,
    pixels: &RgbImage,
    bytes: &[u8],
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let Some(file) = reference_file(spec, cell) else { return Ok(()) };
    let path = target.root.join(&file);
    let what = match std::fs::read(&path) {
        Ok(old) if old == bytes => {
            tally.unchanged += 1;
            return Ok(());
        }
        Ok(old) => {
            tally.changed += 1;
            let ssim = native::find("ssim")
                .zip(decode(&old).ok())
                .and_then(|(ssim, old)| score(&ssim, pixels, Some(&old)).ok());
            match ssim {
                Some(ssim) => format!("changed (SSIM {ssim:.4} to the old one)"),
                None => "changed".to_owned(),
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
    write_whole(&path, bytes)?;
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
