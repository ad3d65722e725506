//! Tables for a terminal, and small numbers as a person reads them.

use unicode_width::UnicodeWidthStr;

use super::terminal::visible;

/// The rows with their cells under each other, two spaces between columns, no space at a line's
/// end. Cells may come from code nobody trusts.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.clone().map(|cell| visible(&cell).replace('\n', " "))).collect();
    let widest: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widest) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What is smaller is what sums leave of nothing.
const ROUNDING: f64 = 1e-12;

/// Two digits that count: `0.058`, `0.00012`, `3.1e-7`, `12`, `1234`.
pub fn digits(value: f64) -> String {
    if !value.is_finite() {
        return format!("{value}");
    }
    // Of the rounded number: 0.0999 is a tenth.
    let rounded = format!("{value:.1e}");
    let power: i32 = rounded.rsplit('e').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    match power {
        _ if value.abs() < ROUNDING => "0".to_owned(),
        ..-5 => rounded,
        -5..1 => format!("{value:.*}", (1 - power) as usize),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_each_other_and_cannot_move_the_cursor() {
        let rows = [["猫", "b"], ["long", ""], ["\u{1b}[2J", "c"]].map(|r| r.map(str::to_owned));
        assert_eq!(columns(&rows), "猫         b\nlong\n\\u{1b}[2J  c\n");
    }

    #[test]
    fn a_number_has_two_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.058_31, "0.058"),
            (0.000_123, "0.00012"),
            (0.000_099_999, "0.00010"),
            (-6.5e-19, "0"),
            (3.14e-7, "3.1e-7"),
            (1.26, "1.3"),
            (12.4, "12"),
            (-0.5, "-0.50"),
        ] {
            assert_eq!(digits(value), text);
        }
    }
}
