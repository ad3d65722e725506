//! What the editor shows for each file in `fixtures/`, as a person would see it, beside the file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write;
use std::path::Path;

use difftest_lsp::decorators;
use difftest_lsp::document::{Document, Encoding};
use difftest_lsp::metrics::{DeclaredMetrics, KnownMetrics};
use difftest_lsp::rules::{self, Finding};

fn findings(source: &str) -> Vec<Finding> {
    let file = decorators::read(source);
    let elsewhere = DeclaredMetrics {
        names: ["declared_in_another_file".to_owned()].into(),
        ..Default::default()
    };
    rules::check(&file, &KnownMetrics::of([&elsewhere, &file.declared]), &|path| {
        path == "prompts/there.yaml"
    })
}

/// Each finding under its line, underlined: what a person would look for in the editor.
fn shown(source: &str) -> String {
    let document = Document::new(source.to_owned(), Encoding::Utf32);
    let lines: Vec<&str> = source.lines().collect();
    let mut out = String::new();
    for finding in findings(source) {
        let range = document.range(finding.range.clone());
        let (first, last) = (range.start.line as usize, range.end.line as usize);
        for number in first..=last {
            let line = lines.get(number).copied().unwrap_or_default();
            let from = if number == first { range.start.character as usize } else { 0 };
            let to =
                if number == last { range.end.character as usize } else { line.chars().count() };
            writeln!(out, "{:>3} | {line}", number + 1).unwrap();
            writeln!(out, "    | {}{}", " ".repeat(from), "^".repeat(to - from)).unwrap();
        }
        writeln!(out, "    = {}: {}", finding.code.as_str(), finding.message).unwrap();
        if let Some(fix) = finding.fix {
            let mut mended = source.to_owned();
            mended.replace_range(fix.range.clone(), &fix.replacement);
            let line = document.position(fix.range.start).line as usize;
            writeln!(out, "    = {}:", fix.title).unwrap();
            writeln!(out, "    + {}", mended.lines().nth(line).unwrap_or_default()).unwrap();
        }
        out.push('\n');
    }
    if out.is_empty() { "nothing\n".to_owned() } else { out }
}

#[test]
fn every_fixture_shows_what_its_snapshot_says() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<_> = std::fs::read_dir(&fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&file).unwrap();
        insta::with_settings!({
            snapshot_path => &fixtures,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, shown(&source));
        });
    }
}

#[test]
fn a_fix_leaves_nothing_to_find_where_it_was_made() {
    let source = "import difftest\n\
         @difftest.test(prompts=['a {colr} x'], metrics=['clip_scor', 'ssim'],\n\
         threshold={'clip_scor': 0.2, 'sim': 0.5}, variables={'color': ['red']})\n\
         def test_it(): ...\n";
    let mut mended = source.to_owned();
    while let Some(fix) = findings(&mended).into_iter().find_map(|finding| finding.fix) {
        mended.replace_range(fix.range, &fix.replacement);
    }
    assert_eq!(findings(&mended), []);
    assert!(mended.contains("'a {color} x'") && mended.contains("'ssim': 0.5"), "{mended}");
}

/// Each of these makes a syntax tree as deep as it is long. The stack must hold it, both while it
/// is walked and while it is dropped.
#[test]
fn the_deepest_source_there_can_be_does_not_end_the_server() {
    let depth = 100_000;
    let deep = [
        "-".repeat(depth) + "1",
        "[".repeat(depth),
        "x".to_owned() + &".x".repeat(depth),
        "1".to_owned() + &"+1".repeat(depth),
        "not ".repeat(depth) + "1",
        "lambda:".repeat(depth) + "1",
        "x".to_owned() + &"()".repeat(depth),
    ];
    for expression in deep {
        let source = format!(
            "import difftest\n@difftest.test(prompts=[{expression}], metrics=[])\ndef test_it(): ...\n"
        );
        assert_eq!(findings(&source), [], "{}…", &expression[..10]);
    }
}
