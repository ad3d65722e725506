//! Limits of time that hold even when Python hangs.
//!
//! A thread that never needs the interpreter watches the deadlines. When one passes it sends
//! SIGALRM, whose handler raises in Python's main thread: that ends Python code, `time.sleep`, and
//! locks. Code that swallows the exception gets another one a second. A call that is still there
//! after [`GRACE`], hung in C or deaf to exceptions, cannot be ended at all: then the run is
//! abandoned, by a function that says what happened and leaves the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use difftest_core::config::show_duration;
use rustix::process::{Signal, getpid, kill_process};

use super::plan::CellAt;
use super::stop::{Stop, StopFlag};
use super::{ERROR, INTERRUPTED};

/// From the first exception to the end of the process.
pub const GRACE: Duration = Duration::from_secs(5);
/// From one exception to the next.
const AGAIN: Duration = Duration::from_secs(1);

/// A call into Python on the main thread.
#[derive(Debug)]
struct Call {
    /// None where only the run's own end is to end it.
    until: Option<Instant>,
    /// Of one image, in seconds.
    allowed: Option<u64>,
    /// Those that were still to come.
    cells: Vec<CellAt>,
    /// The first exception, and the last.
    raised: Option<(Instant, Instant)>,
}

#[derive(Debug, Default)]
struct State {
    call: Option<Call>,
    /// `--timeout`, in seconds, and when that is.
    limit: Option<(u64, Instant)>,
    /// Since when the run waits to be told what to do. That is not its own time.
    idle: Option<Instant>,
    /// A run that was told to end has ended by then.
    ends_by: Option<Instant>,
    over: bool,
}

/// What is given up with a run that cannot be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hung {
    pub reason: String,
    /// The images that were waited for.
    pub cells: Vec<CellAt>,
    /// The process's exit code.
    pub code: i32,
}

pub struct Watchdog {
    state: Mutex<State>,
    changed: Condvar,
    stop: Arc<StopFlag>,
    /// Whether there is a handler for the signal, without which it would end the process.
    handled: AtomicBool,
}

/// While it is there, the call that it was made for is watched.
pub struct Watched<'a>(&'a Watchdog);

/// What a look at the clock asks for.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Raise,
    Abandon(Hung),
}

impl Watchdog {
    /// `timeout` is of the whole run, in seconds from `started`.
    pub fn new(stop: Arc<StopFlag>, timeout: Option<u64>, started: Instant) -> Self {
        let limit = timeout.map(|limit| (limit, started + Duration::from_secs(limit)));
        let state = State { limit, ..State::default() };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop,
            handled: AtomicBool::new(false),
        }
    }

    /// There is a handler for the signal.
    pub fn may_interrupt(&self) {
        self.handled.store(true, Ordering::Relaxed);
    }

    /// Watches a call that waits for these images, of which each may take `allowed` seconds: a
    /// generator may make them all before it hands on the first.
    pub fn images(&self, cells: &[CellAt], allowed: Option<u64>) -> Watched<'_> {
        let allowance = |s: u64| Duration::from_secs(s.saturating_mul(cells.len() as u64));
        let until = allowed.map(|s| Instant::now() + allowance(s));
        self.set(Some(Call { until, allowed, cells: cells.to_vec(), raised: None }));
        Watched(self)
    }

    /// Watches a call that has no limit of its own.
    pub fn call(&self) -> Watched<'_> {
        self.images(&[], None)
    }

    fn set(&self, call: Option<Call>) {
        self.lock().call = call;
        self.changed.notify_all();
    }

    /// Ends the run, and makes sure that it ends. The first reason holds.
    pub fn end(&self, stop: Stop) {
        let mut state = self.lock();
        if self.stop.raise(stop) {
            self.order_end(&mut state, Instant::now());
        }
        self.changed.notify_all();
    }

    /// The run waits for somebody else from now on.
    pub fn idle(&self) {
        self.lock().idle = Some(Instant::now());
        self.changed.notify_all();
    }

    /// It is at work again; the time between is given back to its limit.
    pub fn at_work(&self) {
        let mut state = self.lock();
        let Some(since) = state.idle.take() else { return };
        if let Some((_, at)) = &mut state.limit {
            *at += since.elapsed();
        }
        self.changed.notify_all();
    }

    fn order_end(&self, state: &mut State, now: Instant) {
        // Nobody hurries a run that has only seen enough.
        if !matches!(self.stop.raised(), Some(Stop::FailFast(_))) {
            state.ends_by = Some(now + 2 * GRACE);
        }
    }

    /// Whether a run that was told to end has no time for anything more.
    pub fn hurries(&self) -> bool {
        self.lock().ends_by.is_some_and(|by| Instant::now() + GRACE >= by)
    }

    /// Why the call that is under way should end now; for the handler of the signal.
    pub fn overdue(&self) -> Option<String> {
        let state = self.lock();
        let call = state.call.as_ref()?;
        call.raised?;
        Some(match (self.stop.raised(), call.allowed) {
            (Some(stop), _) => stop.reason(),
            (None, Some(allowed)) => over_the_limit(allowed),
            (None, None) => return None,
        })
    }

    /// Watches until [`Self::dismiss`]. `abandon` is called at most once, and does not return to
    /// a run that could go on.
    pub fn watch(&self, abandon: impl FnOnce(Hung)) {
        let mut state = self.lock();
        loop {
            if state.over {
                return;
            }
            let now = Instant::now();
            match self.due(&mut state, now) {
                Due::Nothing => {}
                Due::Raise if !self.handled.load(Ordering::Relaxed) => {}
                Due::Raise => {
                    // That this process cannot signal itself would leave the grace period.
                    let _ = kill_process(getpid(), Signal::ALARM);
                }
                Due::Abandon(hung) => {
                    drop(state);
                    return abandon(hung);
                }
            }
            let pause = self.next(&state).map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
            });
            state = self
                .changed
                .wait_timeout(state, pause)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    pub fn dismiss(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    fn due(&self, state: &mut State, now: Instant) -> Due {
        if let Some((limit, at)) = state.limit
            && state.idle.is_none()
            && now >= at
        {
            state.limit = None;
            if self.stop.raise(Stop::Timeout(limit)) {
                self.order_end(state, now);
            }
        }
        if state.ends_by.is_some_and(|by| now >= by) {
            let why = self.stop.raised().map_or_else(String::new, Stop::reason);
            let reason = format!("{why}, and what was under way did not end");
            let code = match self.stop.raised() {
                Some(Stop::Interrupted) => INTERRUPTED,
                _ => ERROR,
            };
            return Due::Abandon(Hung { reason, cells: Vec::new(), code });
        }
        let Some(call) = &mut state.call else { return Due::Nothing };
        match call.raised {
            None if self.stop.raised().is_some() || call.until.is_some_and(|at| now >= at) => {
                call.raised = Some((now, now));
                Due::Raise
            }
            Some(_) if call.until.is_some_and(|at| now >= at + GRACE) => {
                let limit = call.allowed.map(over_the_limit).unwrap_or_default();
                let reason = format!(
                    "{limit}, and could not be ended: it hangs outside of Python's reach, or \
                     ignores exceptions"
                );
                Due::Abandon(Hung { reason, cells: call.cells.clone(), code: ERROR })
            }
            Some((first, last)) if now >= last + AGAIN => {
                call.raised = Some((first, now));
                Due::Raise
            }
            _ => Due::Nothing,
        }
    }

    fn next(&self, state: &State) -> Option<Instant> {
        let call = state.call.as_ref().and_then(|call| match call.raised {
            None => call.until,
            Some((_, last)) => Some(last + AGAIN),
        });
        let limit = state.limit.filter(|_| state.idle.is_none()).map(|(_, at)| at);
        [call, limit, state.ends_by].into_iter().flatten().min()
    }

    /// Each field is whole whatever the last holder was doing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

fn over_the_limit(seconds: u64) -> String {
    format!("the image took longer than --image-timeout {}", show_duration(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn at(from: Instant, seconds: f64) -> Instant {
        from + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn an_image_is_asked_to_end_again_and_again_and_then_given_up() {
        let stop = Arc::<StopFlag>::default();
        let dog = Watchdog::new(Arc::clone(&stop), None, Instant::now());
        let watched = dog.images(&[CellAt { test: 0, cell: 7 }], Some(3));
        let now = dog.lock().call.as_ref().unwrap().until.unwrap();
        let due = |seconds| dog.due(&mut dog.lock(), at(now, seconds));
        let before = now - Duration::from_millis(100);
        assert_eq!(dog.due(&mut dog.lock(), before), Due::Nothing);
        assert_eq!(dog.overdue(), None);
        assert_eq!(due(0.0), Due::Raise);
        assert!(dog.overdue().unwrap().contains("--image-timeout 3s"));
        assert_eq!(due(0.9), Due::Nothing);
        assert_eq!(due(1.0), Due::Raise);
        let Due::Abandon(hung) = due(5.0) else { panic!("it was to be given up") };
        assert_eq!(hung.cells, [CellAt { test: 0, cell: 7 }]);
        drop(watched);
        assert_eq!(due(6.0), Due::Nothing);
        assert_eq!(dog.overdue(), None);
    }

    #[test]
    fn a_batch_may_take_as_long_for_all_its_images() {
        let stop = Arc::<StopFlag>::default();
        let dog = Watchdog::new(Arc::clone(&stop), None, Instant::now());
        let _watched = dog.images(&[0, 1, 2].map(|cell| CellAt { test: 0, cell }), Some(10));
        let now = Instant::now();
        let due = |seconds| dog.due(&mut dog.lock(), at(now, seconds));
        assert_eq!(due(29.0), Due::Nothing);
        assert_eq!(due(31.0), Due::Raise);
    }

    #[test]
    fn a_run_past_its_timeout_ends_what_is_under_way_and_then_itself() {
        let stop = Arc::<StopFlag>::default();
        let started = Instant::now();
        let dog = Watchdog::new(Arc::clone(&stop), Some(60), started);
        let _watched = dog.call();
        let due = |seconds| dog.due(&mut dog.lock(), at(started, seconds));
        assert_eq!(due(59.0), Due::Nothing);
        assert_eq!(due(60.0), Due::Raise);
        assert_eq!(stop.raised(), Some(&Stop::Timeout(60)));
        assert!(dog.overdue().unwrap().contains("timeout of 1m"));
        assert_eq!(due(61.0), Due::Raise);
        assert!(matches!(due(70.0), Due::Abandon(_)));
    }

    #[test]
    fn time_that_is_spent_waiting_for_a_command_is_not_the_runs() {
        let stop = Arc::<StopFlag>::default();
        let started = Instant::now();
        let dog = Watchdog::new(Arc::clone(&stop), Some(60), started);
        dog.idle();
        assert_eq!(dog.due(&mut dog.lock(), at(started, 3600.0)), Due::Nothing);
        std::thread::sleep(Duration::from_millis(20));
        dog.at_work();
        let end = dog.lock().limit.unwrap().1;
        assert!(end >= at(started, 60.02), "{:?}", end - started);
        assert_eq!(dog.due(&mut dog.lock(), end), Due::Nothing);
        assert_eq!(stop.raised(), Some(&Stop::Timeout(60)));
    }

    #[test]
    fn a_run_that_has_seen_enough_is_not_hurried() {
        let stop = Arc::<StopFlag>::default();
        let dog = Watchdog::new(Arc::clone(&stop), None, Instant::now());
        dog.end(Stop::FailFast(difftest_core::suite::TestId("t.py::a".into())));
        assert_eq!(dog.due(&mut dog.lock(), at(Instant::now(), 3600.0)), Due::Nothing);
    }
}
