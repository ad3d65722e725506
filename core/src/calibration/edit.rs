//! Margins and drops written into the configuration, and nothing else of it changed: comments,
//! order and spacing stay as their author left them.

use serde::Serialize;
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

/// How a comment of ours begins. One that begins so is replaced, an author's is kept.
const OURS: &str = "# null:";

/// Where the configuration stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// `difftest.toml`: at the top.
    Own,
    /// `pyproject.toml`: under `[tool.difftest]`.
    PyProject,
}

/// What is to be written of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub metric: String,
    pub margin: f64,
    pub margin_comment: String,
    pub drop: f64,
    pub drop_comment: String,
}

/// The file as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    pub text: String,
    /// The keys that were set: `margins.clip_score`.
    pub written: Vec<String>,
    /// Those that the author had set otherwise, and that stayed.
    pub kept: Vec<Kept>,
}

/// A value that stayed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub key: String,
    pub yours: String,
    pub suggested: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("{0}")]
    Toml(#[from] toml_edit::TomlError),
    #[error("`{key}` is no table; write [{key}] above its keys")]
    NoTable { key: String },
}

/// Sets `[verdict.margins]` and `[verdict.tail.drops]`. A value that is there already and differs
/// stays, unless `overwrite`.
pub fn edit(
    text: &str,
    home: Home,
    entries: &[Entry],
    overwrite: bool,
) -> Result<Edited, EditError> {
    let mut document: DocumentMut = text.parse()?;
    let mut edited = Edited { text: String::new(), written: Vec::new(), kept: Vec::new() };
    let prefix: &[&str] = match home {
        Home::Own => &[],
        Home::PyProject => &["tool", "difftest"],
    };
    let margins: Vec<Line<'_>> =
        entries.iter().map(|e| (e.metric.as_str(), e.margin, e.margin_comment.as_str())).collect();
    let drops: Vec<Line<'_>> =
        entries.iter().map(|e| (e.metric.as_str(), e.drop, e.drop_comment.as_str())).collect();
    let tables = [(&["margins"][..], margins), (&["tail", "drops"][..], drops)];
    for (path, lines) in tables.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let whole: Vec<&str> = [prefix, &["verdict"], path].concat();
        let table = table_at(document.as_table_mut(), &whole)?;
        for line in lines {
            set(table, &path.join("."), line, overwrite, &mut edited);
        }
    }
    edited.text = document.to_string();
    Ok(edited)
}

/// Metric, value, comment.
type Line<'a> = (&'a str, f64, &'a str);

fn set(
    table: &mut Table,
    name: &str,
    (metric, value, comment): Line<'_>,
    overwrite: bool,
    edited: &mut Edited,
) {
    let key = format!("{name}.{metric}");
    let comment = comment.replace(|c: char| c.is_control(), " ");
    let mut written = Value::from(value);
    let mut note = format!("  {OURS}{}", comment.strip_prefix("null:").unwrap_or(&comment));
    if let Some(there) = table.get(metric) {
        let number = there.as_float().or_else(|| there.as_integer().map(|i| i as f64));
        if number == Some(value) {
            return;
        }
        if !overwrite {
            let yours =
                number.map_or_else(|| there.to_string().trim().to_owned(), |n| n.to_string());
            edited.kept.push(Kept { key, yours, suggested: value });
            return;
        }
        let theirs = there.as_value().map(suffix).filter(|text| !text.starts_with(OURS));
        if let Some(theirs) = theirs.filter(|text| !text.is_empty()) {
            note = format!("{note}  {theirs}");
        }
    }
    written.decor_mut().set_suffix(note);
    match table.get_mut(metric) {
        Some(there) => *there = Item::Value(written),
        None => drop(table.insert(metric, Item::Value(written))),
    }
    edited.written.push(key);
}

/// What stands behind a value on its line.
fn suffix(value: &Value) -> String {
    let text = value.decor().suffix().and_then(|raw| raw.as_str()).unwrap_or_default();
    text.trim().to_owned()
}

/// The table of this path, made if need be. Inline tables on the way become tables of their own,
/// for a line of an inline table has no room for a comment.
fn table_at<'t>(mut table: &'t mut Table, path: &[&str]) -> Result<&'t mut Table, EditError> {
    for (depth, name) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        let item = table.entry(name).or_insert_with(|| {
            let mut new = Table::new();
            new.set_implicit(!last);
            Item::Table(new)
        });
        if let Item::Value(Value::InlineTable(inline)) = item {
            *item = Item::Table(opened(inline));
            if let Some(mut key) = table.key_mut(name) {
                // The space before its `=`.
                key.leaf_decor_mut().clear();
                key.dotted_decor_mut().clear();
            }
        }
        let item = table.entry(name).or_insert(Item::None);
        table = item
            .as_table_mut()
            .ok_or_else(|| EditError::NoTable { key: path[..=depth].join(".") })?;
    }
    Ok(table)
}

/// The inline table as one of its own; a comment behind it comes above it.
fn opened(inline: &InlineTable) -> Table {
    let comment = inline.decor().suffix().and_then(|raw| raw.as_str()).unwrap_or_default().trim();
    let above = if comment.is_empty() { "\n".to_owned() } else { format!("\n{comment}\n") };
    let mut table = inline.clone().into_table();
    table.decor_mut().set_prefix(above);
    for (mut key, item) in table.iter_mut() {
        key.leaf_decor_mut().clear();
        if let Item::Value(value) = item {
            value.decor_mut().clear();
        }
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::config::{self, FILE, Variables};

    fn entry(metric: &str, margin: f64, drop: f64) -> Entry {
        let comment = "null: sd 0.058 over 67 prompts, other seeds, 2026-11-27, cpu".to_owned();
        Entry {
            metric: metric.into(),
            margin,
            margin_comment: comment.clone(),
            drop,
            drop_comment: comment,
        }
    }

    /// The edited text, read again by the configuration's own reader.
    fn edited(text: &str, overwrite: bool) -> (Edited, config::VerdictSettings) {
        let entries = [entry("clip_score", 0.031, 0.24), entry("my metric", 2.0, 20.0)];
        let edited = edit(text, Home::Own, &entries, overwrite).unwrap();
        let verdict = config::parse(&edited.text, FILE, Variables::Unknown)
            .unwrap_or_else(|e| panic!("{e}\n{}", edited.text))
            .verdict;
        (edited, verdict)
    }

    #[test]
    fn an_empty_file_and_a_full_one_get_their_tables() {
        let full = "# ours\nmodel = \"shapes\"   # the small one\n\n[suites.a]\ntimeout = \"20m\"\n\n\
                    [verdict]\nalpha = 0.05  # as agreed\n\n[suites.b] # last\n";
        for text in ["", full] {
            let (edited, verdict) = edited(text, false);
            assert_eq!(verdict.margins["clip_score"], 0.031);
            assert_eq!(verdict.tail.drops["my metric"], 20.0);
            assert_eq!(edited.written.len(), 4);
            assert!(edited.kept.is_empty());
            for line in text.lines() {
                assert!(edited.text.lines().any(|l| l == line), "{line} of\n{}", edited.text);
            }
        }
        insta::assert_snapshot!(edited(full, false).0.text);
    }

    #[test]
    fn what_the_author_set_stays_unless_told_otherwise() {
        let text = "[verdict.margins]\n# agreed with Ada\nclip_score = 0.02  # do not touch\n";
        let (kept, verdict) = edited(text, false);
        assert_eq!(verdict.margins["clip_score"], 0.02);
        assert_eq!(
            kept.kept,
            [Kept { key: "margins.clip_score".into(), yours: "0.02".into(), suggested: 0.031 }]
        );
        let (over, verdict) = edited(text, true);
        assert_eq!(verdict.margins["clip_score"], 0.031);
        assert!(over.text.contains("# agreed with Ada\n"), "{}", over.text);
        assert!(over.text.contains("2026-11-27, cpu  # do not touch\n"), "{}", over.text);
        // Again: our own comment is not heaped up.
        let again = edit(&over.text, Home::Own, &[entry("clip_score", 0.05, 0.24)], true).unwrap();
        assert_eq!(again.text.matches("# null:").count(), over.text.matches("# null:").count());
        assert!(again.kept.is_empty());
    }

    #[test]
    fn inline_and_dotted_tables_are_opened() {
        for text in [
            "[verdict]\nmargins = { clip_score = 0.02, lpips = 0.1 }   # the loss we accept\ntail = { share = 0.05 }\nalpha = 0.01\n",
            "verdict = { margins = { lpips = 0.1 }, alpha = 0.01, tail = { share = 0.05 } } # all\n[recipe]\nsteps = 3\n",
            "verdict.alpha = 0.01\nverdict.margins.lpips = 0.1\nverdict.tail.share = 0.05\n[options]\n",
        ] {
            let (edited, verdict) = edited(text, true);
            assert_eq!((verdict.alpha, verdict.tail.share), (0.01, 0.05), "{}", edited.text);
            assert_eq!((verdict.margins["lpips"], verdict.margins["clip_score"]), (0.1, 0.031));
            assert!(!edited.text.contains(" ]"), "{}", edited.text);
            for comment in ["# the loss we accept", "# all"] {
                assert_eq!(
                    text.contains(comment),
                    edited.text.contains(comment),
                    "{}",
                    edited.text
                );
            }
        }
    }

    #[test]
    fn pyproject_keeps_everything_else() {
        let text = "[project]\nname = \"x\"\n\n[tool.difftest]\nmodel = \"m\"\n\n[tool.ruff]\nline-length = 100\n";
        let edited =
            edit(text, Home::PyProject, &[entry("clip_score", 0.031, 0.24)], false).unwrap();
        let read = config::parse_pyproject(&edited.text, "pyproject.toml", Variables::Unknown);
        let config = read.unwrap().unwrap();
        assert_eq!(config.verdict.margins["clip_score"], 0.031);
        assert!(edited.text.contains("[tool.ruff]\nline-length = 100\n"));
        insta::assert_snapshot!(edited.text);
    }

    #[test]
    fn what_cannot_be_edited_is_said() {
        let message = |text: &str| {
            edit(text, Home::Own, &[entry("m", 0.1, 1.0)], false).unwrap_err().to_string()
        };
        assert!(message("verdict = 3").contains("`verdict` is no table"));
        assert!(message("[verdict]\nmargins = 3").contains("`verdict.margins` is no table"));
        assert!(message("a = = 1").contains("TOML parse error"));
    }

    #[test]
    fn a_devices_name_cannot_break_the_line() {
        let mut entry = entry("m", 0.1, 1.0);
        entry.margin_comment = "null: on a\ncard\r\n[verdict]".into();
        let edited = edit("", Home::Own, &[entry], false).unwrap();
        assert!(config::parse(&edited.text, FILE, Variables::Unknown).is_ok(), "{}", edited.text);
    }
}
