//! What a runner may believe about its lease: pure decisions, without a socket or a clock.
//!
//! Times are milliseconds of one monotonic clock, given by the caller. The runner's view is the
//! cautious one: a renewal counts from the moment it was *sent*, so the App, which counts from the
//! moment it took it, always ends the lease later. Work stops [`Lease::margin`] before that end,
//! because killing a child takes time too.

use std::collections::VecDeque;

use difftest_core::protocol::Renewal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Claimed, and no renewal acknowledged yet: nothing may start.
    Claimed,
    Running,
    /// The work has ended; the lease is held until the App has the result.
    Finishing,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The App gave the job to someone else, or ended it.
    Refused,
    /// No renewal was acknowledged in time.
    Expired,
}

/// A renewal that was sent. Answers name it, so late, repeated and reordered ones are harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Renew(Attempt),
    /// Comes at most once.
    StartWork,
    /// The App asks to stop. The lease is kept, to say that it was done.
    Cancel,
    /// The lease is gone: stop at once and say nothing more about the job.
    GiveUp(Loss),
    /// Claim no other job after this one.
    Drain,
}

/// Renewals whose answers are still worth something; older ones are past their expiry.
const REMEMBERED: usize = 32;

#[derive(Debug)]
pub struct Lease {
    ttl_ms: u64,
    phase: Phase,
    cancelled: bool,
    draining: bool,
    ends_at: u64,
    renew_at: u64,
    next_attempt: u64,
    sent: VecDeque<(Attempt, u64)>,
}

impl Lease {
    pub fn claimed(ttl_ms: u64, now: u64) -> Self {
        // A time to live of nothing would renew in a busy loop.
        let ttl_ms = ttl_ms.max(16);
        let mut lease = Self {
            ttl_ms,
            phase: Phase::Claimed,
            cancelled: false,
            draining: false,
            ends_at: 0,
            renew_at: now,
            next_attempt: 0,
            sent: VecDeque::new(),
        };
        lease.ends_at = lease.end_for(now);
        lease
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How long before the lease's end the work is stopped, in milliseconds.
    pub fn margin(&self) -> u64 {
        self.ttl_ms / 8
    }

    pub fn may_work(&self, now: u64) -> bool {
        self.phase == Phase::Running && now < self.ends_at
    }

    /// When [`Self::poll`] has something to do again, if nothing happens before.
    pub fn wake_at(&self) -> Option<u64> {
        (self.phase != Phase::Over).then(|| self.renew_at.min(self.ends_at))
    }

    /// What is due.
    pub fn poll(&mut self, now: u64) -> Vec<Act> {
        let mut acts = self.expire(now);
        if self.phase != Phase::Over && now >= self.renew_at {
            let attempt = Attempt(self.next_attempt);
            self.next_attempt += 1;
            if self.sent.len() == REMEMBERED {
                self.sent.pop_front();
            }
            self.sent.push_back((attempt, now));
            self.renew_at = now + self.ttl_ms / 4;
            acts.push(Act::Renew(attempt));
        }
        acts
    }

    /// The App acknowledged a renewal.
    pub fn answered(&mut self, attempt: Attempt, renewal: Renewal, now: u64) -> Vec<Act> {
        // The view's end comes first: an answer that was late for it does not bring it back.
        let mut acts = self.expire(now);
        if self.phase == Phase::Over {
            return acts;
        }
        if let Some(index) = self.sent.iter().position(|(sent, _)| *sent == attempt)
            && let Some((_, sent_at)) = self.sent.remove(index)
        {
            self.ends_at = self.ends_at.max(self.end_for(sent_at));
            if self.phase == Phase::Claimed && !renewal.cancel && now < self.ends_at {
                self.phase = Phase::Running;
                acts.push(Act::StartWork);
            }
        }
        if renewal.cancel && !self.cancelled {
            self.cancelled = true;
            self.phase = Phase::Finishing;
            acts.push(Act::Cancel);
        }
        if renewal.drain && !self.draining {
            self.draining = true;
            acts.push(Act::Drain);
        }
        acts
    }

    /// The App says that the lease is not ours. Final, whichever renewal it answers.
    pub fn refused(&mut self) -> Vec<Act> {
        self.end(Loss::Refused)
    }

    /// A renewal got no answer: try again sooner than planned.
    pub fn failed(&mut self, attempt: Attempt, now: u64) -> Vec<Act> {
        self.sent.retain(|(sent, _)| *sent != attempt);
        self.renew_at = self.renew_at.min(now + self.ttl_ms / 16);
        self.expire(now)
    }

    /// The work has ended by itself.
    pub fn finish(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Finishing;
        }
    }

    fn end_for(&self, sent_at: u64) -> u64 {
        sent_at + self.ttl_ms - self.margin()
    }

    fn expire(&mut self, now: u64) -> Vec<Act> {
        if now >= self.ends_at { self.end(Loss::Expired) } else { Vec::new() }
    }

    fn end(&mut self, loss: Loss) -> Vec<Act> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        self.phase = Phase::Over;
        vec![Act::GiveUp(loss)]
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
