//! Whatever is typed, in whatever order, the server neither panics nor points outside the document.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use difftest_lsp::completion;
use difftest_lsp::decorators;
use difftest_lsp::document::{Document, Encoding};
use difftest_lsp::hover;
use difftest_lsp::metrics::KnownMetrics;
use difftest_lsp::rules;
use proptest::prelude::*;
use tower_lsp::ls_types::{Position, Range, TextDocumentContentChangeEvent};

/// A file with a bit of everything. Cutting it anywhere gives the half-typed files editors send.
const SEED: &str = include_str!("fixtures/exact_ranges.py");

/// Pieces that mean something here, so that their mixtures reach further than noise would.
fn piece() -> impl Strategy<Value = String> {
    let words: Vec<&str> = vec![
        "import difftest\n",
        "from difftest import test as t, metric\n",
        "@difftest.test(",
        "@t(",
        "@metric('m')\n",
        "prompts=[",
        "metrics=['clip_score', 'sim']",
        "threshold={'ssim': 1}",
        "variables={'c': ['é']}",
        "'a {c} {d'",
        "r'\\{x}'",
        "\"\"\"one\n{two}\\\n\"\"\"",
        "'\\N{BULLET}\\x7bc\\x7d\\ud800\\400'",
        "f'{x}' '{y}'",
        "b'{z}'",
        "*a, **k",
        "🎨{é}",
        "\r\n",
        "\r",
        "\n",
        ")",
        "]",
        "}",
        "'",
        "\"\"\"",
        "\\",
        "\u{feff}",
        "\0",
        "suite='hands'",
        "suite=\"p.yaml\", combine='zip'",
        "combine='zipped'",
        "{e=red}",
        "def test_it(): ...\n",
        "    ",
    ];
    prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (0..SEED.len(), 0..SEED.len()).prop_map(|(a, b)| {
            SEED.char_indices().filter(|(i, _)| (a.min(b)..a.max(b)).contains(i)).map(|(_, c)| c).collect()
        }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![Encoding::Utf8, Encoding::Utf16, Encoding::Utf32])
}

fn edit() -> impl Strategy<Value = TextDocumentContentChangeEvent> {
    let position =
        || (0..12u32, 0..60u32).prop_map(|(line, character)| Position { line, character });
    (prop::option::weighted(0.9, (position(), position())), piece()).prop_map(|(range, text)| {
        TextDocumentContentChangeEvent {
            range: range.map(|(start, end)| Range { start, end }),
            range_length: None,
            text,
        }
    })
}

fn check(source: &str, encoding: Encoding) {
    let document = Document::new(source.to_owned(), encoding);
    let file = decorators::read(source);
    let known = KnownMetrics::of([&file.declared]);
    for finding in rules::check(&file, &known, &|path| path.len() % 2 == 0) {
        let range = finding.range;
        assert!(range.start <= range.end && range.end <= source.len(), "{range:?}");
        assert!(source.get(range.clone()).is_some(), "{range:?} cuts a character");
        let places = document.range(range.clone());
        let back = document.offset(places.start)..document.offset(places.end);
        assert_eq!(back, range, "an editor would underline something else");
        if let Some(fix) = finding.fix {
            assert!(range.start <= fix.range.start && fix.range.end <= range.end);
        }
    }
    for at in (0..=source.len()).filter(|at| source.is_char_boundary(*at)) {
        for offered in completion::complete(source, &file, &known, at) {
            let range = offered.replaces;
            assert!(range.start <= at && at <= range.end, "{range:?} is not where one types");
            assert!(source.get(range.clone()).is_some(), "{range:?} cuts a character");
        }
        if let Some((range, _)) = hover::hover(source, &file, at) {
            assert!(range.start <= at && at <= range.end && source.get(range).is_some());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(source in text(), encoding in encoding()) {
        check(&source, encoding);
    }

    #[test]
    fn a_file_cut_anywhere_is_read(at in 0..SEED.len(), encoding in encoding()) {
        let at = (0..=at).rev().find(|at| SEED.is_char_boundary(*at)).unwrap();
        check(&SEED[..at], encoding);
    }

    #[test]
    fn any_edits_are_followed(
        source in text(),
        edits in prop::collection::vec(edit(), 0..6),
        encoding in encoding(),
    ) {
        let mut document = Document::new(source, encoding);
        document.apply(edits);
        check(document.text(), encoding);
    }

    #[test]
    fn every_character_has_its_own_position(source in text(), encoding in encoding()) {
        let document = Document::new(source.clone(), encoding);
        for (at, c) in source.char_indices() {
            // A line's ending has no place in it: the position there is the end of the line.
            if c != '\n' && c != '\r' {
                prop_assert_eq!(document.offset(document.position(at)), at);
            }
        }
    }
}
