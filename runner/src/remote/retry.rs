//! What is tried again, after which pause, how often.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use backon::ExponentialBuilder;

/// What a repetition of a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: it reads, or it asks for an image that nobody charges for. Repeated on a failed or
    /// lost connection, 408, 425, 429, 500, 502, 503 and 504.
    Free,
    /// Perhaps a second charge. Repeated only where the first attempt surely began nothing: no
    /// connection was made, or the answer is 429 or 503. After 500, 502, 504 or a lost answer the
    /// image may have been made and billed, so its cell fails and says so.
    MayCharge,
}

impl Repeat {
    pub fn after_status(self, status: u16) -> bool {
        match self {
            Self::Free => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::MayCharge => matches!(status, 429 | 503),
        }
    }
}

pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How waiting is done; a test's passes at once and is written down.
pub type Sleeper = Arc<dyn Fn(Duration) -> Sleep + Send + Sync>;

/// All pauses of this room in one place.
#[derive(Clone)]
pub struct Pace {
    /// Before the first repetition; doubled for each further one.
    pub first: Duration,
    pub longest: Duration,
    /// The most that a server's `Retry-After` is followed for.
    pub retry_after_cap: Duration,
    /// Between two looks at work that is under way.
    pub poll: Duration,
    /// How long a small question may take before it is asked again.
    pub read: Duration,
    /// After how much silence of a WebSocket its server is asked over HTTP.
    pub quiet: Duration,
    /// How long a back end may take to hear that an image is not wanted any more.
    pub cancel: Duration,
    /// How long it may take to answer the first question of all, who it is.
    pub greeting: Duration,
    pub sleeper: Sleeper,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("first", &self.first).finish_non_exhaustive()
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            retry_after_cap: Duration::from_secs(120),
            poll: Duration::from_millis(1000),
            read: Duration::from_secs(30),
            quiet: Duration::from_secs(15),
            cancel: Duration::from_secs(5),
            greeting: Duration::from_secs(15),
            sleeper: Arc::new(|pause| Box::pin(tokio::time::sleep(pause))),
        }
    }
}

impl Pace {
    /// Doubling pauses, without jitter: [`Self::pause`] draws it.
    pub fn schedule(&self, repetitions: usize) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(repetitions)
    }

    /// Full jitter: anything up to `scheduled`, so that who failed together does not come back
    /// together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What
    /// the server asked for is the least, up to the cap.
    pub fn pause(&self, scheduled: Duration, asked: Option<Duration>, random: f64) -> Duration {
        let drawn = scheduled.mul_f64(random.clamp(0.0, 1.0));
        asked.map_or(drawn, |asked| asked.min(self.retry_after_cap).max(drawn))
    }

    pub async fn sleep(&self, pause: Duration) {
        (self.sleeper)(pause).await;
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). None for anything else.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // The standard has whole seconds only; a fraction is no reason to come back too early.
    if let Ok(seconds) = value.parse::<f64>()
        && seconds.is_finite()
        && seconds >= 0.0
    {
        return Some(Duration::from_secs_f64(seconds.min(1e9)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// How many attempts one image took beyond the first.
#[derive(Debug, Default)]
pub struct Tally(AtomicU32);

impl Tally {
    pub fn repeated(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn retries(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_from_nothing_on() {
        let pace = Pace::default();
        let all: Vec<u128> = pace.schedule(9).build().map(|p| p.as_millis()).collect();
        assert_eq!(all, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        let scheduled = Duration::from_secs(8);
        assert_eq!(pace.pause(scheduled, None, 0.0), Duration::ZERO);
        assert_eq!(pace.pause(scheduled, None, 0.5), Duration::from_secs(4));
        assert_eq!(pace.pause(scheduled, None, 1.0), scheduled);
    }

    #[test]
    fn the_server_s_wish_is_the_least_and_has_a_cap() {
        let pace = Pace::default();
        let second = Duration::from_secs(1);
        assert_eq!(pace.pause(second, Some(7 * second), 1.0), 7 * second);
        assert_eq!(pace.pause(8 * second, Some(second), 1.0), 8 * second);
        assert_eq!(pace.pause(second, Some(9_999 * second), 0.3), pace.retry_after_cap);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        let read = |value: &str| retry_after(value, now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read(" 1.5 "), Some(Duration::from_millis(1500)));
        assert_eq!(read("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::from_secs(59)));
        assert_eq!(read("Fri, 31 Dec 1999 23:00:00 GMT"), Some(Duration::ZERO), "in the past");
        for nonsense in ["soon", "-1", "NaN", ""] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn only_what_may_go_better_is_repeated() {
        for status in [429, 503] {
            assert!(Repeat::Free.after_status(status) && Repeat::MayCharge.after_status(status));
        }
        for status in [500, 502, 504] {
            assert!(Repeat::Free.after_status(status) && !Repeat::MayCharge.after_status(status));
        }
        for status in [400, 401, 402, 403, 404, 409, 413, 422, 501] {
            assert!(!Repeat::Free.after_status(status) && !Repeat::MayCharge.after_status(status));
        }
    }
}
