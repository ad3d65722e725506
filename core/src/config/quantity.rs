//! Durations and sizes as people write them.

const WEEK: u64 = 7 * 24 * 3600;

/// Seconds of `90s`, `20m` or `2h`; at least one second and at most a week.
pub fn parse_duration(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=WEEK).contains(&seconds).then_some(seconds)
}

/// Bytes of `512MiB`, `20GiB` or `1TiB`, or of `MB`, `GB` and `TB` (powers of ten); at least one.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (bytes > 0).then_some(bytes)
}

/// Bytes with the largest unit that leaves a whole number, else with one decimal.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(factor, _)| bytes >= *factor) {
        Some((factor, unit)) if bytes.is_multiple_of(*factor) => {
            format!("{}{unit}", bytes / factor)
        }
        Some((factor, unit)) => format!("{:.1}{unit}", bytes as f64 / *factor as f64),
        None => format!("{bytes}B"),
    }
}

/// Seconds with the largest unit that leaves a whole number.
pub fn show_duration(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s > 0 && s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((&text[..end], text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quantity_needs_a_number_and_a_unit() {
        assert_eq!((parse_duration("90s"), parse_duration("2 h")), (Some(90), Some(7200)));
        assert_eq!((parse_size("20GiB"), parse_size("1GB")), (Some(20 << 30), Some(1_000_000_000)));
        for wrong in ["", "soon", "20", "m", "-1m", "1.5h", "0s", "9999999h", "20 parsecs"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(seconds in 1..=WEEK, mebibytes in 1_u64..1 << 20) {
            prop_assert_eq!(parse_duration(&show_duration(seconds)), Some(seconds));
            if mebibytes.is_multiple_of(1024) || mebibytes < 1024 {
                let shown = show_size(mebibytes << 20);
                prop_assert_eq!(parse_size(&shown), Some(mebibytes << 20));
            }
        }

        #[test]
        fn no_text_breaks_it(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
