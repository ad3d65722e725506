#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

use difftest_core::protocol::Renewal;
use proptest::prelude::*;

use super::{Act, Attempt, Lease, Loss, Phase};

const TTL: u64 = 1_000;
const GOES_ON: Renewal = Renewal { cancel: false, drain: false };
const CANCEL: Renewal = Renewal { cancel: true, drain: false };

fn renewal_in(acts: &[Act]) -> Option<Attempt> {
    acts.iter().find_map(|act| match act {
        Act::Renew(attempt) => Some(*attempt),
        _ => None,
    })
}

#[test]
fn work_starts_with_the_first_acknowledged_renewal_and_not_before() {
    let mut lease = Lease::claimed(TTL, 0);
    let attempt = renewal_in(&lease.poll(0)).unwrap();
    assert!(!lease.may_work(1));
    assert_eq!(lease.answered(attempt, GOES_ON, 10), [Act::StartWork]);
    assert!(lease.may_work(11));
    assert_eq!(lease.wake_at(), Some(TTL / 4));
}

#[test]
fn a_failed_renewal_is_repeated_soon() {
    let mut lease = Lease::claimed(TTL, 0);
    let attempt = renewal_in(&lease.poll(0)).unwrap();
    lease.failed(attempt, 5);
    assert_eq!(lease.wake_at(), Some(5 + TTL / 16));
}

#[test]
fn a_lease_without_answers_ends_before_the_app_ends_it() {
    let mut lease = Lease::claimed(TTL, 0);
    let attempt = renewal_in(&lease.poll(0)).unwrap();
    lease.answered(attempt, GOES_ON, 10);
    assert!(lease.poll(TTL - lease.margin()).contains(&Act::GiveUp(Loss::Expired)));
    assert_eq!(lease.phase(), Phase::Over);
    assert_eq!(lease.wake_at(), None);
}

#[test]
fn a_cancelled_job_keeps_its_lease_to_say_so() {
    let mut lease = Lease::claimed(TTL, 0);
    let first = renewal_in(&lease.poll(0)).unwrap();
    lease.answered(first, GOES_ON, 1);
    let second = renewal_in(&lease.poll(TTL / 4)).unwrap();
    assert_eq!(lease.answered(second, CANCEL, TTL / 4 + 1), [Act::Cancel]);
    assert!(!lease.may_work(TTL / 4 + 2));
    assert!(renewal_in(&lease.poll(TTL / 2)).is_some());
}

#[test]
fn a_job_cancelled_before_it_began_never_begins() {
    let mut lease = Lease::claimed(TTL, 0);
    let attempt = renewal_in(&lease.poll(0)).unwrap();
    assert_eq!(lease.answered(attempt, CANCEL, 1), [Act::Cancel]);
}

/// One thing that happens to the runner, after some time has passed.
#[derive(Debug, Clone)]
enum Happens {
    Nothing,
    /// The App takes a renewal that is under way, and answers into the network.
    Taken {
        which: usize,
        cancel: bool,
    },
    /// An answer arrives; the network may keep a copy, to bring it again.
    Arrives {
        which: usize,
        again: bool,
    },
    /// A renewal or its answer vanished, and the client noticed.
    Vanishes {
        which: usize,
    },
    Finishes,
}

fn happening() -> impl Strategy<Value = (u64, Happens)> {
    let event = prop_oneof![
        4 => Just(Happens::Nothing),
        6 => (any::<usize>(), prop::bool::weighted(0.03))
            .prop_map(|(which, cancel)| Happens::Taken { which, cancel }),
        6 => (any::<usize>(), prop::bool::weighted(0.3))
            .prop_map(|(which, again)| Happens::Arrives { which, again }),
        2 => any::<usize>().prop_map(|which| Happens::Vanishes { which }),
        1 => Just(Happens::Finishes),
    ];
    (prop_oneof![4 => 0..TTL / 4, 1 => 0..2 * TTL], event)
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Renewed(Renewal),
    Refused,
}

/// A runner, an App and the network between them.
struct World {
    lease: Lease,
    working: bool,
    starts: u32,
    over: bool,
    cancel_seen: bool,
    asked: Vec<Attempt>,
    answers: Vec<(Attempt, Answer)>,
    app_lease_ends: u64,
}

impl World {
    fn apply(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Renew(attempt) => {
                    assert!(!self.over, "renewed a lease that is over");
                    self.asked.push(attempt);
                }
                Act::StartWork => {
                    self.working = true;
                    self.starts += 1;
                }
                Act::Cancel => self.working = false,
                Act::GiveUp(_) => {
                    assert!(!self.over, "gave up twice");
                    self.working = false;
                    self.over = true;
                }
                Act::Drain => {}
            }
        }
    }

    fn happens(&mut self, what: &Happens, now: u64) {
        match what {
            Happens::Nothing => {}
            Happens::Taken { which, cancel } => {
                if self.asked.is_empty() {
                    return;
                }
                let attempt = self.asked.remove(which % self.asked.len());
                let answer = if now < self.app_lease_ends {
                    self.app_lease_ends = now + TTL;
                    Answer::Renewed(Renewal { cancel: *cancel, drain: false })
                } else {
                    Answer::Refused
                };
                self.answers.push((attempt, answer));
            }
            Happens::Arrives { which, again } => {
                if self.answers.is_empty() {
                    return;
                }
                let index = which % self.answers.len();
                let (attempt, answer) = self.answers[index];
                if !again {
                    self.answers.remove(index);
                }
                let acts = match answer {
                    Answer::Renewed(renewal) => {
                        self.cancel_seen |= renewal.cancel;
                        self.lease.answered(attempt, renewal, now)
                    }
                    Answer::Refused => self.lease.refused(),
                };
                self.apply(acts);
            }
            Happens::Vanishes { which } => {
                let attempt = if !self.asked.is_empty() {
                    self.asked.remove(which % self.asked.len())
                } else if !self.answers.is_empty() {
                    self.answers.remove(which % self.answers.len()).0
                } else {
                    return;
                };
                let acts = self.lease.failed(attempt, now);
                self.apply(acts);
            }
            Happens::Finishes => {
                self.lease.finish();
                self.working = false;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_network_does(story in prop::collection::vec(happening(), 1..80)) {
        let mut world = World {
            lease: Lease::claimed(TTL, 0),
            working: false,
            starts: 0,
            over: false,
            cancel_seen: false,
            asked: Vec::new(),
            answers: Vec::new(),
            app_lease_ends: TTL,
        };
        let mut now = 0;
        for (passes, what) in &story {
            let target = now + passes;
            // The driver sleeps until the machine wants to wake, never past it.
            while let Some(wake) = world.lease.wake_at().filter(|wake| *wake <= target) {
                now = now.max(wake);
                let acts = world.lease.poll(now);
                world.apply(acts);
            }
            now = target;
            world.happens(what, now);

            prop_assert!(!world.working || world.lease.may_work(now), "ran past its own view");
            prop_assert!(!world.working || now < world.app_lease_ends, "ran past the App's lease");
            prop_assert!(!(world.working && world.cancel_seen), "ran on after a cancel");
            prop_assert!(world.starts <= 1);
            prop_assert_eq!(world.over, world.lease.phase() == Phase::Over);
        }
    }

    #[test]
    fn answers_within_an_eighth_of_the_ttl_never_lose_it(
        delays in prop::collection::vec(0..TTL / 8, 1..60),
    ) {
        let mut lease = Lease::claimed(TTL, 0);
        for delay in delays {
            let now = lease.wake_at().unwrap();
            let attempt = renewal_in(&lease.poll(now)).unwrap();
            lease.answered(attempt, GOES_ON, now + delay);
            prop_assert!(lease.may_work(now + delay));
        }
    }

    #[test]
    fn one_answer_in_three_is_enough(lost in prop::collection::vec(0..3_usize, 1..40)) {
        let mut lease = Lease::claimed(TTL, 0);
        for failures in lost {
            for _ in 0..failures {
                let now = lease.wake_at().unwrap();
                let attempt = renewal_in(&lease.poll(now)).unwrap();
                lease.failed(attempt, now + TTL / 32);
            }
            let now = lease.wake_at().unwrap();
            let attempt = renewal_in(&lease.poll(now)).unwrap();
            lease.answered(attempt, GOES_ON, now + TTL / 32);
            prop_assert!(lease.may_work(now + TTL / 32));
        }
    }
}
