//! Which prompt suites there are: the ones that come with difftest, and files of the repository.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

/// A prompt suite that comes with difftest, as its JSON file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltinSuite {
    pub name: &'static str,
    pub description: String,
    pub prompts: usize,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../python/difftest/suites/", $name, ".json")))),*]
    };
}

/// The package's own files: the server must know them on machines without the package, too.
const SOURCES: [(&str, &str); 12] = sources![
    "abstract",
    "animals",
    "architecture",
    "composition",
    "food",
    "general",
    "hands",
    "medical",
    "portraits",
    "shapes",
    "styles",
    "text",
];

static BUILTIN: LazyLock<Vec<BuiltinSuite>> = LazyLock::new(|| {
    let read = |(name, source): (&'static str, &str)| {
        let content: Value = serde_json::from_str(source).unwrap_or_default();
        BuiltinSuite {
            name,
            description: content["description"].as_str().unwrap_or_default().to_owned(),
            prompts: content["prompts"].as_array().map_or(0, Vec::len),
        }
    };
    SOURCES.into_iter().map(read).collect()
});

pub fn builtin() -> &'static [BuiltinSuite] {
    &BUILTIN
}

pub fn find(name: &str) -> Option<&'static BuiltinSuite> {
    builtin().iter().find(|suite| suite.name == name)
}

/// What files of prompts end in.
pub const ENDINGS: [&str; 4] = ["json", "yaml", "yml", "txt"];

/// Whether this is meant as a path and not as a name: names have neither folders nor an ending.
pub fn is_path(name: &str) -> bool {
    name.contains(['/', std::path::MAIN_SEPARATOR]) || Path::new(name).extension().is_some()
}

/// Whether a file of this name can hold a suite.
pub fn has_ending(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// The files of prompts that a relative path may mean: beside the test, then at the roots.
pub fn places(path: &str, test: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let beside = test.parent().into_iter().map(Path::to_owned);
    beside.chain(roots.iter().cloned()).map(|folder| folder.join(path)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn the_suites_are_those_of_the_package() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/difftest/suites");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(builtin().iter().map(|suite| suite.name).collect::<Vec<_>>(), names);
        assert!(builtin().iter().all(|suite| suite.prompts >= 10 && suite.description.len() > 40));
    }

    #[test]
    fn a_path_is_told_from_a_name() {
        assert!(["p.yaml", "prompts/faces", "./general", "a.csv"].iter().all(|p| is_path(p)));
        assert!(["general", "generl", ""].iter().all(|name| !is_path(name)));
        assert!(has_ending("p.YAML") && !has_ending("p.csv") && !has_ending("prompts/faces"));
        let root = PathBuf::from("/r");
        assert_eq!(
            places("p.txt", Path::new("/r/tests/test_a.py"), &[root]),
            [PathBuf::from("/r/tests/p.txt"), PathBuf::from("/r/p.txt")]
        );
    }
}
