//! GitHub's points in time: `2026-01-31T23:59:59Z`, always in UTC and to the second.

use serde::Deserialize;

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Timestamp(pub i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a point in time of the form 2026-01-31T23:59:59Z")]
pub struct NotATimestamp(String);

impl TryFrom<String> for Timestamp {
    type Error = NotATimestamp;

    fn try_from(text: String) -> Result<Self, NotATimestamp> {
        seconds(&text).map(Self).ok_or(NotATimestamp(text))
    }
}

fn seconds(text: &str) -> Option<i64> {
    let bare = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = bare.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    // Milliseconds, where an Enterprise Server gives them, do not matter here.
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    let sane = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    sane.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn numbers(text: &str, mark: char) -> Option<[i64; 3]> {
    let parts: Option<Vec<i64>> = text.split(mark).map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant's `days_from_civil`,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-20T16:15:00Z", Some(1_795_191_300)),
            ("2026-11-20T16:15:00.123Z", Some(1_795_191_300)),
            ("2026-13-20T16:15:00Z", None),
            ("2026-11-20", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
