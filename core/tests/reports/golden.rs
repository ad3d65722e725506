//! What each report of one run looks like, to the letter.

use difftest_core::compare::compare;
use difftest_core::config::VerdictSettings;
use difftest_core::event::RunStatus;
use difftest_core::ids::ImageSha;
use difftest_core::report::html::{self, LIMIT, Page};
use difftest_core::report::terminal::{self, Look};
use difftest_core::report::{MAX_CHECK_TEXT, json, junit, run as markdown};
use difftest_core::result::Run;

use crate::markup::{Tag, read};
use crate::run::{Lost, Squares, run, trends};

fn page(run: &Run, edge: u32, limit: usize) -> String {
    let images = &Squares { edge };
    html::page(&Page { run, comparison: None, trends: &trends(), images, limit })
}

/// The document without what a person would not read in a snapshot.
fn readable(html: &str) -> String {
    let mut out = html.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let start = out.find(open).unwrap() + open.len();
        let end = out.rfind(close).unwrap();
        out.replace_range(start..end, "…");
    }
    while let Some(start) = out.find(";base64,") {
        let length = out[start..].find('"').unwrap();
        out.replace_range(start..start + length, ";…");
    }
    while let Some(start) = out.find("'sha256-") {
        let length = out[start + 1..].find('\'').unwrap() + 2;
        out.replace_range(start..start + length, "(digest)");
    }
    out.replace("><", ">\n<")
}

#[test]
fn the_terminal_shows_the_verdict_first_and_what_to_do() {
    insta::assert_snapshot!(terminal::summary(&run(), &trends(), Look::default()));
}

#[test]
fn a_narrow_terminal_and_a_coloured_one() {
    let narrow = terminal::summary(&run(), &[], Look { width: 60, color: false });
    insta::assert_snapshot!(narrow);
    let coloured = terminal::summary(&run(), &[], Look { width: 100, color: true });
    insta::assert_snapshot!(coloured.replace('\u{1b}', "␛"));
}

#[test]
fn the_json_document() {
    insta::assert_snapshot!(json::json(&run()));
}

#[test]
fn the_junit_document() {
    insta::assert_snapshot!(junit::xml(&run(), ".difftest/runs/r"));
}

#[test]
fn a_run_that_died_is_an_error_of_its_own_in_junit() {
    let mut run = run();
    run.collection_errors.clear();
    run.tests.drain(..4);
    run.status = Some(RunStatus::Error);
    run.reason = Some("the time is up".into());
    let xml = junit::xml(&run, "");
    assert!(xml.contains(r#"errors="1""#), "{xml}");
    assert!(xml.contains(r#"<error message="the time is up" type="run">"#), "{xml}");
    run.status = None;
    run.reason = None;
    assert!(junit::xml(&run, "").contains(r#"<error message="the run did not finish""#));
    // Where a test says it already, nothing is said twice.
    let xml = junit::xml(&crate::run::run(), "");
    assert!(!xml.contains(r#"type="run""#), "{xml}");
}

#[test]
fn the_markdown_document() {
    insta::assert_snapshot!(markdown::markdown(&run().report()));
}

#[test]
fn markdown_that_is_too_long_says_what_it_left_out() {
    let mut report = run().report();
    let one = report.results[0].clone();
    for index in 0..3_000 {
        let mut test = one.clone();
        test.name = format!("colours_{index}_{}", "x".repeat(40));
        report.results.push(test);
    }
    let text = markdown::markdown(&report);
    assert!(text.len() <= MAX_CHECK_TEXT, "{}", text.len());
    assert!(text.contains("more tests"), "{}", &text[text.len() - 400..]);
}

#[test]
fn the_html_document() {
    insta::assert_snapshot!(readable(&page(&run(), 8, LIMIT)));
}

#[test]
fn a_page_with_a_base_shows_both_sides_and_the_verdict() {
    let head = run();
    let mut base = run();
    for cell in base.tests[0].cells.values_mut() {
        for score in cell.scores.values_mut() {
            *score += 0.2;
        }
        // Another image: what is byte-identical cannot regress.
        cell.image.as_mut().unwrap().sha256 = ImageSha::of(b"another");
    }
    let comparison = compare(Some(&base), &head, &VerdictSettings::default());
    let page = Page {
        run: &head,
        comparison: Some(&comparison),
        trends: &[],
        images: &Lost,
        limit: LIMIT,
    };
    let html = html::page(&page);
    let said = comparison.tests[0].decision.as_str();
    assert!(html.contains(&format!("against base: {said}")), "{said}");
    let tags = read(&html);
    let cells = |text: &str| tags.iter().filter(|t| t.text == text).count();
    assert_eq!((cells("base"), cells("change")), (3, 3), "in the tables that have a base");
    assert_eq!(cells("0.4580"), 1, "the base's mean");
    assert_eq!(cells("-0.2000"), 1, "the change");
}

#[test]
fn the_page_holds_each_image_once_and_asks_for_nothing() {
    let run = run();
    let html = page(&run, 64, LIMIT);
    let tags = read(&html);
    let sources: Vec<&str> = tags.iter().filter_map(|t| t.attribute("src")).collect();
    // Eleven images, one baseline that differs, one that is equal and not shown twice.
    assert_eq!(sources.len(), 12);
    assert!(sources.iter().all(|s| s.starts_with("data:image/png;base64,")));
    for forbidden in ["href", "srcset", "action", "data", "poster", "style"] {
        assert!(tags.iter().all(|t| t.attribute(forbidden).is_none()), "{forbidden}");
    }
    assert!(!html.contains("@import") && !html.contains("url("));
}

#[test]
fn every_field_and_button_has_a_name_and_every_image_a_text() {
    let html = page(&run(), 8, LIMIT);
    let tags = read(&html);
    for (at, tag) in tags.iter().enumerate() {
        match tag.name.as_str() {
            "img" => assert!(tag.attribute("alt").is_some_and(|a| !a.is_empty()), "{tag:?}"),
            "button" => assert!(tag.attribute("aria-label").is_some() || !tag.text.is_empty()),
            "input" if tag.attribute("aria-label").is_none() => {
                let label: Option<&Tag> = tags[..at].iter().rev().find(|t| t.name == "label");
                assert!(label.is_some(), "{tag:?}");
            }
            _ => {}
        }
    }
    assert_eq!(tags.iter().filter(|t| t.name == "h1").count(), 1);
}

#[test]
fn a_page_keeps_its_limit_by_small_copies_and_says_so() {
    let run = run();
    // Noise does not compress: eleven of 512 x 512 are 8 MB whole.
    struct Noise;
    impl html::Images for Noise {
        fn head(&self, image: &difftest_core::event::ImageRef) -> Option<Vec<u8>> {
            let mut state = u32::from_str_radix(&image.sha256.as_str()[..8], 16).unwrap() | 1;
            let pixels = image::RgbImage::from_fn(512, 512, |_, _| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let [a, b, c, _] = state.to_le_bytes();
                image::Rgb([a, b, c])
            });
            let mut bytes = Vec::new();
            let mut out = std::io::Cursor::new(&mut bytes);
            pixels.write_to(&mut out, image::ImageFormat::Png).unwrap();
            Some(bytes)
        }
        fn reference(&self, _: &difftest_core::event::CellKey) -> Option<Vec<u8>> {
            None
        }
    }
    for (limit, small, out) in [(2_000_000, true, false), (300_000, true, true)] {
        let html =
            html::page(&Page { run: &run, comparison: None, trends: &[], images: &Noise, limit });
        assert!(html.len() <= limit, "{} of {limit}", html.len());
        assert_eq!(html.contains("as small copies"), small, "{limit}");
        assert_eq!(html.contains("not at all"), out, "{limit}");
    }
    let lost =
        html::page(&Page { run: &run, comparison: None, trends: &[], images: &Lost, limit: LIMIT });
    assert!(lost.contains("11 images not at all"));
    assert!(lost.contains("not in this file"));
}

#[test]
fn only_raster_images_are_embedded() {
    struct Svg;
    impl html::Images for Svg {
        fn head(&self, _: &difftest_core::event::ImageRef) -> Option<Vec<u8>> {
            Some(
                b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec(),
            )
        }
        fn reference(&self, _: &difftest_core::event::CellKey) -> Option<Vec<u8>> {
            None
        }
    }
    let run = run();
    let html =
        html::page(&Page { run: &run, comparison: None, trends: &[], images: &Svg, limit: LIMIT });
    assert!(read(&html).iter().all(|t| t.name != "img"));
}
