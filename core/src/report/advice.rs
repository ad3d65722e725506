//! What to do about a test that did not pass: a command that a person can paste.

use crate::event::TestOutcome;
use crate::result::{Run, TestRun};
use crate::suite::TestKind;

/// What to do, and the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    pub command: String,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.command)
    }
}

/// The next step; none where the test passed.
pub fn next_step(run: &Run, test: &TestRun) -> Option<Step> {
    let id = quoted(test.spec.id.as_str());
    let (what, command) = match test.outcome {
        Some(TestOutcome::Passed) => return None,
        Some(TestOutcome::NotRun) | None => {
            ("run the rest", format!("difftest run --resume {}", quoted(&run.id)))
        }
        Some(TestOutcome::Error) if lacks_baseline(test) => {
            ("make the missing baselines", format!("difftest baseline save --test {id}"))
        }
        Some(TestOutcome::Error) => {
            ("mend what broke, and run it alone", format!("difftest run --test {id}"))
        }
        Some(TestOutcome::Failed) => match test.spec.kind {
            TestKind::VisualRegression { .. } => (
                "look at the images; if the change is meant",
                format!("difftest baseline update --test {id}"),
            ),
            TestKind::Quality { .. } => {
                ("look at the images, and run it alone", format!("difftest run --test {id}"))
            }
        },
    };
    Some(Step { what, command })
}

/// The engine's own sentence; see `runner/src/engine/reference.rs`.
fn lacks_baseline(test: &TestRun) -> bool {
    matches!(test.spec.kind, TestKind::VisualRegression { .. })
        && test
            .cells
            .values()
            .filter_map(|cell| cell.failure.as_deref())
            .any(|reason| reason.contains("difftest baseline save"))
}

/// As a POSIX shell takes it for one word, whatever is in it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_word_of_a_shell() {
        assert_eq!(quoted("tests/test_a.py::red"), "tests/test_a.py::red");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(quoted(""), "''");
    }
}
