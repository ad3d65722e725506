//! Commands in comments: `/difftest run`. Pure.
//!
//! A command stands at the start of a line of the comment's own text. What is quoted (`>`), fenced
//! or indented as code is somebody else's command, or an example of one.

use difftest_core::metric::nearest;

/// The word that calls difftest.
const CALL: &str = "/difftest";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Run every suite of the pull request's head again.
    Run,
}

const COMMANDS: [(&str, Command); 1] = [("run", Command::Run)];

/// What was meant for difftest but is not a command. The text is for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("`/difftest` needs a command; there is {}", known())]
    Missing,
    #[error("`/difftest {word}` is not a command{}; there is {}", meant(.word), known())]
    Unknown { word: String },
    #[error("`/difftest {command}` takes no arguments, it runs every suite of `difftest.toml`")]
    Arguments { command: &'static str },
}

fn known() -> String {
    COMMANDS.map(|(name, _)| format!("`{CALL} {name}`")).join(", ")
}

fn meant(word: &str) -> String {
    nearest(word, COMMANDS.map(|(name, _)| name))
        .map_or(String::new(), |name| format!(" (did you mean `{CALL} {name}`?)"))
}

/// The first command of a comment. None where nothing is addressed to difftest.
pub fn parse(body: &str) -> Option<Result<Command, Mistake>> {
    own_lines(body).find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == CALL).then(|| command(words))
    })
}

fn command<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, Mistake> {
    let word = words.next().ok_or(Mistake::Missing)?;
    let (name, command) = COMMANDS
        .into_iter()
        .find(|(name, _)| *name == word)
        .ok_or_else(|| Mistake::Unknown { word: shown(word) })?;
    match words.next() {
        None => Ok(command),
        Some(_) => Err(Mistake::Arguments { command: name }),
    }
}

/// A stranger's word, to be repeated inside a code span: without what could end the span or call
/// somebody, and not at any length.
fn shown(word: &str) -> String {
    word.chars().filter(|c| *c != '`' && !c.is_control()).take(40).collect()
}

/// The lines that are neither quoted nor code, per CommonMark's rules for fences, indented code
/// and block quotes, as far as a line's start decides them.
fn own_lines(body: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<(char, usize)> = None;
    body.lines().filter(move |line| {
        let text = line.trim_start_matches(' ');
        let indented = line.len() - text.len() > 3;
        let run = |mark: char| text.chars().take_while(|c| *c == mark).count();
        match fence {
            Some((mark, length)) => {
                let closes =
                    !indented && run(mark) >= length && text.trim_end().chars().all(|c| c == mark);
                if closes {
                    fence = None;
                }
                false
            }
            None if indented => false,
            None => {
                // A fence of backticks has none in its info string, else it is a code span.
                let opened = ['`', '~'].into_iter().find(|mark| {
                    run(*mark) >= 3 && (*mark == '~' || !text[run('`')..].contains('`'))
                });
                fence = opened.map(|mark| (mark, run(mark)));
                // Not trimmed: the command has to start its line.
                fence.is_none() && line.starts_with(CALL)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stands_at_the_start_of_a_line() {
        for body in [
            "/difftest run",
            "/difftest   run  ",
            "Please:\n\n/difftest run\n\nthanks",
            "```\ncode\n```\n/difftest run\r\n",
        ] {
            assert_eq!(parse(body), Some(Ok(Command::Run)), "{body:?}");
        }
    }

    #[test]
    fn quotes_code_and_mentions_are_not_commands() {
        for body in [
            "",
            "> /difftest run",
            "try `/difftest run`",
            "you can say /difftest run",
            " /difftest run",
            "    /difftest run",
            "```\n/difftest run\n```",
            "~~~ sh\n/difftest run\n```\n/difftest run\n~~~",
            "````\n```\n/difftest run\n````",
            "```\n/difftest run",
            "/difftests run",
            "/DIFFTEST run",
        ] {
            assert_eq!(parse(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_what_was_meant() {
        let said = |body: &str| match parse(body) {
            Some(Err(mistake)) => mistake.to_string(),
            other => format!("{other:?}"),
        };
        insta::assert_snapshot!(said("/difftest"), @"`/difftest` needs a command; there is `/difftest run`");
        insta::assert_snapshot!(said("/difftest rnu"), @"`/difftest rnu` is not a command (did you mean `/difftest run`?); there is `/difftest run`");
        insta::assert_snapshot!(said("/difftest approve-everything"), @"`/difftest approve-everything` is not a command; there is `/difftest run`");
        insta::assert_snapshot!(said("/difftest run shapes"), @"`/difftest run` takes no arguments, it runs every suite of `difftest.toml`");
        insta::assert_snapshot!(said("/difftest `@all`"), @"`/difftest @all` is not a command; there is `/difftest run`");
    }
}
