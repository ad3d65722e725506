//! Which tests a run selects: `--filter`, a part of a name or an expression of such parts.
//!
//! ```text
//! expression = both { "or" both }
//! both       = one { "and" one }
//! one        = "not" one | "(" expression ")" | word
//! ```
//!
//! A word matches a test whose identifier (`path/to/test_file.py::function`), metrics or prompt
//! suite contain it, whatever the case, as with pytest's `-k`.

use crate::suite::TestSpec;

/// What a filter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Word(String),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--filter `{text}`: {wanted} was expected at character {at}; write for instance `cats and not slow`"
)]
pub struct FilterError {
    pub text: String,
    pub wanted: &'static str,
    /// Counts from 1.
    pub at: usize,
}

/// Deeper nesting than this is no one's intention.
const MAX_DEPTH: usize = 100;

impl Filter {
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { text, tokens: tokens(text), next: 0, depth: 0 };
        let filter = parser.either()?;
        match parser.peek() {
            None => Ok(filter),
            Some(_) => Err(parser.error("`and`, `or` or the end")),
        }
    }

    pub fn matches(&self, test: &TestSpec) -> bool {
        match self {
            Self::Word(word) => {
                let has = |text: &str| text.to_lowercase().contains(word);
                has(test.id.as_str())
                    || test.suite.as_deref().is_some_and(has)
                    || test.metrics().iter().any(|metric| has(metric))
            }
            Self::Not(inner) => !inner.matches(test),
            Self::And(a, b) => a.matches(test) && b.matches(test),
            Self::Or(a, b) => a.matches(test) || b.matches(test),
        }
    }
}

/// Words and parentheses, with the character each begins at.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut start = None;
    for (character, (at, c)) in text.char_indices().enumerate() {
        let separates = c.is_whitespace() || matches!(c, '(' | ')');
        match (separates, start) {
            (true, Some((from, first))) => {
                out.push((first, &text[from..at]));
                start = None;
            }
            (false, None) => start = Some((at, character)),
            _ => {}
        }
        if matches!(c, '(' | ')') {
            out.push((character, &text[at..=at]));
        }
    }
    if let Some((from, first)) = start {
        out.push((first, &text[from..]));
    }
    out
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, &'a str)>,
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).map(|(_, token)| *token)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    fn error(&self, wanted: &'static str) -> FilterError {
        let end = self.text.chars().count();
        let at = self.tokens.get(self.next).map_or(end, |(at, _)| *at) + 1;
        FilterError { text: self.text.to_owned(), wanted, at }
    }

    fn either(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.both()?;
        while self.take("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, FilterError> {
        let mut filter = self.one()?;
        while self.take("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("less nesting"));
        }
        let filter = match self.peek() {
            Some("not") => {
                self.next += 1;
                Filter::Not(Box::new(self.one()?))
            }
            Some("(") => {
                self.next += 1;
                let inner = self.either()?;
                if !self.take(")") {
                    return Err(self.error("`)`"));
                }
                inner
            }
            Some(")" | "and" | "or") | None => return Err(self.error("a part of a test's name")),
            Some(word) => {
                self.next += 1;
                Filter::Word(word.to_lowercase())
            }
        };
        self.depth -= 1;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::suite::{Combine, Place, TestId, TestKind};
    use proptest::prelude::*;

    fn selected(filter: &str) -> Vec<&'static str> {
        let filter = Filter::parse(filter).unwrap();
        ["a.py::cats", "a.py::cats_slow", "b.py::dogs"]
            .into_iter()
            .filter(|id| {
                filter.matches(&TestSpec {
                    id: TestId((*id).into()),
                    place: Place { file: "a.py".into(), line: 1 },
                    kind: TestKind::VisualRegression {
                        baseline_dir: "b".into(),
                        ssim_threshold: 0.9,
                    },
                    prompts: vec![],
                    variables: Default::default(),
                    combine: Combine::Product,
                    negative_prompt: None,
                    seeds: vec![],
                    suite: id.ends_with("dogs").then(|| "animals".into()),
                })
            })
            .collect()
    }

    #[test]
    fn a_part_of_a_name_selects_as_it_always_did() {
        assert_eq!(selected("cats"), ["a.py::cats", "a.py::cats_slow"]);
        assert_eq!(selected("b.py::DOGS"), ["b.py::dogs"]);
        assert_eq!(selected("animals"), ["b.py::dogs"]);
        assert_eq!(selected("ssim").len(), 3);
    }

    #[test]
    fn parts_combine_and_binds_closer_than_or() {
        assert_eq!(selected("cats and not slow"), ["a.py::cats"]);
        assert_eq!(selected("dogs or cats and slow"), ["a.py::cats_slow", "b.py::dogs"]);
        assert_eq!(selected("(dogs or cats) and slow"), ["a.py::cats_slow"]);
        assert_eq!(selected("not (dogs or cats)"), Vec::<&str>::new());
        assert_eq!(selected("not not dogs"), ["b.py::dogs"]);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let message = |text: &str| Filter::parse(text).unwrap_err().to_string();
        assert!(message("").contains("at character 1"));
        assert!(message("cats and").contains("at character 9"), "{}", message("cats and"));
        assert!(message("(cats").contains("`)` was expected"));
        assert!(
            message("cats dogs").contains("`and`, `or` or the end was expected at character 6")
        );
        assert!(message("é and )").contains("at character 7"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in ".*", nesting in 0_usize..5000) {
            let _ = Filter::parse(&text);
            let _ = Filter::parse(&"(".repeat(nesting));
            let _ = Filter::parse(&"not ".repeat(nesting));
        }
    }
}
