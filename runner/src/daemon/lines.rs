//! What a job prints, cut into lines and kept within bounds.

use std::collections::VecDeque;

/// The longest line that is taken: `run_started` carries a whole suite.
pub const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    #[error("a line of its events is longer than {MAX_LINE_BYTES} bytes")]
    Line,
    #[error("its events are more than {0} bytes")]
    Total(u64),
}

/// Cuts a byte stream into lines. A last line without its line feed is an unfinished write and
/// never comes out.
#[derive(Debug)]
pub struct LineSplitter {
    rest: Vec<u8>,
    max_line: usize,
    left: u64,
    total: u64,
}

impl LineSplitter {
    pub fn new(max_line: usize, max_total: u64) -> Self {
        Self { rest: Vec::new(), max_line, left: max_total, total: max_total }
    }

    /// The lines that `bytes` complete, each with its line feed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooMuch> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(TooMuch::Total(self.total))?;
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() + piece.len() > self.max_line {
                return Err(TooMuch::Line);
            }
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.rest));
            }
        }
        Ok(lines)
    }
}

/// The last bytes of a stream that may be endless.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<u8>);

impl Tail {
    const BYTES: usize = 64 << 10;

    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(Self::BYTES)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(Self::BYTES);
        self.0.drain(..excess);
        self.0.extend(bytes);
    }

    pub fn text(&self) -> String {
        let (front, back) = self.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).trim().to_owned()
    }

    /// The last `lines` lines.
    pub fn last_lines(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test should panic")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_without_line_feeds_or_end_is_stopped() {
        let mut splitter = LineSplitter::new(8, 20);
        assert_eq!(splitter.push(b"1234567"), Ok(vec![]));
        assert_eq!(splitter.push(b"89"), Err(TooMuch::Line));
        let mut splitter = LineSplitter::new(8, 10);
        assert!(splitter.push(b"12345\n").is_ok());
        assert_eq!(splitter.push(b"12345\n"), Err(TooMuch::Total(10)));
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::default();
        for number in 0..50_000 {
            tail.push(format!("{number}\n").as_bytes());
        }
        assert_eq!(tail.last_lines(2), "49998\n49999");
        assert!(tail.text().len() <= Tail::BYTES);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(
            text in "[ab\n]{0,60}",
            cuts in prop::collection::vec(1..9_usize, 0..60),
        ) {
            let mut splitter = LineSplitter::new(100, 1_000);
            let (mut rest, mut lines) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.extend(splitter.push(now).unwrap());
                rest = later;
            }
            lines.extend(splitter.push(rest).unwrap());
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            prop_assert_eq!(String::from_utf8(lines.concat()).unwrap(), whole);
        }
    }
}
