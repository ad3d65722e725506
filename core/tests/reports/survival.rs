//! Any prompt is shown as it is in every format, and is nothing but text there.

use difftest_core::report::html::{self, LIMIT, Page};
use difftest_core::report::markdown::code;
use difftest_core::report::terminal::{self, Look, visible};
use difftest_core::report::{json, junit, run as markdown};
use proptest::prelude::*;
use quick_xml::events::Event as Xml;
use quick_xml::{Reader, XmlVersion};

use crate::markup::read;
use crate::run::{Lost, run_with_prompt};

/// Any characters, and more than a fair share of those that mean something somewhere.
fn prompt() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => "[a-zé猫 ]{1,6}",
        1 => prop::sample::select(vec![
            "<", ">", "&", "\"", "'", "`", "|", "</script>", "<script>", "-->", "<!--", "]]>",
            "&lt;", "&#0;", "\\", "*", "_", "[", "](", "\n", "\r\n", "\t", "\u{0}", "\u{1b}[2J",
            "\u{202e}", "\u{feff}", "\u{fffe}", "\u{85}", "{{", "${", "@x", "#1", "onload=", "</title>",
        ]).prop_map(String::from),
    ];
    prop::collection::vec(pieces, 1..12).prop_map(|p| p.concat())
}

/// The text of all `system-out` elements; panics where the document is not well formed.
fn output_of(xml: &str) -> String {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut out, mut inside) = (String::new(), false);
    loop {
        match reader.read_event().unwrap() {
            Xml::Start(tag) => {
                for attribute in tag.attributes() {
                    attribute.unwrap().normalized_value(XmlVersion::Implicit1_0).unwrap();
                }
                inside = tag.name().as_ref() == "system-out";
            }
            Xml::End(_) => inside = false,
            Xml::Text(text) if inside => out.push_str(&text.xml10_content()),
            Xml::GeneralRef(name) if inside => {
                let text = format!("&{};", &*name);
                out.push_str(&quick_xml::escape::unescape(&text).unwrap());
            }
            Xml::Eof => return out,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn json_gives_it_back(prompt in prompt()) {
        let document: serde_json::Value =
            serde_json::from_str(&json::json(&run_with_prompt(&prompt))).unwrap();
        let images = document["results"][0]["images"].as_array().unwrap();
        prop_assert!(images.iter().any(|image| image["prompt"] == prompt.as_str()));
    }

    #[test]
    fn xml_gives_it_back(prompt in prompt()) {
        let xml = junit::xml(&run_with_prompt(&prompt), "");
        let held = |c: char| {
            matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        };
        prop_assert!(xml.chars().all(held));
        let shown = visible(&prompt.replace('\n', " ").replace("[[", "[ ["))
            .replace('\u{fffe}', "\\u{fffe}")
            .replace('\u{ffff}', "\\u{ffff}");
        let out = output_of(&xml);
        prop_assert!(out.contains(&format!("\"{shown}\", seed 42")), "{:?} in {}", shown, out);
        prop_assert_eq!(out.matches("[[ATTACHMENT|").count(), 11);
    }

    #[test]
    fn html_gives_it_back_and_runs_nothing(prompt in prompt()) {
        let run = run_with_prompt(&prompt);
        let html = html::page(
            &Page { run: &run, comparison: None, trends: &[], images: &Lost, limit: LIMIT });
        let tags = read(&html);
        // A parser drops U+0000 and reads every line end as a line feed (HTML §13.2.3.5).
        let normal = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "");
        let shown: Vec<String> =
            tags.iter().filter(|t| t.name == "h4").map(|t| normal(&t.text)).collect();
        prop_assert!(shown.contains(&normal(&prompt)), "{:?} in {:?}", prompt, shown);
        prop_assert_eq!(tags.iter().filter(|t| t.name == "script").count(), 1);
        prop_assert_eq!(tags.iter().filter(|t| t.name == "style").count(), 1);
        for tag in &tags {
            prop_assert!(!tag.attributes.iter().any(|(name, _)| name.starts_with("on")), "{:?}", tag);
            prop_assert!(!["iframe", "object", "embed", "base", "link"].contains(&tag.name.as_str()));
        }
    }

    #[test]
    fn markdown_holds_it_as_entities(prompt in prompt()) {
        let text = code(&prompt);
        let inside = &text["<code>".len()..text.len() - "</code>".len()];
        let plain = |c: char| !c.is_ascii_punctuation() || ",.-&#;".contains(c);
        prop_assert!(inside.chars().all(plain), "{}", inside);
        let document = markdown::markdown(&run_with_prompt(&prompt).report());
        prop_assert!(!document.contains("<script") && !document.contains("@x"));
    }

    #[test]
    fn a_terminal_obeys_none_of_it_and_loses_none_of_it(prompt in prompt()) {
        let run = run_with_prompt(&prompt);
        let text = terminal::summary(&run, &[], Look { width: 72, color: false });
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        let packed = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        prop_assert!(packed(&text).contains(&packed(&visible(&prompt))));
    }
}
