//! What a run uses: command line over environment over `difftest.toml` over `[tool.difftest]`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use difftest_core::config::{
    self, Config, Given, KEYS, Origin, SetError, Settings, Variables, VerdictSettings,
};
use difftest_core::filter::Filter;
use difftest_core::metric::nearest;

use super::args::{RunArgs, SelectArgs};
use super::error::EngineError;
use super::plan::{Plan, PlannedTest};

/// What to run, with every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The repository's root: places, baselines and generators are relative to it.
    pub root: PathBuf,
    pub test_dir: PathBuf,
    pub settings: Settings,
    pub filter: Option<Filter>,
    /// Names or identifiers; all of them where there is none.
    pub tests: Vec<String>,
    pub verdict: VerdictSettings,
    pub verdict_origins: BTreeMap<String, Origin>,
    /// The file that all this was read from, where there is one.
    pub config_file: Option<PathBuf>,
    /// At most so many images.
    pub max_images: Option<usize>,
    /// What every seed is more than its test says.
    pub seed_offset: i64,
}

/// The target of `difftest run`, with the settings that only a run has.
pub fn of_run(args: &RunArgs, cwd: &Path) -> Result<Target, EngineError> {
    let flags = [
        ("timeout", "--timeout", args.timeout.clone()),
        ("min_samples", "--min-samples", args.min_samples.clone()),
        ("incremental", "--incremental", args.incremental.then(|| "true".to_owned())),
    ];
    let target = resolve_with(&args.select, &flags, cwd)?.with_tests()?;
    let max_images = args.max_images.map(NonZeroUsize::get);
    Ok(Target { max_images, seed_offset: args.seed_offset, ..target })
}

/// Reads the configuration that is in force for `cwd` and lays the environment and the command
/// line over it.
pub fn resolve(args: &SelectArgs, cwd: &Path) -> Result<Target, EngineError> {
    resolve_with(args, &[], cwd)
}

impl Target {
    /// Checks that there is a folder of tests, without which nothing can run.
    pub fn with_tests(self) -> Result<Self, EngineError> {
        if self.test_dir.is_dir() { Ok(self) } else { Err(EngineError::NoTestDir(self.test_dir)) }
    }

    /// `--jobs`, or one for each core.
    pub fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.settings.jobs.map_or_else(cores, |n| n as usize)
    }

    /// Leaves only the tests that `--test` and `--filter` ask for.
    pub fn select(&self, plan: &mut Plan) -> Result<(), EngineError> {
        let discovered = plan.tests.len();
        for wanted in &self.tests {
            if !plan.tests.iter().any(|test| is_called(test, wanted)) && plan.errors.is_empty() {
                let names = plan.tests.iter().map(|test| test.spec.id.name());
                let hint = match nearest(wanted, names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("`difftest run --dry-run` lists the {discovered} there are"),
                };
                return Err(EngineError::UnknownTest { name: wanted.clone(), hint });
            }
        }
        if !self.tests.is_empty() {
            plan.tests.retain(|test| self.tests.iter().any(|wanted| is_called(test, wanted)));
        }
        if let Some(filter) = &self.filter {
            plan.tests.retain(|test| filter.matches(&test.spec));
        }
        if plan.tests.is_empty() && plan.errors.is_empty() {
            return Err(EngineError::NothingSelected { discovered });
        }
        Ok(())
    }
}

fn is_called(test: &PlannedTest, wanted: &str) -> bool {
    wanted == test.spec.id.name() || wanted == test.spec.id.as_str()
}

/// A key, the flag that set it, and its value where it was given.
type Flag = (&'static str, &'static str, Option<String>);

fn resolve_with(args: &SelectArgs, more: &[Flag], cwd: &Path) -> Result<Target, EngineError> {
    let filter = args.filter.as_deref().map(Filter::parse).transpose()?;
    let asked = args.test_dir.as_ref().map(|dir| cwd.join(dir));
    if let Some(dir) = asked.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(EngineError::NoTestDir(dir.clone()));
    }
    let from = asked.as_deref().unwrap_or(cwd);
    let found = match &args.config {
        Some(file) => {
            let file = cwd.join(file);
            Some((read(&file)?.unwrap_or_default(), file))
        }
        None => nearest_config(from)?,
    };
    let (config, config_file) = found.unzip();
    let config = config.unwrap_or_default();
    let root = match config_file.as_deref().map(|file| file.parent().unwrap_or(cwd)) {
        Some(dir) => dir.to_owned(),
        None if from.starts_with(cwd) => cwd.to_owned(),
        None => from.to_owned(),
    };
    let mut settings = config
        .settings(args.suite.as_deref())
        .ok_or_else(|| {
            let name = args.suite.clone().unwrap_or_default();
            EngineError::UnknownSuite { hint: suites_hint(&name, &config), name }
        })?
        .clone();
    environment(&mut settings, |name| std::env::var(name).ok())?;
    command_line(&mut settings, args, more)?;
    let test_dir = match asked {
        Some(dir) => {
            let origin = Origin::CommandLine("--test-dir".into());
            settings.origins.insert("test_dir".into(), origin);
            settings.test_dir = dir.strip_prefix(&root).unwrap_or(&dir).display().to_string();
            dir
        }
        None => root.join(&settings.test_dir),
    };
    let (tests, verdict) = (args.tests.clone(), config.verdict.clone());
    Ok(Target {
        root,
        test_dir,
        settings,
        filter,
        tests,
        verdict,
        verdict_origins: config.verdict_origins.clone(),
        config_file,
        max_images: None,
        seed_offset: 0,
    })
}

/// Every key as `DIFFTEST_` and its name in capitals. Tables have no variable; the key of a
/// hosted back end is `DIFFTEST_API_KEY`.
fn environment(
    settings: &mut Settings,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<(), EngineError> {
    let plain = KEYS.iter().filter(|key| !matches!(**key, "recipe" | "options"));
    for key in plain.copied().chain(["options.api_key"]) {
        let name = key.rsplit('.').next().unwrap_or(key);
        let name = format!("DIFFTEST_{}", name.to_uppercase());
        if let Some(value) = lookup(&name).filter(|value| !value.is_empty()) {
            let origin = Origin::Environment(name.clone());
            settings
                .set(key, &Given::Text(value), origin)
                .map_err(|source| EngineError::Setting { place: name, source })?;
        }
    }
    Ok(())
}

fn command_line(
    settings: &mut Settings,
    args: &SelectArgs,
    more: &[Flag],
) -> Result<(), EngineError> {
    let flags = [
        ("model", "--model", args.model.clone()),
        ("device", "--device", args.device.clone()),
        ("generator", "--generator", args.generator.clone()),
        ("batch_size", "--batch-size", args.batch_size.clone()),
        ("jobs", "--jobs", args.jobs.clone()),
        ("vram_budget", "--vram-budget", args.vram_budget.clone()),
        ("image_timeout", "--image-timeout", args.image_timeout.clone()),
        ("options.url", "--comfyui-url", args.comfyui_url.clone()),
        ("options.workflow", "--workflow", args.workflow.clone()),
        ("options.provider", "--provider", args.provider.clone()),
        ("options.endpoint", "--endpoint", args.endpoint.clone()),
        ("options.api_key", "--api-key", args.api_key.clone()),
    ];
    for (key, flag, value) in flags.iter().chain(more) {
        if let Some(value) = value {
            set(settings, key, value, flag)?;
        }
    }
    let pairs = [("recipe", "--recipe", &args.recipe), ("options", "--option", &args.options)];
    for (table, flag, pairs) in pairs {
        for pair in pairs {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| EngineError::NotAPair { flag, given: pair.clone() })?;
            set(settings, &format!("{table}.{}", name.trim()), value, flag)?;
        }
    }
    Ok(())
}

fn set(settings: &mut Settings, key: &str, value: &str, flag: &str) -> Result<(), EngineError> {
    settings
        .set(key, &Given::Text(value.to_owned()), Origin::CommandLine(flag.to_owned()))
        .map_err(|source: SetError| EngineError::Setting { place: flag.to_owned(), source })
}

fn suites_hint(name: &str, config: &Config) -> String {
    let known: Vec<&str> = config.suites.keys().map(String::as_str).collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => {
            format!("it has no suites; add a table `[suites.{name}]` to {}", config::FILE)
        }
        None => format!("its suites are {}", known.join(", ")),
    }
}

/// `difftest config show`: a line a setting, with where it came from.
pub fn show(target: &Target) -> String {
    let verdict = target.verdict.shown().into_iter().map(|(key, value)| {
        let origin = target.verdict_origins.get(&key);
        (format!("verdict.{key}"), value, origin)
    });
    let rows: Vec<_> = target.settings.shown().into_iter().chain(verdict).collect();
    let widest = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let keys = widest(&mut rows.iter().map(|(key, ..)| key));
    let values = widest(&mut rows.iter().map(|(_, value, _)| value)).min(48);
    let mut out = format!("root: {}\n", target.root.display());
    for (key, value, origin) in &rows {
        let origin = origin.map_or_else(|| "default".to_owned(), ToString::to_string);
        out.push_str(&format!("{key:keys$} = {value:values$}  # {origin}\n"));
    }
    out
}

/// The first configuration on the way from `from` up to the repository's top, with its file.
fn nearest_config(from: &Path) -> Result<Option<(Config, PathBuf)>, EngineError> {
    for dir in from.ancestors() {
        for file in [config::FILE, "pyproject.toml"] {
            let file = dir.join(file);
            if file.is_file()
                && let Some(config) = read(&file)?
            {
                return Ok(Some((config, file)));
            }
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    Ok(None)
}

/// None for a `pyproject.toml` without `[tool.difftest]`.
fn read(file: &Path) -> Result<Option<Config>, EngineError> {
    let text =
        std::fs::read_to_string(file).map_err(EngineError::file("read the configuration", file))?;
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let lookup = |name: &str| std::env::var(name).ok();
    let here = Variables::From(&lookup);
    Ok(match name.as_str() {
        "pyproject.toml" => config::parse_pyproject(&text, &name, here)?,
        _ => Some(config::parse(&text, &name, here)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("checks/deep")).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        dir
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_defaults() {
        let dir = repository();
        std::fs::write(
            dir.path().join("difftest.toml"),
            "model = \"m\"\ntest_dir = \"checks\"\n[suites.gpu]\ndevice = \"cuda\"\n",
        )
        .unwrap();
        let args = SelectArgs { suite: Some("gpu".into()), ..SelectArgs::default() };
        let target = resolve(&args, dir.path()).unwrap();
        let settings = &target.settings;
        assert_eq!((settings.model.as_str(), settings.device.as_str()), ("m", "cuda"));
        assert_eq!(target.test_dir, dir.path().join("checks"));
        let args = SelectArgs { device: Some("cpu".into()), ..args };
        assert_eq!(resolve(&args, dir.path()).unwrap().settings.device, "cpu");
    }

    #[test]
    fn difftest_toml_wins_over_pyproject_and_is_found_from_below() {
        let dir = repository();
        let path = dir.path();
        std::fs::write(path.join("pyproject.toml"), "[tool.difftest]\nmodel = \"a\"\n").unwrap();
        let args = SelectArgs { test_dir: Some("deep".into()), ..SelectArgs::default() };
        let target = resolve(&args, &path.join("checks")).unwrap();
        assert_eq!((target.settings.model.as_str(), target.root.as_path()), ("a", path));
        assert_eq!(target.test_dir, path.join("checks/deep"));
        std::fs::write(path.join("difftest.toml"), "model = \"b\"\n").unwrap();
        assert_eq!(resolve(&args, &path.join("checks")).unwrap().settings.model, "b");
    }

    #[test]
    fn what_is_missing_is_named_with_its_mend() {
        let dir = repository();
        let message = |args: SelectArgs| {
            resolve(&args, dir.path()).and_then(Target::with_tests).unwrap_err().to_string()
        };
        assert!(message(SelectArgs::default()).contains("--test-dir"));
        std::fs::write(
            dir.path().join("difftest.toml"),
            "test_dir = \"checks\"\n[suites.shapes]\n",
        )
        .unwrap();
        let wrong = message(SelectArgs { suite: Some("shape".into()), ..SelectArgs::default() });
        assert!(wrong.contains("did you mean `shapes`?"), "{wrong}");
    }

    #[test]
    fn every_value_says_where_it_came_from() {
        let dir = repository();
        std::fs::create_dir(dir.path().join("tests")).unwrap();
        std::fs::write(
            dir.path().join("difftest.toml"),
            "\n[recipe]\nsteps = 20\nguidance = 5\n[options]\ndtype = \"float16\"\n\
             [verdict]\nmargins = { lpips = 0.1 }\n",
        )
        .unwrap();
        let args = SelectArgs {
            recipe: vec!["steps=4".into()],
            api_key: Some("sk-secret".into()),
            ..SelectArgs::default()
        };
        let shown = show(&resolve(&args, dir.path()).unwrap());
        let line = |key: &str| shown.lines().find(|l| l.starts_with(key)).unwrap().to_owned();
        let steps = line("recipe.steps");
        let (value, origin) = steps.split_once('#').unwrap();
        assert!(
            value.trim_end().ends_with("= 4") && origin == " command line, --recipe",
            "{shown}"
        );
        assert!(line("recipe.guidance").ends_with("# difftest.toml:4"), "{shown}");
        assert!(line("options.dtype").ends_with("# difftest.toml:6"), "{shown}");
        assert!(line("verdict.margins.lpips").ends_with("# difftest.toml:8"), "{shown}");
        assert!(line("verdict.alpha").ends_with("# default"), "{shown}");
        assert!(line("model").ends_with("# default"), "{shown}");
        assert!(!shown.contains("sk-secret"), "{shown}");
    }

    #[test]
    fn the_environment_sets_every_key_and_names_its_mistakes() {
        let mut settings = Settings::default();
        let lookup = |name: &str| match name {
            "DIFFTEST_JOBS" => Some("3".to_owned()),
            "DIFFTEST_API_KEY" => Some("k".to_owned()),
            _ => None,
        };
        environment(&mut settings, lookup).unwrap();
        assert_eq!((settings.jobs, settings.options["api_key"].as_str()), (Some(3), Some("k")));
        let wrong = |name: &str| (name == "DIFFTEST_JOBS").then(|| "many".to_owned());
        let message = environment(&mut settings, wrong).unwrap_err().to_string();
        assert!(message.starts_with("DIFFTEST_JOBS: `jobs = many`"), "{message}");
        let args = SelectArgs { recipe: vec!["steps".into()], ..SelectArgs::default() };
        let message = command_line(&mut settings, &args, &[]).unwrap_err().to_string();
        assert!(message.contains("--recipe `steps`"), "{message}");
    }

    #[test]
    fn every_key_is_an_option_but_those_that_the_page_names() {
        let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
        let options: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        let missing: Vec<&str> = KEYS
            .into_iter()
            .filter(|key| !options.contains(&key.replace('_', "-").trim_end_matches('s')))
            .filter(|key| !options.contains(&key.replace('_', "-").as_str()))
            .collect();
        assert_eq!(missing, ["cache_limit", "labels", "network"]);
    }
}
