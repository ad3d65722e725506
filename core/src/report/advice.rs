//! What to do about a test that did not pass: a command that a person can paste.

use crate::event::TestOutcome;
use crate::result::{Run, TestRun};
use crate::suite::TestKind;

/// One sentence that ends in a command; none where the test passed.
pub fn next_step(run: &Run, test: &TestRun) -> Option<String> {
    let id = quoted(test.spec.id.as_str());
    let alone = format!("difftest run --test {id}");
    Some(match test.outcome {
        Some(TestOutcome::Passed) => return None,
        Some(TestOutcome::NotRun) | None => {
            format!("run the rest: difftest run --resume {}", quoted(&run.id))
        }
        Some(TestOutcome::Error) if lacks_baseline(test) => {
            format!("make the missing baselines: difftest baseline save --filter {id}")
        }
        Some(TestOutcome::Error) => format!("mend what broke, then: {alone}"),
        Some(TestOutcome::Failed) => match test.spec.kind {
            TestKind::VisualRegression { .. } => format!(
                "look at the images; if the change is meant: difftest baseline update --filter {id}"
            ),
            TestKind::Quality { .. } => format!("look at the images, then: {alone}"),
        },
    })
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
