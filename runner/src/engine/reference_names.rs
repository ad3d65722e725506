//! How the images in a test's `reference_dir` are found by their names. Pure.

use std::collections::BTreeMap;

use difftest_core::cell;
use difftest_core::event::CellKey;

/// Endings of files that can be read, as they are written.
pub const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The files of a folder, by their names without ending.
#[derive(Debug, Default, PartialEq)]
pub struct Names {
    by_stem: BTreeMap<String, Vec<String>>,
    by_slug: BTreeMap<String, Vec<String>>,
    by_number: BTreeMap<usize, Vec<String>>,
}

/// What a folder has for a cell.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// Its path, relative to the folder.
    File(String),
    /// Several files of one kind of name.
    Ambiguous(Vec<String>),
    /// The names that were looked for.
    Nothing(Vec<String>),
}

impl Names {
    /// `files` are relative to the folder; those that are no images are left out.
    pub fn of(files: impl IntoIterator<Item = String>) -> Self {
        let mut names = Self::default();
        for file in files {
            let Some((stem, ending)) = file.rsplit_once('.') else { continue };
            if !ENDINGS.contains(&ending.to_lowercase().as_str()) {
                continue;
            }
            let put = |by: &mut Vec<String>| by.push(file.clone());
            put(names.by_stem.entry(stem.to_owned()).or_default());
            put(names.by_slug.entry(slug(stem)).or_default());
            if !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit()) {
                let number = stem.trim_start_matches('0').parse().unwrap_or(0);
                put(names.by_number.entry(number).or_default());
            }
        }
        names
    }

    /// The image of a cell. In this order, the first that is there:
    ///
    /// 1. `{test}/{hash}_seed{seed}`, as `difftest baseline save` writes it;
    /// 2. `{hash}_seed{seed}`, then `{hash}`, with the first 12 digits of the prompt's SHA-256;
    /// 3. the prompt itself, or its words joined by anything: `a red circle`, `a-red-circle`;
    /// 4. the prompt's number in the test, from 0, with or without zeros before it: `7`, `007`.
    pub fn find(&self, cell: &CellKey, prompt_number: usize) -> Match {
        let own = cell::baseline_path(cell);
        let own = own.strip_suffix(".png").unwrap_or(&own);
        let with_seed = own.rsplit('/').next().unwrap_or(own);
        let hash = with_seed.split('_').next().unwrap_or(with_seed);
        let words = slug(&cell.prompt);
        let stems = [own, with_seed, hash, cell.prompt.as_str()];
        let found = stems
            .iter()
            .find_map(|stem| self.by_stem.get(*stem))
            .or_else(|| self.by_slug.get(&words).filter(|_| !words.is_empty()))
            .or_else(|| self.by_number.get(&prompt_number));
        match found.map(Vec::as_slice) {
            Some([file]) => Match::File(file.clone()),
            Some(several) => Match::Ambiguous(several.to_vec()),
            None => {
                let mut looked_for = stems[..3].to_vec();
                if !words.is_empty() {
                    looked_for.push(&words);
                }
                let mut looked_for: Vec<String> =
                    looked_for.into_iter().map(|name| format!("{name}.png")).collect();
                looked_for.push(format!("{prompt_number}.png"));
                Match::Nothing(looked_for)
            }
        }
    }
}

/// Letters and digits in lower case, everything between them one `-`.
fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use difftest_core::suite::TestId;

    fn cell() -> CellKey {
        CellKey { test: TestId("t.py::look".into()), prompt: "a red circle".into(), seed: 7 }
    }

    fn found(files: &[&str], number: usize) -> Match {
        Names::of(files.iter().map(|f| (*f).to_owned())).find(&cell(), number)
    }

    fn hash() -> String {
        cell::baseline_path(&cell())["look/".len()..]["".len()..12].to_owned()
    }

    #[test]
    fn every_kind_of_name_is_found_and_the_more_exact_goes_first() {
        let hash = hash();
        let mut files = vec![
            "07.png".to_owned(),
            "a-red-circle.webp".to_owned(),
            "A red circle.JPG".to_owned(),
            "a red circle.png".to_owned(),
            format!("{hash}.png"),
            format!("{hash}_seed7.png"),
            format!("look/{hash}_seed7.png"),
        ];
        while let Some(expected) = files.pop() {
            let all: Vec<&str> =
                files.iter().map(String::as_str).chain([expected.as_str()]).collect();
            if expected == "A red circle.JPG" {
                // Two files whose words are the prompt's.
                assert!(matches!(found(&all, 7), Match::Ambiguous(both) if both.len() == 2));
            } else {
                assert_eq!(found(&all, 7), Match::File(expected));
            }
        }
    }

    #[test]
    fn a_number_with_and_without_zeros_is_two_files_for_one_prompt() {
        let both = ["7.png".to_owned(), "007.jpg".to_owned()];
        assert_eq!(found(&["7.png", "007.jpg"], 7), Match::Ambiguous(both.to_vec()));
        assert_eq!(found(&["notes.txt", "07.txt", "8.png"], 8), Match::File("8.png".into()));
    }

    #[test]
    fn what_was_looked_for_is_said() {
        let Match::Nothing(names) = found(&["other.png"], 3) else { panic!("it was found") };
        assert!(names.contains(&format!("{}_seed7.png", hash())), "{names:?}");
        assert!(names.contains(&"a-red-circle.png".to_owned()), "{names:?}");
        assert!(names.contains(&"3.png".to_owned()), "{names:?}");
    }
}
