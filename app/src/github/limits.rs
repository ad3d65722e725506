//! GitHub's rate limits, read from its answers.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, RETRY_AFTER};

/// A secondary limit without `Retry-After`: "wait for at least one minute".
const SECONDARY: Duration = Duration::from_secs(60);
/// Limits are renewed every hour; an answer that asks for more is not believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long an answer asks to wait before the next call, if it speaks of a limit.
pub(super) fn wait(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: SystemTime,
) -> Option<Duration> {
    if status != StatusCode::FORBIDDEN && status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    if let Some(wait) = retry_after(headers) {
        return Some(wait);
    }
    if number(headers, "x-ratelimit-remaining") == Some(0) {
        let reset = Duration::from_secs(number(headers, "x-ratelimit-reset")?);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        return Some(reset.saturating_sub(now).clamp(Duration::from_secs(1), LONGEST));
    }
    let secondary = status == StatusCode::TOO_MANY_REQUESTS
        || message.to_ascii_lowercase().contains("secondary rate limit");
    secondary.then_some(SECONDARY)
}

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Which installations GitHub asked to leave alone, and until when: calling on regardless
/// lengthens the ban.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<i64, Instant>>);

impl Pauses {
    pub(super) fn pause(&self, installation: i64, wait: Duration) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.insert(installation, Instant::now() + wait);
    }

    /// What is left of the pause.
    pub(super) fn left(&self, installation: i64) -> Option<Duration> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = pauses.get(&installation)?.checked_duration_since(Instant::now());
        if left.is_none() {
            pauses.remove(&installation);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn each_way_in_which_github_asks_to_wait_is_understood() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let wait = |status: u16, pairs: &[(&'static str, &str)], message| {
            wait(StatusCode::from_u16(status).unwrap(), &headers(pairs), message, now)
                .map(|wait| wait.as_secs())
        };
        assert_eq!(wait(403, &[("retry-after", "7")], ""), Some(7));
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")];
        assert_eq!(wait(403, &spent, ""), Some(30));
        assert_eq!(wait(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(wait(429, &[], ""), Some(60));
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "12")], "Resource not accessible"), None);
        assert_eq!(wait(502, &[("retry-after", "7")], ""), None);
    }

    #[test]
    fn a_pause_ends() {
        let pauses = Pauses::default();
        pauses.pause(1, Duration::from_secs(30));
        pauses.pause(2, Duration::ZERO);
        assert!(pauses.left(1).is_some());
        assert_eq!(pauses.left(2), None);
        assert_eq!(pauses.left(3), None);
    }
}
