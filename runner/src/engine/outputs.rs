//! Everything that is made of a run's result: the history, the files that were asked for, and what
//! is left in the terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use difftest_core::compare::compare;
use difftest_core::config::VerdictSettings;
use difftest_core::event::{CellKey, ImageRef};
use difftest_core::report::html::{self, Images, Page};
use difftest_core::report::terminal::{self, Look};
use difftest_core::report::{json, junit, run as markdown};
use difftest_core::result::Run;
use difftest_core::suite::TestId;

use super::args::RunArgs;
use super::complain;
use super::error::EngineError;
use super::history;
use super::plan::{Plan, PlannedTest};
use super::reference::{IMAGES_DIR, ReferenceSource, read_run};

/// Images of this run, and those that they were compared with.
struct Files<'a> {
    dir: &'a Path,
    reference: Option<ReferenceSource>,
    tests: BTreeMap<TestId, PlannedTest>,
}

impl Images for Files<'_> {
    fn head(&self, image: &ImageRef) -> Option<Vec<u8>> {
        std::fs::read(self.dir.join(IMAGES_DIR).join(format!("{}.png", image.sha256))).ok()
    }

    fn reference(&self, cell: &CellKey) -> Option<Vec<u8>> {
        let test = self.tests.get(&cell.test)?;
        let index = test.cells.iter().position(|known| known == cell)?;
        self.reference.as_ref()?.file(test, index)
    }
}

/// Writes it all. `dir` is the run's folder.
pub fn write(
    args: &RunArgs,
    root: &Path,
    cwd: &Path,
    dir: &Path,
    run: &Run,
    verdict: &VerdictSettings,
) -> Result<(), EngineError> {
    let trends = match args.no_history {
        true => Vec::new(),
        false => history::record(root, run).unwrap_or_else(|e| {
            complain(&format!("warning: the run is not in the history: {e}"));
            Vec::new()
        }),
    };
    if let Some(file) = &args.output {
        write_file(file, &json::json(run))?;
    }
    if let Some(file) = &args.markdown {
        write_file(file, &markdown::markdown(&run.report()))?;
    }
    if let Some(file) = &args.junit {
        let folder = dir.strip_prefix(cwd).unwrap_or(dir).display().to_string();
        write_file(file, &junit::xml(run, &folder))?;
    }
    if let Some(file) = &args.html {
        let reference = ReferenceSource::open(&args.reference, root).ok();
        let comparison = match &reference {
            Some(ReferenceSource::Run(other)) => {
                Some(compare(Some(&read_run(other.dir())?), run, verdict))
            }
            _ => None,
        };
        let specs = run.tests.iter().map(|test| test.spec.clone()).collect();
        let tests = Plan::new(specs).tests.into_iter().map(|t| (t.spec.id.clone(), t)).collect();
        let images = Files { dir, reference, tests };
        let page = Page {
            run,
            comparison: comparison.as_ref(),
            trends: &trends,
            images: &images,
            limit: html::LIMIT,
        };
        write_file(file, &html::page(&page))?;
    }
    let shown = dir.strip_prefix(cwd).unwrap_or(dir);
    let summary = terminal::summary(run, &trends, look());
    // With `--events -` this is standard error: the sink has taken standard output over.
    let mut out = std::io::stdout();
    writeln!(out, "\n{summary}images and events: {}", shown.display())
        .and_then(|()| out.flush())
        .map_err(EngineError::file("write to", "standard output"))
}

/// What standard output can show.
pub fn look() -> Look {
    let terminal = std::io::stdout().is_terminal();
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let width = size.map(|size| usize::from(size.ws_col)).filter(|width| terminal && *width > 0);
    Look {
        width: width.unwrap_or(Look::default().width),
        // https://no-color.org
        color: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

pub fn write_file(file: &Path, text: &str) -> Result<(), EngineError> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(EngineError::file("make", dir))?;
    }
    std::fs::write(file, text).map_err(EngineError::file("write", file))
}
