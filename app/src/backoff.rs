//! How long to wait before the next try. Pure.

use std::time::Duration;

/// Doubles from `first` up to `longest`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The wait after the `attempt`-th failure, counted from 1. `jitter` in 0..1 spreads it over
    /// the upper half, so that what failed together does not come back together.
    pub fn after(&self, attempt: i64, jitter: f64) -> Duration {
        let doublings = u32::try_from((attempt - 1).clamp(0, 30)).unwrap_or(30);
        let full = self.first.saturating_mul(2u32.saturating_pow(doublings)).min(self.longest);
        full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

pub fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_they_are_long_enough() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
        let seconds: Vec<u64> =
            [1, 2, 3, 9, 10, 1000].map(|n| backoff.after(n, 1.0).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
        assert_eq!(backoff.after(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.after(0, 1.0), Duration::from_secs(1));
    }
}
