//! `docs/events.md` says what the stream is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use difftest_core::event::{Event, read_stream};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/events.md");

fn example() -> &'static str {
    PAGE.split("```jsonl\n").nth(1).unwrap().split("```").next().unwrap()
}

/// The kinds of the page's table, with the fields that each row names.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let rows =
        PAGE.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `event`"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let kind = columns[1].trim_matches('`').to_owned();
        // What stands in braces belongs to the field before it.
        let mut depth = 0;
        let flat: String = columns[2]
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0 && *c != '}'
            })
            .collect();
        (kind, flat.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn every_example_is_an_event_and_loses_nothing() {
    let events = read_stream(example().as_bytes()).unwrap();
    for (line, event) in example().lines().zip(&events) {
        assert_ne!(*event, Event::Unknown, "{line}");
        let (page, ours): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_str(&event.to_line()).unwrap());
        assert_eq!(page, ours);
    }
}

#[test]
fn the_table_names_every_kind_and_every_field() {
    let examples: Vec<Value> =
        example().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<(String, BTreeSet<String>)> = examples
        .iter()
        .map(|event| {
            let fields = event.as_object().unwrap();
            let names = fields.keys().filter(|name| *name != "event").cloned().collect();
            (fields["event"].as_str().unwrap().to_owned(), names)
        })
        .collect();
    for (kind, fields) in table() {
        let (_, shown) = shown.iter().find(|(other, _)| *other == kind).unwrap();
        let missing: Vec<_> = fields.symmetric_difference(shown).collect();
        // A field that is left out where it says nothing need not be in the example.
        assert!(missing.iter().all(|name| *name == "reason"), "{kind}: {missing:?}");
    }
    assert_eq!(table().len(), shown.len());
}
