//! The command line of `difftest run` and `difftest baseline`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use difftest_core::audit::Source;
use difftest_core::metric::nearest;

/// Which tests, with what. Every setting is also a key of difftest.toml and, as
/// `DIFFTEST_` and its name in capitals, an environment variable.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectArgs {
    /// The model: `shapes` comes with difftest; else a hub id, a folder, or a name the back end knows
    #[arg(long)]
    pub model: Option<String>,
    /// Where the model runs, for instance `cpu` or `cuda`
    #[arg(long)]
    pub device: Option<String>,
    /// onnx, diffusers, comfyui, a1111, api, a plug-in, or `module:factory` of this repository
    #[arg(long, value_name = "NAME")]
    pub generator: Option<String>,
    /// The folder with the test_*.py files
    #[arg(long, value_name = "DIR")]
    pub test_dir: Option<PathBuf>,
    /// A suite of difftest.toml, whose settings are used
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// The configuration, instead of the nearest difftest.toml or [tool.difftest]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only tests with this in their identifier, metrics or prompt suite; `and`, `or`, `not` and
    /// parentheses combine such words
    #[arg(long, short = 'k', value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Only this test, by its name or its identifier (path/to/test_file.py::function); may be
    /// given several times
    #[arg(long = "test", value_name = "TEST")]
    pub tests: Vec<String>,
    /// A field of every image's recipe: steps=20, scheduler=dpmpp_2m_karras, width=768, …
    #[arg(long = "recipe", value_name = "FIELD=VALUE")]
    pub recipe: Vec<String>,
    /// An option of the generator: dtype=float16, provider=CUDAExecutionProvider, …
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// Where ComfyUI answers
    #[arg(long, value_name = "URL")]
    pub comfyui_url: Option<String>,
    /// ComfyUI's workflow, a file in API format
    #[arg(long, value_name = "FILE")]
    pub workflow: Option<String>,
    /// Of the generator `api`: fal, replicate, openai or custom. Of `onnx`: where it computes
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Where the generator `api` or `a1111` answers
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The key of a hosted back end; better in DIFFTEST_API_KEY, which other users do not see
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Images generated at once, instead of the generator's own choice
    #[arg(long, value_name = "N")]
    pub batch_size: Option<String>,
    /// Threads of native metrics, and requests at a time to a hosted back end
    #[arg(long, value_name = "N")]
    pub jobs: Option<String>,
    /// The card's memory that all models may take together, for instance 20GiB
    #[arg(long, value_name = "SIZE")]
    pub vram_budget: Option<String>,
    /// Gives up on an image after this long, for instance 90s
    #[arg(long, value_name = "DURATION")]
    pub image_timeout: Option<String>,
}

impl SelectArgs {
    /// The selection as its command line, but for the key, which is a secret.
    pub fn to_args(&self) -> Vec<String> {
        // Every field is named, so that none that is added later is forgotten.
        let SelectArgs {
            model,
            device,
            generator,
            test_dir,
            suite,
            config,
            filter,
            tests,
            recipe,
            options,
            comfyui_url,
            workflow,
            provider,
            endpoint,
            api_key: _,
            batch_size,
            jobs,
            vram_budget,
            image_timeout,
        } = self;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let single = [
            ("--model", model.clone()),
            ("--device", device.clone()),
            ("--generator", generator.clone()),
            ("--test-dir", path(test_dir)),
            ("--suite", suite.clone()),
            ("--config", path(config)),
            ("--filter", filter.clone()),
            ("--comfyui-url", comfyui_url.clone()),
            ("--workflow", workflow.clone()),
            ("--provider", provider.clone()),
            ("--endpoint", endpoint.clone()),
            ("--batch-size", batch_size.clone()),
            ("--jobs", jobs.clone()),
            ("--vram-budget", vram_budget.clone()),
            ("--image-timeout", image_timeout.clone()),
        ];
        let single =
            single.into_iter().filter_map(|(flag, value)| Some(format!("{flag}={}", value?)));
        let many = [("--test", tests), ("--recipe", recipe), ("--option", options)];
        let many = many
            .into_iter()
            .flat_map(|(flag, values)| values.iter().map(move |value| format!("{flag}={value}")));
        single.chain(many).collect()
    }
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
    /// Write a report with all images here, as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the results here, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
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
    /// Say what would run, how long it might take and what it might cost, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Take images from the cache where nothing that decides them has changed
    #[arg(long)]
    pub incremental: bool,
    /// Go on with a run that ended early: its identifier, or its folder
    #[arg(long, value_name = "RUN", conflicts_with = "run_dir")]
    pub resume: Option<String>,
    /// Make what standard input says, a JSON line at a time, as `difftest compare --base` and the
    /// runner do (docs/events.md)
    #[arg(long, conflicts_with_all = ["resume", "fail_fast", "dry_run"])]
    pub steer: bool,
    /// Stop after the first test that does not pass
    #[arg(long)]
    pub fail_fast: bool,
    /// Ends the run after this long, for instance 20m; the tests left over are not run
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Fewer scored images than this say nothing about a metric
    #[arg(long, value_name = "N")]
    pub min_samples: Option<String>,
    /// Make at most so many images, spread evenly over the tests
    #[arg(long, value_name = "N")]
    pub max_images: Option<NonZeroUsize>,
    /// Add N to every seed of every test: the same suite on other seeds
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed_offset: i64,
    /// Leave the run out of the history and its trends
    #[arg(long)]
    pub no_history: bool,
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
    Save(Box<SelectArgs>),
    /// Generate every baseline again and overwrite those that exist
    Update(Box<SelectArgs>),
}

/// The images that `difftest run --incremental` keeps.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub action: CacheAction,
}

#[derive(Debug, Clone, Subcommand)]
pub enum CacheAction {
    /// Say how many images are kept, and how large they are
    Stats,
    /// Remove them all
    Clear,
}

/// The configuration that is in force here.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ConfigAction {
    /// Say every setting, and where each came from
    Show(Box<SelectArgs>),
}

/// Which sources of difference move this suite's images and scores, and by how much.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    /// Only these sources, separated by commas: again, batch_size, threads, dtype, device, attention
    #[arg(long, value_name = "SOURCES", value_delimiter = ',', value_parser = source)]
    pub only: Vec<Source>,
    /// Make at most so many images a run, spread evenly over the tests
    #[arg(long, value_name = "N")]
    pub max_images: Option<NonZeroUsize>,
    /// Write the findings here, as JSON
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a report here, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

fn source(text: &str) -> Result<Source, String> {
    let names = Source::ALL.map(Source::name);
    let found = Source::ALL.into_iter().find(|source| source.name() == text.trim());
    found.ok_or_else(|| match nearest(text, names) {
        Some(meant) => format!("there is no such source; did you mean `{meant}`?"),
        None => format!("there is no such source; there are {}", names.join(", ")),
    })
}

/// Margins from the base against itself, written into the configuration.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    /// Make at most so many images a run, spread evenly over the tests
    #[arg(long, value_name = "N")]
    pub max_images: Option<NonZeroUsize>,
    /// Replace margins and drops that the configuration has already
    #[arg(long)]
    pub overwrite: bool,
    /// Show what would change in the configuration, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write what was measured here, as JSON
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
