//! An open document: its text, kept in step with the editor, and positions in the editor's units.

use std::ops::Range;

use tower_lsp::ls_types::{
    self as lsp, Position, PositionEncodingKind, TextDocumentContentChangeEvent,
};

/// In which units a client counts the characters of a line.
/// <https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#positionEncodingKind>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// What every client must understand.
    #[default]
    Utf16,
    Utf32,
}

impl Encoding {
    /// The first of the client's encodings that is known here; clients list the preferred first.
    pub fn negotiate(offered: Option<&[PositionEncodingKind]>) -> Self {
        offered.unwrap_or_default().iter().find_map(Self::of_kind).unwrap_or_default()
    }

    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    fn of_kind(kind: &PositionEncodingKind) -> Option<Self> {
        match kind.as_str() {
            "utf-8" => Some(Self::Utf8),
            "utf-16" => Some(Self::Utf16),
            "utf-32" => Some(Self::Utf32),
            _ => None,
        }
    }

    fn units(self, c: char) -> usize {
        match self {
            Self::Utf8 => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
            Self::Utf32 => 1,
        }
    }
}

/// A text and where its lines start. Lines end with `\n`, `\r\n` or `\r`, as the protocol says.
#[derive(Debug, Clone)]
pub struct Document {
    text: String,
    encoding: Encoding,
    /// In bytes, never empty.
    line_starts: Vec<usize>,
}

impl Document {
    pub fn new(text: String, encoding: Encoding) -> Self {
        let line_starts = line_starts(&text);
        Self { text, encoding, line_starts }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Applies an editor's changes in order. Each is relative to what the one before it left.
    pub fn apply(&mut self, changes: Vec<TextDocumentContentChangeEvent>) {
        for change in changes {
            match change.range {
                Some(range) => {
                    let (start, end) = (self.offset(range.start), self.offset(range.end));
                    self.text.replace_range(start.min(end)..end.max(start), &change.text);
                }
                None => self.text = change.text,
            }
            self.line_starts = line_starts(&self.text);
        }
    }

    /// The byte a position stands for. Past the end of a line is its end and past the last line is
    /// the end of the text, as the protocol says; within a character is its start.
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.line_starts.get(line) else { return self.text.len() };
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        let content = self.text[start..end].trim_end_matches(['\r', '\n']);
        let mut units = 0;
        for (at, c) in content.char_indices() {
            units += self.encoding.units(c);
            if units > position.character as usize {
                return start + at;
            }
        }
        start + content.len()
    }

    /// The position of a byte. Within a character it is that of the character.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset) - 1;
        let before = &self.text[self.line_starts[line]..offset];
        let character: usize = before.chars().map(|c| self.encoding.units(c)).sum();
        Position { line: saturate(line), character: saturate(character) }
    }

    pub fn range(&self, bytes: Range<usize>) -> lsp::Range {
        lsp::Range { start: self.position(bytes.start), end: self.position(bytes.end) }
    }
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let ends_line = match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_line {
            starts.push(at + 1);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    fn change(start: Position, end: Position, text: &str) -> TextDocumentContentChangeEvent {
        TextDocumentContentChangeEvent {
            range: Some(lsp::Range { start, end }),
            range_length: None,
            text: text.into(),
        }
    }

    #[test]
    fn characters_are_counted_in_the_clients_units() {
        let text = "é🎨x\n";
        for (encoding, character) in
            [(Encoding::Utf8, 6), (Encoding::Utf16, 3), (Encoding::Utf32, 2)]
        {
            let document = Document::new(text.into(), encoding);
            assert_eq!(document.position(6), at(0, character), "{encoding:?}");
            assert_eq!(document.offset(at(0, character)), 6, "{encoding:?}");
        }
    }

    #[test]
    fn a_position_that_is_not_there_is_the_nearest_that_is() {
        let document = Document::new("ab\r\n🎨\n".into(), Encoding::Utf16);
        assert_eq!(document.offset(at(0, 99)), 2);
        assert_eq!(document.offset(at(1, 1)), 4, "within a surrogate pair");
        assert_eq!(document.offset(at(7, 0)), document.text().len());
        assert_eq!(document.position(usize::MAX), at(2, 0));
        assert_eq!(document.position(5), at(1, 0), "within a character");
    }

    #[test]
    fn every_line_ending_of_the_protocol_ends_a_line() {
        let document = Document::new("a\nb\r\nc\rd".into(), Encoding::Utf16);
        assert_eq!(document.line_starts, [0, 2, 5, 7]);
    }

    #[test]
    fn changes_apply_in_order_each_to_what_the_last_one_left() {
        let mut document = Document::new("one\ntwo\n".into(), Encoding::Utf16);
        document.apply(vec![
            change(at(0, 0), at(0, 3), "🎨\nthree"),
            change(at(1, 5), at(2, 0), " "),
            change(at(1, 6), at(1, 9), "2"),
        ]);
        assert_eq!(document.text(), "🎨\nthree 2\n");
        document.apply(vec![TextDocumentContentChangeEvent {
            range: None,
            range_length: None,
            text: "all new".into(),
        }]);
        assert_eq!(document.text(), "all new");
    }

    #[test]
    fn the_clients_first_known_encoding_is_taken_and_utf_16_otherwise() {
        let offer = [PositionEncodingKind::new("utf-7"), PositionEncodingKind::UTF8];
        assert_eq!(Encoding::negotiate(Some(&offer)), Encoding::Utf8);
        assert_eq!(Encoding::negotiate(Some(&offer[..1])), Encoding::Utf16);
        assert_eq!(Encoding::negotiate(None), Encoding::Utf16);
    }
}
