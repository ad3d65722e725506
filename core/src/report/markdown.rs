//! Text that is not trusted, made safe to stand in GitHub's Markdown.

use std::fmt::Write as _;

/// The most characters of a name or a prompt that a report shows.
const LONGEST: usize = 200;
/// The most characters of a sentence.
const LONGEST_SENTENCE: usize = 600;

/// Untrusted text as inline code, safe in a paragraph and in a table's cell.
///
/// It is an HTML `code` element with every ASCII punctuation mark as an entity: no Markdown, no
/// HTML and no table delimiter is left in it, and GitHub looks for no @mention, issue number or
/// address to link inside `code`. Line breaks become spaces; control characters and the marks
/// that reorder text (U+202E and its like) become U+FFFD. Long text is cut, and says so.
pub fn code(text: &str) -> String {
    format!("<code>{}</code>", entities(&cut(text, LONGEST)))
}

/// Untrusted text for an HTML attribute between double quotes.
pub fn attribute(text: &str) -> String {
    entities(&cut(text, LONGEST))
}

/// Untrusted prose, one paragraph of ordinary text. As [`code`], without the element; mentions
/// and references are broken by a zero-width joiner after `@` and `#`.
pub fn prose(text: &str) -> String {
    entities(&cut(text, LONGEST_SENTENCE))
        .replace("&#64;", "&#64;\u{200d}")
        .replace("&#35;", "&#35;\u{200d}")
}

/// Untrusted text of several lines as a code block, its fence longer than any run of backticks
/// inside.
pub fn fenced(text: &str) -> String {
    let text = plain(text, 4_000);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// Untrusted text for a plain-text field, such as an annotation's message: no markup is read
/// there, only control characters are taken out. Line breaks stay.
pub fn plain(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|c| if c == '\n' { c } else { visible(c) }).collect()
}

fn cut(text: &str, longest: usize) -> String {
    let mut out: String = text.chars().take(longest).collect();
    if text.chars().nth(longest).is_some() {
        out.push('…');
    }
    out
}

fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // These three mean nothing to Markdown or HTML inside a word or a sentence.
            ',' | '.' | '-' => out.push(c),
            c if c.is_ascii_punctuation() => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\n' | '\r' | '\t' => out.push(' '),
            c => out.push(visible(c)),
        }
    }
    out
}

/// The character, or U+FFFD where it would hide or reorder what stands around it.
fn visible(c: char) -> char {
    let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || reorders { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_markup_survives() {
        let hostile = "<img src=x onerror=alert(1)> | a `b` **c** [d](https://e) @maintainer #1 &lt;\n\n# h\u{202e}";
        for safe in [code(hostile), prose(hostile)] {
            let inside = safe.replace("<code>", "").replace("</code>", "");
            for mark in
                ['<', '>', '|', '`', '*', '[', ']', '(', '"', '@', '\n', '\u{202e}', '_', '~', '!']
            {
                assert!(!inside.contains(mark), "{mark:?} in {inside}");
            }
        }
        assert!(prose("@maintainer").contains("&#64;\u{200d}maintainer"));
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced("a\n"), "```text\na\n```");
        assert!(fenced("a\n`````\nb").starts_with("``````text\n"));
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let long = "é".repeat(300);
        assert_eq!(code(&long).chars().filter(|c| *c == 'é').count(), LONGEST);
        assert!(code(&long).contains('…'));
    }
}
