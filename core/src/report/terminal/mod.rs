//! What commands leave in the terminal when they have ended.

mod comparison;
mod run;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use comparison::{comparison, unpaired};
pub use run::summary;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns. Longer lines are folded at words.
    pub width: usize,
    /// Whether escape sequences for colour are written: on a terminal, unless `NO_COLOR` is set.
    pub color: bool,
}

impl Default for Look {
    /// What a file or a pipe gets.
    fn default() -> Self {
        Self { width: 100, color: false }
    }
}

/// A terminal narrower than this is not folded for: the words would stand in a column.
const NARROWEST: usize = 40;

/// Control characters shown, not obeyed, and marks that reorder text likewise: names and messages
/// come from the code under test. Line feeds and tabs stay.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() || reorders => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Odd,
}

impl Ink {
    /// The parameters of "select graphic rendition" (ECMA-48 §8.3.117).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31;1",
            Self::Odd => "33;1",
        }
    }
}

struct Page {
    look: Look,
    out: String,
}

impl Page {
    fn blank(&mut self) {
        self.out.push('\n');
    }

    /// One paragraph, folded at spaces to the width; later lines are set in.
    fn line(&mut self, indent: usize, parts: &[(Ink, &str)]) {
        let width = if self.look.width < NARROWEST { usize::MAX } else { self.look.width };
        self.folded(indent, parts, width);
    }

    /// One line, however long.
    fn raw(&mut self, indent: usize, parts: &[(Ink, &str)]) {
        self.folded(indent, parts, usize::MAX);
    }

    fn folded(&mut self, indent: usize, parts: &[(Ink, &str)], width: usize) {
        let mut column = 0;
        let space = |out: &mut String, n: usize| out.extend(std::iter::repeat_n(' ', n));
        space(&mut self.out, indent);
        column += indent;
        for (ink, text) in parts {
            let text = visible(text).replace(['\n', '\t'], " ");
            let inked = self.look.color && *ink != Ink::Plain;
            if inked {
                self.out.push_str(&format!("\u{1b}[{}m", ink.code()));
            }
            // A word and the space before it.
            for word in text.split_inclusive(' ') {
                let long = word.trim_end_matches(' ').width();
                if column > indent + 2 && column + long > width {
                    while self.out.ends_with(' ') {
                        self.out.pop();
                    }
                    self.out.push('\n');
                    space(&mut self.out, indent + 2);
                    column = indent + 2;
                }
                self.out.push_str(word);
                column += word.chars().filter_map(UnicodeWidthChar::width).sum::<usize>();
            }
            if inked {
                self.out.push_str("\u{1b}[0m");
            }
        }
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        self.out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{202e}"), "a\\u{1b}[2Jb\n\\u{202e}");
    }

    #[test]
    fn a_paragraph_is_folded_at_words_and_by_the_width_of_its_signs() {
        let mut page = Page { look: Look { width: 40, color: false }, out: String::new() };
        page.line(
            2,
            &[(Ink::Bold, "猫猫猫猫猫猫猫猫 "), (Ink::Plain, "and a few words more than fit")],
        );
        for line in page.out.lines() {
            assert!(line.width() <= 40, "{line}");
        }
        assert_eq!(page.out, "  猫猫猫猫猫猫猫猫 and a few words more\n    than fit\n");
    }

    #[test]
    fn colour_is_written_only_where_it_is_asked_for() {
        let mut page = Page { look: Look { width: 80, color: true }, out: String::new() };
        page.line(0, &[(Ink::Good, "passed"), (Ink::Plain, ": \u{1b}[31mred")]);
        assert_eq!(page.out, "\u{1b}[32mpassed\u{1b}[0m: \\u{1b}[31mred\n");
    }
}
