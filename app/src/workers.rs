//! The loops behind the door: plan, judge, post, sweep. Each does one thing at a time; all of them
//! may run several times, in one process or in many, because the store lends each piece of work to
//! one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use difftest_store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::github::GitHub;
use crate::judge;
use crate::outbox::Poster;
use crate::planner::Planner;

/// Another process may have made the work, and a wait may have ended: hints tell of neither.
const POLL: Duration = Duration::from_secs(1);
/// After an error of the database itself.
const PAUSE: Duration = Duration::from_secs(2);
/// So that one call GitHub is slow to answer does not hold up all other pull requests. Each thing
/// on GitHub is lent to one of them at a time.
const POSTERS: usize = 4;
const SWEEP: Duration = Duration::from_secs(5);

/// Starts the loops. They end when `stop` is cancelled, each after the step it is in.
pub(crate) fn start(
    store: &Store,
    github: &Arc<GitHub>,
    poster: &Poster,
    lease: Duration,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    {
        let (store, github, stop) = (store.clone(), Arc::clone(github), stop.clone());
        workers.spawn(async move {
            let planner = Planner { store: &store, github: &github };
            repeat("planner", &stop, || planner.step(), || store.hints().delivery()).await;
        });
    }
    {
        let (store, stop) = (store.clone(), stop.clone());
        workers.spawn(async move {
            repeat("judge", &stop, || judge::step(&store), || store.hints().report()).await;
        });
    }
    for _ in 0..POSTERS {
        let (store, poster, stop) = (store.clone(), poster.clone(), stop.clone());
        workers.spawn(async move {
            repeat("outbox", &stop, || poster.step(), || store.hints().effect()).await;
        });
    }
    {
        let (store, stop) = (store.clone(), stop.clone());
        workers.spawn(sweep(store, lease, stop));
    }
    workers
}

/// Steps for as long as there is work, else waits for a hint or the next poll.
async fn repeat<S, H>(
    name: &str,
    stop: &CancellationToken,
    step: impl Fn() -> S,
    hint: impl Fn() -> H,
) where
    S: Future<Output = Result<bool, StoreError>>,
    H: Future<Output = ()>,
{
    while !stop.is_cancelled() {
        let wait = match step().await {
            Ok(true) => continue,
            Ok(false) => POLL,
            Err(error) => {
                tracing::error!(worker = name, %error, "the store failed");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = hint() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Takes away the leases of lost runners. Not in the first lease's time: after a time in which
/// the App was down, runners that still work must have had the chance to renew.
async fn sweep(store: Store, lease: Duration, stop: CancellationToken) {
    let mut wait = lease;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = SWEEP;
        match store.sweep_leases().await {
            Ok(swept) if swept == difftest_store::Swept::default() => {}
            Ok(swept) => tracing::warn!(?swept, "leases of lost runners were taken away"),
            Err(error) => tracing::error!(worker = "sweep", %error, "the store failed"),
        }
    }
}
