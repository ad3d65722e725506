//! String literals with the way back from their value to their source.
//!
//! A rule finds a placeholder in a prompt's *value*; an editor underlines a piece of the *source*.
//! Between the two lie prefixes, quotes, escapes and implicit concatenation.

use std::ops::Range;

use ruff_python_ast::{ExprStringLiteral, StringFlags, StringLiteral};

/// A `str` literal of one or several implicitly concatenated parts. All ranges are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLiteral {
    pub value: String,
    /// From the first character within the first quotes to the last within the last.
    pub contents: Range<usize>,
    /// None where the value could not be followed through the source.
    spans: Option<Vec<Span>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    value: Range<usize>,
    source: Range<usize>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Value and source are the same bytes.
    Verbatim,
    /// The source is an escape sequence; a position within it has no value of its own.
    Escape,
}

impl TextLiteral {
    /// Reads a literal. None while it is unterminated, as it is when someone is typing it.
    pub fn read(source: &str, literal: &ExprStringLiteral) -> Option<Self> {
        let mut value = String::new();
        let mut spans = Some(Vec::new());
        let mut contents: Option<Range<usize>> = None;
        for part in &literal.value {
            if part.flags.is_invalid() || part.flags.is_unclosed() {
                return None;
            }
            let range = part.content_range();
            let range = range.start().to_usize()..range.end().to_usize();
            let text = source.get(range.clone())?;
            match follow(text, part, range.start, value.len()) {
                Some(followed) => spans.iter_mut().for_each(|all| all.extend(followed.clone())),
                None => spans = None,
            }
            value.push_str(&part.value);
            contents = Some(contents.map_or(range.start, |c| c.start)..range.end);
        }
        Some(Self { value, contents: contents?, spans })
    }

    /// Where a byte range of the value stands in the source; the whole literal where that cannot
    /// be told.
    pub fn place_of(&self, range: Range<usize>) -> Range<usize> {
        self.placed(range).map_or_else(|| self.contents.clone(), |(place, _)| place)
    }

    /// Where a byte range of the value stands in the source letter by letter, so that replacing
    /// the one replaces the other.
    pub fn verbatim(&self, range: Range<usize>) -> Option<Range<usize>> {
        self.placed(range).filter(|(_, form)| *form == Form::Verbatim).map(|(place, _)| place)
    }

    fn placed(&self, range: Range<usize>) -> Option<(Range<usize>, Form)> {
        let last_byte = range.end.checked_sub(1).filter(|last| *last >= range.start)?;
        let spans = self.spans.as_ref()?;
        let first = spans.iter().find(|span| span.value.contains(&range.start))?;
        let last = spans.iter().find(|span| span.value.contains(&last_byte))?;
        let start = match first.form {
            Form::Verbatim => first.source.start + (range.start - first.value.start),
            Form::Escape => first.source.start,
        };
        let end = match last.form {
            Form::Verbatim => last.source.start + (range.end - last.value.start),
            Form::Escape => last.source.end,
        };
        let form = if first == last { first.form } else { Form::Escape };
        Some((start..end, form))
    }
}

/// Walks a part's source and value side by side. Only the lengths of escapes are needed, since the
/// value is already known; where the two do not meet the answer is None.
fn follow(
    text: &str,
    part: &StringLiteral,
    source_start: usize,
    value_start: usize,
) -> Option<Vec<Span>> {
    let raw = part.flags.prefix().is_raw();
    let value = &*part.value;
    let mut spans: Vec<Span> = Vec::new();
    let (mut at, mut value_at) = (0, 0);
    while let Some(c) = text.get(at..)?.chars().next() {
        let (source_length, value_length, form) = if raw || c != '\\' {
            value.get(value_at..)?.starts_with(c).then_some(())?;
            (c.len_utf8(), c.len_utf8(), Form::Verbatim)
        } else {
            let escape = Escape::read(text.get(at..)?)?;
            let value_length = match escape.characters {
                0 => 0,
                _ => value.get(value_at..)?.chars().next()?.len_utf8(),
            };
            match escape.characters {
                // Not an escape at all: the backslash and what follows stand for themselves.
                2 => (1, value_length, Form::Verbatim),
                _ => (escape.length, value_length, Form::Escape),
            }
        };
        let span = Span {
            value: value_start + value_at..value_start + value_at + value_length,
            source: source_start + at..source_start + at + source_length,
            form,
        };
        at += source_length;
        value_at += value_length;
        match spans.last_mut() {
            Some(last)
                if (last.form, form) == (Form::Verbatim, Form::Verbatim)
                    && last.source.end == span.source.start =>
            {
                last.value.end = span.value.end;
                last.source.end = span.source.end;
            }
            _ => spans.push(span),
        }
    }
    (value_at == value.len()).then_some(spans)
}

/// An escape sequence: how many bytes it takes and how many characters it stands for (2 where
/// Python does not know it and keeps the backslash).
/// <https://docs.python.org/3/reference/lexical_analysis.html#escape-sequences>
struct Escape {
    length: usize,
    characters: usize,
}

impl Escape {
    /// `text` starts with the backslash.
    fn read(text: &str) -> Option<Self> {
        let mut chars = text.chars().skip(1);
        let first = chars.next()?;
        let of = |length, characters| Some(Self { length, characters });
        match first {
            '\n' => of(2, 0),
            '\r' => of(if chars.next() == Some('\n') { 3 } else { 2 }, 0),
            '\\' | '\'' | '"' | 'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' => of(2, 1),
            '0'..='7' => {
                let more = chars.take(2).take_while(|c| ('0'..='7').contains(c)).count();
                of(2 + more, 1)
            }
            'x' => of(4, 1),
            'u' => of(6, 1),
            'U' => of(10, 1),
            'N' => of(text.find('}')? + 1, 1),
            other => of(1 + other.len_utf8(), 2),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use ruff_python_ast::Expr;

    fn literal(source: &str) -> TextLiteral {
        let parsed = ruff_python_parser::parse_expression(source).unwrap();
        let Expr::StringLiteral(literal) = parsed.into_expr() else { panic!("not a string") };
        TextLiteral::read(source, &literal).unwrap()
    }

    /// The source of `wanted`, found in the literal's value.
    fn source_of<'a>(source: &'a str, wanted: &str) -> &'a str {
        let literal = literal(source);
        let at = literal.value.find(wanted).unwrap();
        &source[literal.place_of(at..at + wanted.len())]
    }

    #[test]
    fn prefixes_and_quotes_are_not_part_of_a_literal() {
        for source in ["'a b'", "r'a b'", "u\"a b\"", "'''a b'''", "R\"\"\"a b\"\"\""] {
            assert_eq!(&source[literal(source).contents], "a b", "{source}");
        }
    }

    #[test]
    fn a_piece_of_the_value_is_found_behind_escapes() {
        assert_eq!(source_of(r"'\t\x41\u00e9\N{BULLET}\101 é {x} b'", "{x}"), "{x}");
        assert_eq!(source_of("'''one\\\n  {x} two'''", "{x}"), "{x}");
        assert_eq!(source_of(r"r'\n {x}'", "{x}"), "{x}");
        assert_eq!(source_of(r"'\d {x} \d{x}'", "{x}"), "{x}");
        assert_eq!(source_of(r"'a \x7bx\x7d b'", "{x}"), r"\x7bx\x7d");
    }

    #[test]
    fn a_piece_of_the_value_is_found_in_every_part_of_a_concatenation() {
        let source = "('one {a} '\n r'\\two {b} '\n '''{c}''')";
        for wanted in ["{a}", "{b}", "{c}"] {
            assert_eq!(source_of(source, wanted), wanted);
        }
        assert_eq!(source_of("'a {co' 'lor} b'", "{color}"), "{co' 'lor}");
    }

    #[test]
    fn only_letters_that_stand_as_they_are_can_be_replaced() {
        let plain = literal("'a {x}'");
        assert_eq!(plain.verbatim(2..5), Some(3..6));
        assert_eq!(literal(r"'a \x7bx}'").verbatim(2..5), None);
        assert_eq!(literal("'a {' 'x}'").verbatim(2..5), None);
    }

    #[test]
    fn a_line_ending_of_windows_does_not_shift_what_follows() {
        assert_eq!(source_of("'''one\r\ntwo {x}'''", "{x}"), "{x}");
        assert_eq!(source_of("'one\\\r\ntwo {x}'", "{x}"), "{x}");
    }
}
