//! What an edit changes, for a person: the lines of a file before and after.

const CONTEXT: usize = 2;
/// Above this many lines a file is compared by its beginning and end alone.
const MOST: usize = 4_000;

#[derive(Clone, Copy, PartialEq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The changed lines with a few around them, as `diff -u` marks them. Empty where nothing changes.
pub fn diff(before: &str, after: &str) -> String {
    let lines = compared(&before.lines().collect::<Vec<_>>(), &after.lines().collect::<Vec<_>>());
    let changed: Vec<usize> =
        (0..lines.len()).filter(|i| !matches!(lines[*i], Line::Same(_))).collect();
    let mut out = String::new();
    let mut skipped = false;
    for (at, line) in lines.iter().enumerate() {
        if !changed.iter().any(|c| c.abs_diff(at) <= CONTEXT) {
            skipped = true;
            continue;
        }
        if skipped {
            out.push_str("  …\n");
            skipped = false;
        }
        let (mark, text) = match line {
            Line::Same(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        out.push_str(format!("{mark} {text}").trim_end());
        out.push('\n');
    }
    out
}

/// By the longest common subsequence.
fn compared<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let head = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (rest_before, rest_after) = (&before[head..], &after[head..]);
    let most = rest_before.len().min(rest_after.len());
    let tail = (0..most)
        .take_while(|i| {
            rest_before[rest_before.len() - 1 - i] == rest_after[rest_after.len() - 1 - i]
        })
        .count();
    let a = &rest_before[..rest_before.len() - tail];
    let b = &rest_after[..rest_after.len() - tail];
    let mut lines: Vec<Line<'a>> = before[..head].iter().map(|l| Line::Same(l)).collect();
    if a.len() > MOST || b.len() > MOST {
        lines.extend(a.iter().map(|l| Line::Gone(l)));
        lines.extend(b.iter().map(|l| Line::New(l)));
    } else {
        // common[i][j]: how many lines a[i..] and b[j..] have in common.
        let mut common = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                common[i][j] = if a[i] == b[j] {
                    common[i + 1][j + 1] + 1
                } else {
                    common[i + 1][j].max(common[i][j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            if i < a.len() && j < b.len() && a[i] == b[j] {
                lines.push(Line::Same(a[i]));
                (i, j) = (i + 1, j + 1);
            } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
                lines.push(Line::Gone(a[i]));
                i += 1;
            } else {
                lines.push(Line::New(b[j]));
                j += 1;
            }
        }
    }
    lines.extend(before[before.len() - tail..].iter().map(|l| Line::Same(l)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_what_changes_and_a_little_around_it() {
        let before = "a\nb\nc\nd\ne\nf\n";
        assert_eq!(diff(before, "a\nb\nc\nd\nx\ny\nf\n"), "  …\n  c\n  d\n- e\n+ x\n+ y\n  f\n");
        assert_eq!(diff(before, before), "");
        assert_eq!(diff("", "a\n"), "+ a\n");
        assert_eq!(diff("a\n\nb\n", "b\n"), "- a\n-\n  b\n");
    }
}
