//! How long to wait before a call is repeated.

use std::time::Duration;

const FIRST_MS: u64 = 250;
const LONGEST_MS: u64 = 15_000;

/// The pause before try `attempt` (the first repetition is 1). Half of it is fixed and half is
/// drawn by `random` in `[0, 1)`: a fleet that lost its App together must not come back together.
/// What the App asked for (`Retry-After`) is the least.
pub fn pause(attempt: u32, random: f64, asked: Option<Duration>) -> Duration {
    let doubled = FIRST_MS.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_MS);
    let half = Duration::from_millis(doubled) / 2;
    let drawn = half + half.mul_f64(random.clamp(0.0, 1.0));
    asked.map_or(drawn, |asked| asked.min(Duration::from_secs(120)).max(drawn))
}

/// [`pause`] with a draw of its own.
pub fn drawn_pause(attempt: u32, asked: Option<Duration>) -> Duration {
    pause(attempt, rand::random(), asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_bounded_and_honour_retry_after() {
        assert_eq!(pause(1, 0.0, None), Duration::from_millis(125));
        assert_eq!(pause(1, 1.0, None), Duration::from_millis(250));
        assert_eq!(pause(3, 1.0, None), Duration::from_millis(1_000));
        assert_eq!(pause(u32::MAX, 1.0, None), Duration::from_millis(LONGEST_MS));
        assert_eq!(pause(1, 0.5, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(1, 0.5, Some(Duration::from_secs(9_999))), Duration::from_secs(120));
    }
}
