//! Who may import whom: the rooms of the house, as CONTRIBUTING.md draws them.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().other_options(vec!["--offline".into()]).exec().unwrap()
}

fn shipped(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .packages
        .iter()
        .map(|package| {
            let dependencies = package
                .dependencies
                .iter()
                .filter(|d| d.kind == DependencyKind::Normal)
                .map(|d| d.name.clone())
                .collect();
            (package.name.to_string(), dependencies)
        })
        .collect()
}

#[test]
fn rooms_import_only_downwards() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("difftest-core", &[] as &[&str]),
        ("difftest-store", &["difftest-core"]),
        ("difftest-runner", &["difftest-core", "difftest-store"]),
        ("difftest-app", &["difftest-core", "difftest-store"]),
        ("difftest-lsp", &["difftest-core"]),
        (
            "difftest-python",
            &["difftest-core", "difftest-store", "difftest-runner", "difftest-app", "difftest-lsp"],
        ),
        ("difftest-tests", &[]),
    ]);
    let found = shipped(&workspace());
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        allowed.keys().copied().collect::<Vec<_>>()
    );
    for (room, dependencies) in &found {
        for dependency in dependencies.iter().filter(|d| d.starts_with("difftest-")) {
            assert!(
                allowed[room.as_str()].contains(&dependency.as_str()),
                "{room} must not import {dependency}"
            );
        }
    }
}

#[test]
fn each_boundary_has_one_room() {
    let found = shipped(&workspace());
    let importers = |library: &str| -> Vec<&str> {
        found.iter().filter(|(_, d)| d.contains(library)).map(|(room, _)| room.as_str()).collect()
    };
    assert_eq!(importers("sqlx"), ["difftest-store"], "only store writes SQL");
    assert_eq!(importers("octocrab"), ["difftest-app"], "only app speaks to GitHub");
    assert_eq!(
        importers("pyo3"),
        ["difftest-python", "difftest-runner"],
        "only the engine names PyO3"
    );
    for library in ["tokio", "reqwest", "sqlx", "pyo3", "axum", "rand"] {
        assert!(
            !importers(library).contains(&"difftest-core"),
            "core is pure, it must not import {library}"
        );
    }
}

/// Inside a crate the compiler guards nothing, so the sources are read.
#[test]
fn inside_a_room_the_boundary_is_one_folder() {
    for (room, word, folder) in [
        ("app/src", "octocrab::", "app/src/github/"),
        ("runner/src", "pyo3::", "runner/src/engine/"),
    ] {
        let users: Vec<String> = sources(room)
            .into_iter()
            .filter(|path| fs::read_to_string(path).unwrap().contains(word))
            .map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"))
            .collect();
        assert!(!users.is_empty(), "nothing in {room} names {word}: the guard guards nothing");
        for user in users {
            assert!(user.starts_with(folder), "{user} names {word}, which belongs to {folder}");
        }
    }
    for path in sources("core/src") {
        let text = fs::read_to_string(&path).unwrap();
        for word in
            ["std::net", "std::time::SystemTime", "Instant::now", "std::env", "std::process"]
        {
            assert!(!text.contains(word), "{} names {word}: core is pure", path.display());
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found
}
