//! `difftest compare`: two runs that are there, the working tree against a base, or a sweep of
//! models.

mod child;
mod stored;
mod sweep;
mod tree;
mod turns;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use difftest_core::compare::classic::{Classic, classic};
use difftest_core::compare::{Comparison, compare};
use difftest_core::config::{Budget, VerdictSettings};
use difftest_core::ids::ImageSha;
use difftest_core::report::comparison::markdown;
use difftest_core::report::terminal;
use difftest_core::result::Run;
use difftest_core::verdict::Decision;
use pyo3::prelude::*;
use serde::Serialize;

use super::args::SelectArgs;
use super::error::EngineError;
use super::outputs::{look, write_file};
use super::reference::IMAGES_DIR;
use super::{ERROR, settings};

/// No test is worse, and not all of them are known to be as good.
const INCONCLUSIVE: i32 = 3;

/// Compares two runs, the working tree with a base, or several models, pair by pair.
///
/// Exit code 0: passed or improved; 1: regressed, failed or changed; 2: an error; 3: inconclusive.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["run_a", "base", "models"]))]
pub struct CompareArgs {
    /// The run to compare with: its identifier, its folder, or a results file of --output
    #[arg(long, value_name = "RUN", requires = "run_b")]
    pub run_a: Option<PathBuf>,
    /// The run to judge
    #[arg(long, value_name = "RUN", requires = "run_a")]
    pub run_b: Option<PathBuf>,
    /// A commit, branch or folder that the working tree is compared with. Both are generated in
    /// turns, and only as many images as the verdict needs
    #[arg(long, value_name = "REF|DIR")]
    pub base: Option<String>,
    /// Models to run the suite with and to rank, separated by commas
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub models: Vec<String>,
    /// What both sides together may take: 10m of generation, 200images or $2
    #[arg(long, value_name = "LIMIT", requires = "base")]
    pub budget: Option<Budget>,
    /// At most so many pairs of each test
    #[arg(long, value_name = "N", requires = "base", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pairs: Option<u32>,
    /// A regression near the margin has to show on fresh seeds too
    #[arg(long, requires = "base")]
    pub confirm: bool,
    /// Write the comparison here, as JSON
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a report here, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
}

/// What `--output` holds: the comparison, and beside it the same runs without pairs.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    unpaired: &'a [Classic],
}

/// Answers the exit code.
pub fn run(py: Python<'_>, args: &CompareArgs, cwd: &Path) -> Result<i32, EngineError> {
    let target = settings::resolve(&args.select, cwd)?;
    let mut verdict = target.verdict.clone();
    verdict.budget = args.budget.or(verdict.budget);
    verdict.max_pairs = args.max_pairs.or(verdict.max_pairs);
    verdict.confirm |= args.confirm;
    if let (Some(a), Some(b)) = (&args.run_a, &args.run_b) {
        // What was run is over: a budget or a fresh seed changes nothing any more.
        let verdict = VerdictSettings { budget: None, confirm: false, ..verdict };
        let (a_run, b_run) =
            (stored::read(a, &target.root, cwd)?, stored::read(b, &target.root, cwd)?);
        let names = (a.display().to_string(), b.display().to_string());
        return report(args, cwd, &verdict, (&a_run, &b_run), (&names.0, &names.1));
    }
    if let Some(base) = &args.base {
        let made = tree::run(py, args, base, target.with_tests()?, &verdict)?;
        let names = (base.as_str(), "the working tree");
        return report(args, cwd, &verdict, (&made.base, &made.head), names);
    }
    sweep::run(py, args, &target.with_tests()?, &verdict, cwd)
}

/// Two runs, and the folder with the images of each where it is known.
struct Stored {
    run: Run,
    dir: Option<PathBuf>,
}

fn report(
    args: &CompareArgs,
    cwd: &Path,
    verdict: &VerdictSettings,
    (a, b): (&Stored, &Stored),
    names: (&str, &str),
) -> Result<i32, EngineError> {
    let comparison = compare(Some(&a.run), &b.run, verdict);
    let unpaired = classic(&a.run, &b.run);
    if let Some(file) = &args.output {
        let document = Document { comparison: &comparison, unpaired: &unpaired };
        write_file(&cwd.join(file), &json(&document))?;
    }
    if let Some(file) = &args.markdown {
        let file = cwd.join(file);
        let url = |image: &ImageSha| image_url(image, &[a, b], &file);
        write_file(&file, &markdown(&comparison, names, &unpaired, &url))?;
    }
    say(&terminal::comparison(&comparison, look()))?;
    if args.run_a.is_some() {
        say(&format!("\n{}", terminal::unpaired(&unpaired, look())))?;
    }
    for (name, side) in [("base", a), ("head", b)] {
        if let Some(dir) = &side.dir {
            let dir = dir.strip_prefix(cwd).unwrap_or(dir);
            say(&format!("images of {name}: {}\n", dir.display()))?;
        }
    }
    Ok(exit_code(comparison.decision))
}

fn exit_code(decision: Decision) -> i32 {
    match decision {
        Decision::Pass | Decision::Improved => 0,
        Decision::Changed | Decision::Failed | Decision::Regressed => 1,
        Decision::Infra | Decision::Error => ERROR,
        Decision::Inconclusive => INCONCLUSIVE,
    }
}

/// Relative to the report where both are in one tree.
fn image_url(image: &ImageSha, sides: &[&Stored], report: &Path) -> String {
    let dirs = sides.iter().filter_map(|side| side.dir.as_ref());
    let mut files = dirs.map(|dir| dir.join(IMAGES_DIR).join(format!("{image}.png")));
    let Some(file) = files.find(|file| file.is_file()) else { return format!("{image}.png") };
    let beside = report.parent().and_then(|folder| file.strip_prefix(folder).ok());
    beside.unwrap_or(&file).display().to_string()
}

fn json<T: Serialize>(value: &T) -> String {
    // Strings as keys and serde's own types: serialisation is total.
    serde_json::to_string_pretty(value)
        .map_or_else(|e| format!("{{\"error\":\"{e}\"}}"), |t| t + "\n")
}

fn say(text: &str) -> Result<(), EngineError> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(EngineError::file("write to", "standard output"))
}
