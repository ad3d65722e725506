//! `difftest.toml`, or `[tool.difftest]` in `pyproject.toml`: what runs, with what, where.
//!
//! ```toml
//! model = "shapes"               # for every suite below and for `difftest run`
//! generator = "pipeline:make"    # a factory in this repository; without it the model's own
//!
//! [suites.shapes]                # a check run, "difftest / shapes"
//! test_dir = "tests"
//! labels = ["cpu"]               # a runner needs all of them; taken from the base commit
//! timeout = "20m"                # taken from the base commit
//! network = false                # taken from the base commit
//!
//! [verdict]
//! alpha = 0.05
//! margins = { clip_score = 0.02 }
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::metric::nearest;

/// The file's name at a repository's root.
pub const FILE: &str = "difftest.toml";

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The keys outside every table: what `difftest run` uses when no suite is named.
    pub defaults: Settings,
    /// By name, each with the defaults filled in.
    pub suites: BTreeMap<String, Settings>,
    pub verdict: VerdictSettings,
}

/// What a suite runs, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub model: String,
    /// `onnx`, or `module:factory` of a Python object in the repository under test.
    pub generator: Option<String>,
    pub device: String,
    /// Relative to the repository's root.
    pub test_dir: String,
    pub labels: Vec<String>,
    pub timeout_s: u64,
    pub network: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "shapes".into(),
            generator: None,
            device: "cpu".into(),
            test_dir: "tests".into(),
            labels: Vec::new(),
            timeout_s: 3600,
            network: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictSettings {
    /// The chance that a run without a real regression reports one.
    pub alpha: f64,
    /// Per metric, in the metric's own unit.
    pub margins: BTreeMap<String, f64>,
}

impl Default for VerdictSettings {
    fn default() -> Self {
        Self { alpha: 0.05, margins: BTreeMap::new() }
    }
}

impl Config {
    /// The settings of a suite, or the file's defaults where none is named.
    pub fn settings(&self, suite: Option<&str>) -> Option<&Settings> {
        match suite {
            Some(name) => self.suites.get(name),
            None => Some(&self.defaults),
        }
    }
}

/// A configuration that cannot be used, and the line that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ConfigError {
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    pub message: String,
}

#[derive(Deserialize)]
struct PyProject {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    difftest: Option<RawFile>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawFile {
    model: Option<String>,
    generator: Option<String>,
    device: Option<String>,
    test_dir: Option<toml::Spanned<String>>,
    labels: Option<Vec<String>>,
    timeout: Option<toml::Spanned<String>>,
    network: Option<bool>,
    #[serde(default)]
    suites: BTreeMap<toml::Spanned<String>, RawSettings>,
    #[serde(default)]
    verdict: RawVerdict,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    model: Option<String>,
    generator: Option<String>,
    device: Option<String>,
    test_dir: Option<toml::Spanned<String>>,
    labels: Option<Vec<String>>,
    timeout: Option<toml::Spanned<String>>,
    network: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawVerdict {
    alpha: Option<toml::Spanned<f64>>,
    #[serde(default)]
    margins: BTreeMap<String, toml::Spanned<f64>>,
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: usize, message: impl Into<String>) -> ConfigError {
        let line = self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
        ConfigError { file: self.file.into(), line: line as u32, message: message.into() }
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        self.error(error.span().map_or(0, |s: Range<usize>| s.start), said_better(error.message()))
    }

    fn settings(&self, raw: RawSettings, defaults: &Settings) -> Result<Settings, ConfigError> {
        Ok(Settings {
            model: raw.model.unwrap_or_else(|| defaults.model.clone()),
            generator: raw.generator.or_else(|| defaults.generator.clone()),
            device: raw.device.unwrap_or_else(|| defaults.device.clone()),
            test_dir: match raw.test_dir {
                Some(dir) => self.relative(&dir)?,
                None => defaults.test_dir.clone(),
            },
            labels: raw.labels.unwrap_or_else(|| defaults.labels.clone()),
            timeout_s: match raw.timeout {
                Some(timeout) => self.duration(&timeout)?,
                None => defaults.timeout_s,
            },
            network: raw.network.unwrap_or(defaults.network),
        })
    }

    /// A path that stays inside the repository.
    fn relative(&self, dir: &toml::Spanned<String>) -> Result<String, ConfigError> {
        let path = dir.get_ref();
        let leaves = path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..");
        if leaves {
            return Err(self.error(
                dir.span().start,
                format!(
                    "`test_dir = \"{path}\"` leaves the repository; give a path below its root"
                ),
            ));
        }
        Ok(path.clone())
    }

    fn duration(&self, raw: &toml::Spanned<String>) -> Result<u64, ConfigError> {
        parse_duration(raw.get_ref()).ok_or_else(|| {
            self.error(
                raw.span().start,
                format!(
                    "`{}` is not a duration; write for instance \"90s\", \"20m\" or \"2h\"",
                    raw.get_ref()
                ),
            )
        })
    }
}

/// Seconds of `90s`, `20m` or `2h`; at least one second and at most a week.
pub fn parse_duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let seconds = number.trim().parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=7 * 24 * 3600).contains(&seconds).then_some(seconds)
}

/// serde's message for an unknown key lists every key there is; the one that was meant is enough.
fn said_better(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.starts_with("unknown field"), quoted.split_first()) {
        (true, Some((unknown, known))) => match nearest(unknown, known.iter().copied()) {
            Some(meant) => format!("unknown key `{unknown}`; did you mean `{meant}`?"),
            None => format!("unknown key `{unknown}`; the keys here are {}", known.join(", ")),
        },
        _ => message.to_owned(),
    }
}

/// Reads `difftest.toml`. `file` is how errors name it.
pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
    let reader = Reader { text, file };
    let raw: RawFile = toml::from_str(text).map_err(|e| reader.toml_error(&e))?;
    build(&reader, raw)
}

/// Reads `[tool.difftest]` of a `pyproject.toml`; None where it has no such table.
pub fn parse_pyproject(text: &str, file: &str) -> Result<Option<Config>, ConfigError> {
    let reader = Reader { text, file };
    let project: PyProject = toml::from_str(text).map_err(|e| reader.toml_error(&e))?;
    let Some(raw) = project.tool.and_then(|t| t.difftest) else { return Ok(None) };
    build(&reader, raw).map(Some)
}

fn build(reader: &Reader<'_>, raw: RawFile) -> Result<Config, ConfigError> {
    let top = RawSettings {
        model: raw.model,
        generator: raw.generator,
        device: raw.device,
        test_dir: raw.test_dir,
        labels: raw.labels,
        timeout: raw.timeout,
        network: raw.network,
    };
    let defaults = reader.settings(top, &Settings::default())?;
    let mut suites = BTreeMap::new();
    for (name, settings) in raw.suites {
        let is_name = !name.get_ref().is_empty()
            && name.get_ref().len() <= 60
            && name
                .get_ref()
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !is_name {
            return Err(reader.error(
                name.span().start,
                format!(
                    "`{}` cannot name a suite; use at most 60 letters, digits, `-`, `_` and `.`",
                    name.get_ref()
                ),
            ));
        }
        suites.insert(name.into_inner(), reader.settings(settings, &defaults)?);
    }
    let mut verdict = VerdictSettings::default();
    if let Some(alpha) = raw.verdict.alpha {
        if !(*alpha.get_ref() > 0.0 && *alpha.get_ref() < 0.5) {
            return Err(reader.error(alpha.span().start, "`alpha` must lie between 0 and 0.5"));
        }
        verdict.alpha = alpha.into_inner();
    }
    for (metric, margin) in raw.verdict.margins {
        if !(margin.get_ref().is_finite() && *margin.get_ref() >= 0.0) {
            return Err(reader.error(
                margin.span().start,
                format!("the margin of `{metric}` must be a number that is not negative"),
            ));
        }
        verdict.margins.insert(metric, margin.into_inner());
    }
    Ok(Config { defaults, suites, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_inherits_the_keys_above_it() {
        let config = parse(
            "model = \"shapes\"\ngenerator = \"pipeline:make\"\n[suites.quick]\nlabels = [\"cpu\"]\ntimeout = \"20m\"\n\
             [verdict]\nmargins = { clip_score = 0.05 }\n",
            FILE,
        )
        .unwrap();
        let quick = config.settings(Some("quick")).unwrap();
        assert_eq!(quick.generator.as_deref(), Some("pipeline:make"));
        assert_eq!((quick.timeout_s, quick.network), (1200, false));
        assert_eq!(config.verdict.margins["clip_score"], 0.05);
        assert_eq!(config.verdict.alpha, 0.05);
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_its_mend() {
        let message = |text: &str| parse(text, FILE).unwrap_err().to_string();
        assert_eq!(
            message("[suites.a]\nmodel = \"shapes\"\nlables = []\n"),
            "difftest.toml:3: unknown key `lables`; did you mean `labels`?"
        );
        assert!(
            message("[suites.a]\ntimeout = \"soon\"\n")
                .starts_with("difftest.toml:2: `soon` is not a duration")
        );
        assert!(message("test_dir = \"../../etc\"").contains("leaves the repository"));
        assert!(message("a = = 1").starts_with("difftest.toml:1: "));
        assert!(message("[verdict]\nalpha = 2.0").contains("between 0 and 0.5"));
        assert!(message("[suites.\"a b\"]\n").contains("cannot name a suite"));
    }

    #[test]
    fn pyproject_has_the_same_keys_in_its_table() {
        let text =
            "[project]\nname = \"x\"\n[tool.difftest]\nmodel = \"m\"\n[tool.difftest.suites.s]\n";
        let config = parse_pyproject(text, "pyproject.toml").unwrap().unwrap();
        assert_eq!(config.suites["s"].model, "m");
        assert_eq!(parse_pyproject("[project]\nname = \"x\"\n", "pyproject.toml").unwrap(), None);
        let wrong =
            parse_pyproject("[tool.difftest]\nmodle = \"m\"\n", "pyproject.toml").unwrap_err();
        assert!(wrong.to_string().contains("did you mean `model`?"), "{wrong}");
    }
}
