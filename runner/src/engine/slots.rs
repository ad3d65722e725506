//! How many images a run holds in memory: each takes a slot when it is made and gives it back when
//! its last score is written. Generation waits when there is none, and for nothing else.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One image's place. Dropping it makes room for another.
pub struct Slot<'a>(&'a Slots);

impl Slots {
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// None where there was no free one for this long.
    pub fn take(&self, patience: Duration) -> Option<Slot<'_>> {
        let free = self.lock();
        let (mut free, _) = self
            .freed
            .wait_timeout_while(free, patience, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            return None;
        }
        *free -= 1;
        Some(Slot(self))
    }

    /// A count is whole whatever its last holder was doing.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_are() {
        let slots = Slots::new(2);
        let (first, second) = (slots.take(Duration::ZERO), slots.take(Duration::ZERO));
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(Duration::from_millis(1)).is_none());
        drop(first);
        assert!(slots.take(Duration::ZERO).is_some());
    }
}
