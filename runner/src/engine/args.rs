//! The command line of `difftest run` and `difftest baseline`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which tests, with what.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectArgs {
    /// The model: `shapes` is the one that comes with difftest
    #[arg(long, env = "DIFFTEST_MODEL")]
    pub model: Option<String>,
    /// Where the model runs, for instance `cpu` or `cuda`
    #[arg(long, env = "DIFFTEST_DEVICE")]
    pub device: Option<String>,
    /// `onnx`, or `module:factory` of a Python object in the repository under test
    #[arg(long, env = "DIFFTEST_GENERATOR", value_name = "NAME")]
    pub generator: Option<String>,
    /// The folder with the test_*.py files
    #[arg(long, env = "DIFFTEST_TEST_DIR", value_name = "DIR")]
    pub test_dir: Option<PathBuf>,
    /// A suite of difftest.toml, whose settings are used
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// The configuration, instead of the nearest difftest.toml or [tool.difftest]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only tests whose identifier (path/to/test_file.py::function) contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Images generated at once, instead of the generator's own choice
    #[arg(long, value_name = "N")]
    pub batch_size: Option<NonZeroUsize>,
}

/// Generates every image the tests ask for, scores them, and says which tests pass.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    /// Write the results here, as JSON
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a report here, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also write the events here, a JSON object a line; `-` is standard output
    #[arg(long, value_name = "FILE|-")]
    pub events: Option<PathBuf>,
    /// Where images and events.jsonl go [default: .difftest/runs/ID]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// What images are compared with: `baseline` for the stored files, `none`, or the folder of
    /// another run
    #[arg(long, value_name = "baseline|none|DIR", default_value = "baseline")]
    pub reference: PathBuf,
}

/// Stored images that later runs are compared with.
#[derive(Debug, Clone, Args)]
pub struct BaselineArgs {
    #[command(subcommand)]
    pub action: BaselineAction,
}

#[derive(Debug, Clone, Subcommand)]
pub enum BaselineAction {
    /// Generate and store the baselines that are missing; those that exist stay as they are
    Save(SelectArgs),
    /// Generate every baseline again and overwrite those that exist
    Update(SelectArgs),
}
