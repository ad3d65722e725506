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

/// A recipe is put into a back end's words in one place, so that no setting is lost on the way.
#[test]
fn no_back_end_bypasses_the_recipe() {
    // Of diffusers, of A1111 and Forge, of ComfyUI.
    const WORDS: [&str; 11] = [
        "num_inference_steps",
        "guidance_scale",
        "cfg_scale",
        "sampler_name",
        "denoising_strength",
        "CLIP_stop_at_last_layers",
        "<lora:",
        "noise_seed",
        "stop_at_clip_layer",
        "lora_name",
        "strength_model",
    ];
    let named_in = |folder: &str, extension: &str| -> BTreeSet<(String, &str)> {
        let mut found = BTreeSet::new();
        for path in files(folder, extension) {
            let text = fs::read_to_string(&path).unwrap();
            // A test may say what it expects on the wire.
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let file = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            let named = WORDS.iter().filter(|word| names(shipped, word));
            found.extend(named.map(|word| (file.clone(), *word)));
        }
        found
    };
    let home = named_in("core/src/recipe", "rs");
    for word in WORDS {
        assert!(home.iter().any(|(_, w)| *w == word), "core::recipe does not know {word}");
    }
    for (folder, extension) in [
        ("runner/src/remote", "rs"),
        ("runner/src/engine", "rs"),
        ("python/difftest/generators", "py"),
    ] {
        assert!(
            !files(folder, extension).is_empty(),
            "{folder} is empty: the guard guards nothing"
        );
        let bypasses = named_in(folder, extension);
        assert!(bypasses.is_empty(), "core::recipe's words are named by others: {bypasses:?}");
    }
    // They do use it.
    for (file, uses) in [
        ("runner/src/remote/a1111.rs", "recipe::a1111"),
        ("runner/src/remote/comfyui/mod.rs", "comfyui::inject"),
        ("runner/src/remote/fields.rs", "hosted::"),
        ("python/difftest/generators/recipe_names.py", "_native.recipe_to_diffusers"),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(uses), "{file} does not take its words from {uses}");
    }
}

/// Whether the text has this word, not as a part of a longer one (`true_cfg_scale` is another).
fn names(text: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !(inside(before) || (word.ends_with(char::is_alphanumeric) && inside(after)))
    })
}

#[test]
fn a_word_is_found_whole() {
    assert!(names("{\"cfg_scale\": 7}", "cfg_scale"));
    assert!(!names("true_cfg_scale", "cfg_scale"));
    assert!(!names("cfg_scales", "cfg_scale"));
    assert!(names("a <lora:style:1>", "<lora:"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found
}
