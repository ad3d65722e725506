//! Wakes whoever waits in this process. Only a hint: another process may have made the change, so
//! every loop polls as well.
//!
//! A hint counts from when it was asked for, not from when it is awaited: ask for it, look for
//! work, and await it where there was none.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Deliveries,
    Jobs,
    Reports,
    Effects,
}

#[derive(Debug, Clone, Default)]
pub struct Hints {
    deliveries: Arc<Notify>,
    jobs: Arc<Notify>,
    reports: Arc<Notify>,
    effects: Arc<Notify>,
}

impl Hints {
    /// A delivery is there for `next_delivery`.
    pub fn delivery(&self) -> Notified<'_> {
        self.deliveries.notified()
    }

    /// A job is there for `claim_job`. Everyone who waits at that moment is woken.
    pub fn job(&self) -> Notified<'_> {
        self.jobs.notified()
    }

    /// A job is there for `next_unjudged_job`.
    pub fn report(&self) -> Notified<'_> {
        self.reports.notified()
    }

    /// An effect is there for `next_effect`.
    pub fn effect(&self) -> Notified<'_> {
        self.effects.notified()
    }

    pub(crate) fn wake(&self, topic: Topic) {
        match topic {
            // One worker each, which may be busy at this moment: the permit waits for it.
            Topic::Deliveries => self.deliveries.notify_one(),
            Topic::Reports => self.reports.notify_one(),
            Topic::Effects => self.effects.notify_one(),
            // Many runners wait, and which of them has the labels is not known here.
            Topic::Jobs => self.jobs.notify_waiters(),
        }
    }
}
