//! What is wrong with `difftest.toml`, or with `[tool.difftest]` of `pyproject.toml`.

use difftest_core::config::{self, Variables};

use crate::rules::{Code, Finding};

/// Whether a file of this name holds difftest's configuration.
pub fn is_configuration(name: &str) -> bool {
    matches!(name, config::FILE | PYPROJECT)
}

const PYPROJECT: &str = "pyproject.toml";

/// What `difftest` would refuse of the file `name` with this text. Environment variables count as
/// set: what they will be is known when it runs.
pub fn check(name: &str, text: &str) -> Vec<Finding> {
    let refused = match name {
        PYPROJECT if !text.contains("tool.difftest") => None, // TOML's errors are others' business
        PYPROJECT => config::parse_pyproject(text, name, Variables::Unknown).err(),
        _ => config::parse(text, name, Variables::Unknown).err(),
    };
    let finding = |error: config::ConfigError| Finding {
        code: Code::Configuration,
        range: line(text, error.line as usize),
        message: error.message,
        fix: None,
    };
    refused.into_iter().map(finding).collect()
}

/// The bytes of a line, counted from 1, without the space around it.
fn line(text: &str, number: usize) -> std::ops::Range<usize> {
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            let from = start + (line.len() - line.trim_start().len());
            return from..(from + line.trim().len());
        }
        start += line.len();
    }
    text.len()..text.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn a_mistake_is_found_in_its_line() {
        let text = "model = \"shapes\"\n  modle = \"x\"  \n";
        let found = check("difftest.toml", text);
        assert_eq!(&text[found[0].range.clone()], "modle = \"x\"");
        assert!(found[0].message.contains("did you mean `model`?"), "{}", found[0].message);
        assert_eq!(check("difftest.toml", "model = \"${MODEL}\"\n[recipe]\nsteps = 20\n"), []);
        let unclosed = "a = \"";
        assert_eq!(check("difftest.toml", unclosed).len(), 1);
    }

    #[test]
    fn a_pyproject_is_judged_for_its_own_table_alone() {
        assert_eq!(check("pyproject.toml", "[project\n"), []);
        assert_eq!(check("pyproject.toml", "[project]\nname = 1\n[tool.ruff]\nx = 1\n"), []);
        let text = "[tool.difftest]\ndevices = \"cpu\"\n";
        let found = check("pyproject.toml", text);
        assert_eq!(&text[found[0].range.clone()], "devices = \"cpu\"");
    }
}
