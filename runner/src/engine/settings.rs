//! What a run uses: command line over environment over `difftest.toml` over `[tool.difftest]`.
//!
//! clap has already put the environment under the command line.

use std::path::{Path, PathBuf};

use difftest_core::config::{self, Config, Settings};
use difftest_core::metric::nearest;

use super::args::SelectArgs;
use super::error::EngineError;

/// What to run, with every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The repository's root: places, baselines and generators are relative to it.
    pub root: PathBuf,
    pub test_dir: PathBuf,
    pub model: String,
    pub device: String,
    pub generator: Option<String>,
    pub filter: Option<String>,
    pub batch_size: Option<usize>,
}

/// Reads the configuration that is in force for `cwd` and lays the command line over it.
pub fn resolve(args: &SelectArgs, cwd: &Path) -> Result<Target, EngineError> {
    let asked = args.test_dir.as_ref().map(|dir| cwd.join(dir));
    if let Some(dir) = asked.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(EngineError::NoTestDir(dir.clone()));
    }
    let (config, root) = match &args.config {
        Some(file) => {
            let file = cwd.join(file);
            let config = read(&file)?.unwrap_or_else(empty);
            (config, file.parent().unwrap_or(cwd).to_owned())
        }
        None => {
            let from = asked.as_deref().unwrap_or(cwd);
            match nearest_config(from)? {
                Some(found) => found,
                None if from.starts_with(cwd) => (empty(), cwd.to_owned()),
                None => (empty(), from.to_owned()),
            }
        }
    };
    let settings = config.settings(args.suite.as_deref()).ok_or_else(|| {
        let name = args.suite.clone().unwrap_or_default();
        EngineError::UnknownSuite { hint: suites_hint(&name, &config), name }
    })?;
    let target = lay_over(settings, args, root, asked);
    if target.test_dir.is_dir() { Ok(target) } else { Err(EngineError::NoTestDir(target.test_dir)) }
}

fn lay_over(
    settings: &Settings,
    args: &SelectArgs,
    root: PathBuf,
    test_dir: Option<PathBuf>,
) -> Target {
    Target {
        test_dir: test_dir.unwrap_or_else(|| root.join(&settings.test_dir)),
        root,
        model: args.model.clone().unwrap_or_else(|| settings.model.clone()),
        device: args.device.clone().unwrap_or_else(|| settings.device.clone()),
        generator: args.generator.clone().or_else(|| settings.generator.clone()),
        filter: args.filter.clone(),
        batch_size: args.batch_size.map(std::num::NonZeroUsize::get),
    }
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

fn empty() -> Config {
    Config {
        defaults: Settings::default(),
        suites: std::collections::BTreeMap::new(),
        verdict: config::VerdictSettings::default(),
    }
}

/// The first configuration on the way from `from` up to the repository's top, with its folder.
fn nearest_config(from: &Path) -> Result<Option<(Config, PathBuf)>, EngineError> {
    for dir in from.ancestors() {
        for file in [config::FILE, "pyproject.toml"] {
            let file = dir.join(file);
            if file.is_file()
                && let Some(config) = read(&file)?
            {
                return Ok(Some((config, dir.to_owned())));
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
    Ok(match name.as_str() {
        "pyproject.toml" => config::parse_pyproject(&text, &name)?,
        _ => Some(config::parse(&text, &name)?),
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
        assert_eq!((target.model.as_str(), target.device.as_str()), ("m", "cuda"));
        assert_eq!(target.test_dir, dir.path().join("checks"));
        let args = SelectArgs { device: Some("cpu".into()), ..args };
        assert_eq!(resolve(&args, dir.path()).unwrap().device, "cpu");
    }

    #[test]
    fn difftest_toml_wins_over_pyproject_and_is_found_from_below() {
        let dir = repository();
        let path = dir.path();
        std::fs::write(path.join("pyproject.toml"), "[tool.difftest]\nmodel = \"a\"\n").unwrap();
        let args = SelectArgs { test_dir: Some("deep".into()), ..SelectArgs::default() };
        let target = resolve(&args, &path.join("checks")).unwrap();
        assert_eq!((target.model.as_str(), target.root.as_path()), ("a", path));
        assert_eq!(target.test_dir, path.join("checks/deep"));
        std::fs::write(path.join("difftest.toml"), "model = \"b\"\n").unwrap();
        assert_eq!(resolve(&args, &path.join("checks")).unwrap().model, "b");
    }

    #[test]
    fn what_is_missing_is_named_with_its_mend() {
        let dir = repository();
        let message = |args: SelectArgs| resolve(&args, dir.path()).unwrap_err().to_string();
        assert!(message(SelectArgs::default()).contains("--test-dir"));
        std::fs::write(
            dir.path().join("difftest.toml"),
            "test_dir = \"checks\"\n[suites.shapes]\n",
        )
        .unwrap();
        let wrong = message(SelectArgs { suite: Some("shape".into()), ..SelectArgs::default() });
        assert!(wrong.contains("did you mean `shapes`?"), "{wrong}");
    }
}
