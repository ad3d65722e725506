//! `difftest calibrate`: runs the base against itself and writes margins into the configuration.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use difftest_core::audit::Source;
use difftest_core::calibration::{
    self, Calibration, Edited, Home, Outcome, Variant, calibrate, diff, edit, fresh_offset,
};
use difftest_core::config::{self, Variables};
use difftest_core::report::terminal::visible;
use pyo3::prelude::*;

use super::args::CalibrateArgs;
use super::audit::{compared_with, notes, reference, variations};
use super::bridge::Bridge;
use super::error::EngineError;
use super::files::write_whole;
use super::history;
use super::outputs::write_file;
use super::settings::{self, Target};
use super::sources::{self, Change, Planned};
use super::variant::{Laboratory, Made, NoImages};

/// What is varied beside the seeds: what two honest runs of one commit may differ in.
const NUMERICAL: [Source; 2] = [Source::BatchSize, Source::Device];

/// Answers the exit code: 0 where a metric could be calibrated, 2 where none could.
pub fn run(py: Python<'_>, args: &CalibrateArgs, cwd: &Path) -> Result<i32, EngineError> {
    let target = settings::resolve(&args.select, cwd)?.with_tests()?;
    let bridge = Bridge::connect(py)?;
    let offered = bridge.generator_options(&target)?;
    let dir = history::folder(&target.root)?.join("calibrate");
    let dir = dir.join(uuid::Uuid::now_v7().to_string());
    let most = args.max_images.map(NonZeroUsize::get);
    let laboratory = Laboratory::open(py, &args.select, most, cwd, dir)?;
    let reference = reference(py, &laboratory)?;
    let mut notes = notes(&reference.run);
    let mut numerical: Vec<(String, Made)> = Vec::new();
    for source in NUMERICAL {
        // One other batch size is enough for a floor; the audit tries more.
        let first = variations(source, &target, &offered, &reference.run).into_iter().next();
        match first {
            Some(Planned::Run { setting, change }) => {
                match laboratory.run(py, &setting, &change, compared_with(&reference))? {
                    Ok(made) => {
                        let (before, after) = (&reference.run.environment, &made.run.environment);
                        match sources::ignored(&change, before, after) {
                            Some(reason) => {
                                notes.push(format!("{setting} was not tried: {reason}"))
                            }
                            None => numerical.push((setting, made)),
                        }
                    }
                    Err(NoImages(reason)) => {
                        notes.push(format!("{setting} was not tried: {reason}"));
                    }
                }
            }
            Some(Planned::NotOffered { reason, .. } | Planned::NotHere { reason, .. }) => {
                notes.push(format!("another {} was not tried: {reason}", source.name()));
            }
            None => {}
        }
    }
    let offset = fresh_offset(&reference.run);
    let seeds = laboratory.run(py, "other seeds", &Change::Seeds(offset), None)?;
    let seeds = seeds.map_err(|NoImages(reason)| EngineError::NoSeedsRun { reason })?;
    let numerical: Vec<Variant<'_>> = numerical
        .iter()
        .map(|(name, made)| Variant { name: name.clone(), run: &made.run, seed_offset: 0 })
        .collect();
    let seeds = Variant { name: "other seeds".into(), run: &seeds.run, seed_offset: offset };
    let mut calibration = calibrate(&reference.run, &seeds, &numerical, &target.verdict)?;
    calibration.notes = notes;
    let place = Place::of(&target);
    let edited = place.edit(&calibration, &today(), args.overwrite)?;
    if !args.dry_run && !edited.written.is_empty() {
        write_whole(&place.file, edited.text.as_bytes())?;
    }
    if let Some(file) = &args.output {
        let json = serde_json::json!({
            "calibration": calibration,
            "file": place.file,
            "dry_run": args.dry_run,
            "written": edited.written,
            "kept": edited.kept,
        });
        write_file(file, &format!("{json:#}\n"))?;
    }
    let shown = said(&calibration, &edited, &place, args.dry_run, cwd);
    let folder = laboratory.dir.strip_prefix(cwd).unwrap_or(&laboratory.dir);
    writeln!(std::io::stdout(), "\n{shown}\nimages and events: {}", folder.display())
        .map_err(EngineError::file("write to", "standard output"))?;
    let any = calibration.metrics.iter().any(|m| matches!(m.outcome, Outcome::Suggested(_)));
    Ok(if any { 0 } else { super::ERROR })
}

/// The file with the configuration, which may not be there yet.
struct Place {
    file: PathBuf,
    home: Home,
    text: String,
}

impl Place {
    fn of(target: &Target) -> Self {
        let file = target.config_file.clone().unwrap_or_else(|| target.root.join(config::FILE));
        let home = match file.file_name().is_some_and(|name| name == "pyproject.toml") {
            true => Home::PyProject,
            false => Home::Own,
        };
        // One that is not there is a new one; one that cannot be read was an error before.
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Self { file, home, text }
    }

    /// The file with the margins in it, read again to be sure that it is still one.
    fn edit(
        &self,
        calibration: &Calibration,
        date: &str,
        overwrite: bool,
    ) -> Result<Edited, EngineError> {
        let broken = |reason: String| EngineError::Edit { path: self.file.clone(), reason };
        let edited = edit(&self.text, self.home, &calibration.entries(date), overwrite)
            .map_err(|e| broken(e.to_string()))?;
        let name = self.file.display().to_string();
        match self.home {
            Home::Own => config::parse(&edited.text, &name, Variables::Unknown).map(drop),
            Home::PyProject => {
                config::parse_pyproject(&edited.text, &name, Variables::Unknown).map(drop)
            }
        }
        .map_err(|e| broken(e.to_string()))?;
        Ok(edited)
    }
}

/// What the terminal is told.
fn said(
    calibration: &Calibration,
    edited: &Edited,
    place: &Place,
    dry_run: bool,
    cwd: &Path,
) -> String {
    let mut out = calibration::table(calibration);
    let file = place.file.strip_prefix(cwd).unwrap_or(&place.file).display().to_string();
    let file = visible(&file);
    for kept in &edited.kept {
        out.push_str(&format!(
            "\nverdict.{} stays {} as {file} says; suggested is {} (--overwrite takes it)",
            visible(&kept.key),
            visible(&kept.yours),
            kept.suggested
        ));
    }
    if !edited.kept.is_empty() {
        out.push('\n');
    }
    let keys = super::progress::count(edited.written.len() as u64, "value");
    out.push('\n');
    out.push_str(&match (edited.written.is_empty(), dry_run) {
        (true, _) => format!("{file} stays as it is\n"),
        (false, true) => {
            format!("{file} would get {keys}:\n\n{}", visible(&diff(&place.text, &edited.text)))
        }
        (false, false) => format!("{file} has {keys} more or changed\n"),
    });
    out
}

/// The day of the measurement, in UTC.
fn today() -> String {
    let day = time::OffsetDateTime::now_utc().date();
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}
