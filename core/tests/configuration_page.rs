//! docs/configuration.md says what there is, and its examples are read as they stand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use difftest_core::config::{self, KEYS, Settings, VERDICT_KEYS, Variables, VerdictSettings};

fn page() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_table_has_every_key_and_no_other() {
    let page = page();
    let documented: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(documented, KEYS.into_iter().collect());
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let (defaults, page) = (Settings::default(), page());
    for (key, value, _) in defaults.shown() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
        let default = row.split('|').nth(2).unwrap().trim();
        let same = default.replace('`', "") == value || default.starts_with(&value);
        assert!(same, "{key}: the page says {default}, the code {value}");
    }
}

#[test]
fn the_verdict_has_every_key_with_its_default() {
    let (page, defaults) = (page(), VerdictSettings::default());
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
        .map(|key| key.split('.').next().unwrap_or(key))
        .collect();
    assert_eq!(documented, VERDICT_KEYS.into_iter().collect());
    for (key, value) in defaults.shown() {
        let row = page.lines().find(|line| line.starts_with(&format!("- `{key}`"))).unwrap();
        let default = row.split([',', ':']).nth(1).unwrap().trim().replace('`', "");
        assert_eq!(default, value, "{key}");
    }
}

#[test]
fn the_example_is_read_as_the_text_says() {
    let page = page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = config::parse(example, config::FILE, Variables::From(&|_| None)).unwrap();
    let draft = config.settings(Some("draft")).unwrap();
    assert_eq!((draft.recipe.steps, draft.recipe.guidance), (Some(1), Some(0.0)));
    assert_eq!(draft.options["revision"], "main");
    assert_eq!(config.settings(Some("quality")).unwrap().recipe.steps, Some(4));
}
