//! `telemetry` events: what the process uses, once a second, once for every test, and at the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use difftest_core::event::Event;
use difftest_core::suite::TestId;

use super::error::EngineError;
use super::plan::PlannedTest;
use super::sink::Sink;
use super::usage::Meter;

/// From one sample to the next.
pub const CADENCE: Duration = Duration::from_secs(1);
/// No test's images are being made.
const NONE: usize = usize::MAX;

pub struct Telemetry<'a> {
    tests: &'a [PlannedTest],
    meter: Meter,
    current: AtomicUsize,
    vram_peak: Mutex<Option<u64>>,
    over: Mutex<bool>,
    ended: Condvar,
}

impl<'a> Telemetry<'a> {
    pub fn new(tests: &'a [PlannedTest]) -> Self {
        Self {
            tests,
            meter: Meter::new(),
            current: AtomicUsize::new(NONE),
            vram_peak: Mutex::new(None),
            over: Mutex::new(false),
            ended: Condvar::new(),
        }
    }

    /// From here on, samples are of this test.
    pub fn now_making(&self, test: usize) {
        self.current.store(test, Ordering::Relaxed);
    }

    /// Samples until [`Self::end`].
    pub fn sample(&self, sink: &Sink) -> Result<(), EngineError> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            let (guard, waited) =
                self.ended.wait_timeout(over, CADENCE).unwrap_or_else(PoisonError::into_inner);
            over = guard;
            if waited.timed_out() {
                drop(over);
                self.emit(sink, self.current())?;
                over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(over);
        self.emit(sink, None)
    }

    pub fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }

    /// One sample of a test that was too short for the cadence.
    pub fn at_least_once(&self, sink: &Sink, test: usize) -> Result<(), EngineError> {
        let Some(test) = self.tests.get(test) else { return Ok(()) };
        let id = &test.spec.id;
        let seen = sink.read(|run| run.test(id).is_some_and(|t| t.peak.rss_bytes.is_some()));
        if seen { Ok(()) } else { self.emit(sink, Some(id.clone())) }
    }

    fn current(&self) -> Option<TestId> {
        self.tests.get(self.current.load(Ordering::Relaxed)).map(|test| test.spec.id.clone())
    }

    fn emit(&self, sink: &Sink, test: Option<TestId>) -> Result<(), EngineError> {
        let usage = self.meter.read();
        let vram_peak_bytes = {
            let mut peak = self.vram_peak.lock().unwrap_or_else(PoisonError::into_inner);
            *peak = (*peak).max(usage.vram_bytes);
            *peak
        };
        sink.emit(&Event::Telemetry {
            rss_bytes: usage.rss_bytes,
            rss_peak_bytes: usage.rss_peak_bytes,
            cpu_seconds: usage.cpu_seconds,
            vram_bytes: usage.vram_bytes,
            vram_peak_bytes,
            test,
        })
    }
}
