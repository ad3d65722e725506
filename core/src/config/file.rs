//! The file: TOML to settings, with the line of whatever is wrong in it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::{Variables, expand};
use super::settings::{Given, KEYS, Origin, Settings, unknown};
use super::{Config, ConfigError, VerdictSettings};

/// Reads `difftest.toml`. `file` is how errors name it.
pub fn parse(text: &str, file: &str, variables: Variables<'_>) -> Result<Config, ConfigError> {
    let reader = Reader { text, file, variables };
    let table = reader.table(text)?;
    reader.config(&table)
}

/// Reads `[tool.difftest]` of a `pyproject.toml`; None where it has no such table.
pub fn parse_pyproject(
    text: &str,
    file: &str,
    variables: Variables<'_>,
) -> Result<Option<Config>, ConfigError> {
    let reader = Reader { text, file, variables };
    let project = reader.table(text)?;
    let own = project.get("tool").and_then(|tool| tool.get_ref().get("difftest"));
    own.and_then(|own| own.get_ref().as_table()).map(|own| reader.config(own)).transpose()
}

const TABLES: [&str; 2] = ["suites", "verdict"];

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    variables: Variables<'a>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> u32 {
        (self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1) as u32
    }

    fn error(&self, span: &Range<usize>, message: impl ToString) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line: self.line(span.start),
            message: message.to_string(),
        }
    }

    fn table<'t>(&self, text: &'t str) -> Result<DeTable<'t>, ConfigError> {
        DeTable::parse(text)
            .map(Spanned::into_inner)
            .map_err(|e| self.error(&e.span().unwrap_or_default(), e.message()))
    }

    fn config(&self, top: &DeTable<'_>) -> Result<Config, ConfigError> {
        let mut defaults = Settings::default();
        for (key, value) in top {
            if !TABLES.contains(&key.get_ref().as_ref()) {
                self.set(&mut defaults, key, value, &[&KEYS[..], &TABLES].concat())?;
            }
        }
        let mut suites = BTreeMap::new();
        if let Some(table) = top.get("suites") {
            for (name, suite) in self.as_table(table, "suites")? {
                if !is_suite_name(name.get_ref()) {
                    let message = format!(
                        "`{}` cannot name a suite; use at most 60 letters, digits, `-`, `_` and `.`",
                        name.get_ref()
                    );
                    return Err(self.error(&name.span(), message));
                }
                let mut settings = defaults.clone();
                for (key, value) in self.as_table(suite, name.get_ref())? {
                    self.set(&mut settings, key, value, &KEYS)?;
                }
                suites.insert(name.get_ref().clone().into_owned(), settings);
            }
        }
        let (mut verdict, mut verdict_origins) = (VerdictSettings::default(), BTreeMap::new());
        if let Some(table) = top.get("verdict") {
            let table = self.as_table(table, "verdict")?;
            self.verdict(&mut verdict, &mut verdict_origins, "", table)?;
        }
        Ok(Config { defaults, suites, verdict, verdict_origins })
    }

    /// One key of a suite or of the top; the keys of its tables one by one, over those above it.
    fn set(
        &self,
        settings: &mut Settings,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        known: &[&str],
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        match name {
            "recipe" | "options" => {
                for (key, value) in self.as_table(value, name)? {
                    let dotted = format!("{name}.{}", key.get_ref());
                    self.set_one(settings, &dotted, &key.span(), value)?;
                }
                Ok(())
            }
            name if !KEYS.contains(&name) => Err(self.error(&key.span(), unknown(name, known))),
            name => self.set_one(settings, name, &key.span(), value),
        }
    }

    fn set_one(
        &self,
        settings: &mut Settings,
        key: &str,
        at: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let given = Given::Typed(self.json(value)?);
        let origin = Origin::File { file: self.file.into(), line: self.line(at.start) };
        settings.set(key, &given, origin).map_err(|e| self.error(at, e))
    }

    fn as_table<'t>(
        &self,
        value: &'t Spanned<DeValue<'_>>,
        name: &str,
    ) -> Result<&'t DeTable<'t>, ConfigError> {
        value.get_ref().as_table().ok_or_else(|| {
            self.error(&value.span(), format!("`{name}` is a table; write [{name}] above its keys"))
        })
    }

    /// The keys of `[verdict]` and its tables one by one, dotted.
    fn verdict(
        &self,
        verdict: &mut VerdictSettings,
        origins: &mut BTreeMap<String, Origin>,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if matches!(name.as_str(), "margins" | "tail" | "tail.drops") {
                let table = self.as_table(value, &name)?;
                self.verdict(verdict, origins, &format!("{name}."), table)?;
            } else {
                let value = self.json(value)?;
                verdict.set(&name, &value).map_err(|e| self.error(&key.span(), e))?;
                let line = self.line(key.span().start);
                origins.insert(name, Origin::File { file: self.file.into(), line });
            }
        }
        Ok(())
    }

    /// The value as JSON, its variables expanded.
    fn json(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, ConfigError> {
        let wrong = |what: &str| self.error(&value.span(), what);
        Ok(match value.get_ref() {
            DeValue::String(text) => {
                expand(text, self.variables).map_err(|e| self.error(&value.span(), e))?.into()
            }
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|_| wrong("this integer is too large"))?
                .into(),
            DeValue::Float(float) => float
                .as_str()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .ok_or_else(|| wrong("this is no finite number"))?
                .into(),
            DeValue::Boolean(truth) => (*truth).into(),
            DeValue::Datetime(_) => return Err(wrong("no key takes a date; put it in quotes")),
            DeValue::Array(items) => {
                items.iter().map(|item| self.json(item)).collect::<Result<Vec<_>, _>>()?.into()
            }
            DeValue::Table(table) => Value::Object(
                table
                    .iter()
                    .map(|(key, value)| Ok((key.get_ref().to_string(), self.json(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

fn is_suite_name(name: &str) -> bool {
    (1..=60).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::config::FILE;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let lookup = |name: &str| (name == "DTYPE").then(|| "float16".to_owned());
        parse(text, FILE, Variables::From(&lookup))
    }

    #[test]
    fn a_suite_inherits_the_keys_above_it_and_the_fields_of_their_tables() {
        let config = read(
            "model = \"shapes\"\ngenerator = \"pipeline:make\"\n[recipe]\nsteps = 20\nguidance = 7\n\
             [options]\ndtype = \"${DTYPE}\"\n\
             [suites.quick]\nlabels = [\"cpu\"]\ntimeout = \"20m\"\n[suites.quick.recipe]\nsteps = 4\n\
             [verdict]\nmargins = { clip_score = 0.05 }\n",
        )
        .unwrap();
        let quick = config.settings(Some("quick")).unwrap();
        assert_eq!(quick.generator.as_deref(), Some("pipeline:make"));
        assert_eq!((quick.job_timeout(), quick.network), (1200, false));
        assert_eq!((quick.recipe.steps, quick.recipe.guidance), (Some(4), Some(7.0)));
        assert_eq!(quick.options["dtype"], "float16");
        assert_eq!(quick.origins["recipe.steps"].to_string(), "difftest.toml:12");
        assert_eq!(quick.origins["recipe.guidance"].to_string(), "difftest.toml:5");
        assert_eq!(config.defaults.recipe.steps, Some(20));
        assert_eq!((config.verdict.margins["clip_score"], config.verdict.alpha), (0.05, 0.05));
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_its_mend() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(
            message("[suites.a]\nmodel = \"shapes\"\nlables = []\n"),
            "difftest.toml:3: unknown key `lables`; did you mean `labels`?"
        );
        assert!(
            message("[suites.a]\ntimeout = \"soon\"\n").starts_with("difftest.toml:2: `timeout")
        );
        assert!(message("\ntest_dir = \"../../etc\"").starts_with("difftest.toml:2: "));
        assert!(message("test_dir = \"../../etc\"").contains("leaves the repository"));
        assert!(message("a = = 1").starts_with("difftest.toml:1: "));
        assert!(message("[verdict]\nalpha = 2.0").contains("between 0 and 0.5"));
        assert!(message("[suites.\"a b\"]\n").contains("cannot name a suite"));
        assert!(message("[recipe]\nstep = 3").contains("did you mean `steps`?"));
        assert!(message("suites = 3").contains("is a table"));
        assert!(message("[suite.x]\nmodel = \"m\"").contains("did you mean `suites`?"));
        assert!(message("\n\nmodel = \"${NOPE}\"").starts_with("difftest.toml:3: the environment"));
        assert!(message("model = 1979-05-27").contains("date"));
        assert!(message("jobs = 99999999999999999999").contains("too large"));
    }

    #[test]
    fn a_server_reads_the_file_without_its_environment() {
        let text = "model = \"${HOME}\"\ntimeout = \"${T:-20m}\"\n";
        let settings = parse(text, FILE, Variables::Unknown).unwrap().defaults;
        assert_eq!((settings.model.as_str(), settings.timeout), ("${HOME}", Some(1200)));
    }

    #[test]
    fn pyproject_has_the_same_keys_in_its_table() {
        let read = |text| parse_pyproject(text, "pyproject.toml", Variables::Unknown);
        let text =
            "[project]\nname = \"x\"\n[tool.difftest]\nmodel = \"m\"\n[tool.difftest.suites.s]\n";
        assert_eq!(read(text).unwrap().unwrap().suites["s"].model, "m");
        assert_eq!(read("[project]\nname = \"x\"\n").unwrap(), None);
        let wrong = read("[tool.difftest]\nmodle = \"m\"\n").unwrap_err().to_string();
        assert!(wrong.contains("did you mean `model`?"), "{wrong}");
    }
}
