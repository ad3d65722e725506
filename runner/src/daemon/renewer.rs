//! Renews a lease on a thread and a runtime of its own: however busy the rest of the process is,
//! the lease is kept, and where it is lost the job is killed from here.

use std::time::{Duration, Instant};

use difftest_core::protocol::{Claim, Renewal, Secret};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use url::Url;

use super::client::{CallError, Client, JobClient};
use super::lease::{Act, Attempt, Lease, Loss, Phase};
use super::process::KillSwitch;

/// What the job may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No renewal was acknowledged yet.
    Waiting,
    Working,
    Cancelled,
    Lost(Loss),
}

#[derive(Debug)]
pub struct Renewer {
    standing: watch::Receiver<Standing>,
    draining: CancellationToken,
    finishing: CancellationToken,
    done: CancellationToken,
}

impl Renewer {
    /// `switch` is pulled when the job has to stop. The connection is not shared with the rest of
    /// the daemon: its sockets would be driven by the runtime that this thread must not wait for.
    pub fn start(
        url: &Url,
        token: &Secret,
        claim: &Claim,
        switch: KillSwitch,
    ) -> std::io::Result<Self> {
        let (sender, standing) = watch::channel(Standing::Waiting);
        let renewer = Self {
            standing,
            draining: CancellationToken::new(),
            finishing: CancellationToken::new(),
            done: CancellationToken::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::new(url, token)
            .map_err(std::io::Error::other)?
            .job(claim.job, &claim.lease_token)
            .map_err(std::io::Error::other)?;
        let origin = Instant::now();
        let thread = Loop {
            lease: Lease::claimed(claim.lease_ttl_ms, 0),
            timeout: Duration::from_millis((claim.lease_ttl_ms / 2).max(1)),
            origin,
            client,
            standing: sender,
            draining: renewer.draining.clone(),
            switch,
        };
        let (finishing, done) = (renewer.finishing.clone(), renewer.done.clone());
        std::thread::Builder::new()
            .name(format!("lease-{}", claim.job))
            .spawn(move || runtime.block_on(thread.run(finishing, done)))?;
        Ok(renewer)
    }

    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Whether the App asked for no further claims.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// The work has ended; the lease is still needed.
    pub fn finishing(&self) {
        self.finishing.cancel();
    }
}

impl Drop for Renewer {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

struct Loop {
    lease: Lease,
    timeout: Duration,
    origin: Instant,
    client: JobClient,
    standing: watch::Sender<Standing>,
    draining: CancellationToken,
    switch: KillSwitch,
}

impl Loop {
    async fn run(mut self, finishing: CancellationToken, done: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let due = self.lease.poll(self.now());
            for attempt in self.apply(due) {
                let call = self.client.clone();
                let timeout = self.timeout;
                under_way.push(async move { (attempt, call.renew(timeout).await) });
            }
            let Some(wake) = self.lease.wake_at() else { return };
            let wake = tokio::time::Instant::from_std(self.origin + Duration::from_millis(wake));
            let acts = tokio::select! {
                () = done.cancelled() => return,
                () = finishing.cancelled(), if self.lease.phase() == Phase::Running => {
                    self.lease.finish();
                    Vec::new()
                }
                Some((attempt, answer)) = under_way.next(), if !under_way.is_empty() => {
                    self.heard(attempt, answer)
                }
                () = tokio::time::sleep_until(wake) => Vec::new(),
            };
            self.apply(acts);
        }
    }

    fn heard(&mut self, attempt: Attempt, answer: Result<Renewal, CallError>) -> Vec<Act> {
        let now = self.now();
        match answer {
            Ok(renewal) => self.lease.answered(attempt, renewal, now),
            Err(CallError::LeaseLost) => self.lease.refused(),
            Err(error) => {
                debug!(%error, "a renewal failed");
                self.lease.failed(attempt, now)
            }
        }
    }

    /// Does what is to be done here, and returns the renewals to send.
    fn apply(&mut self, acts: Vec<Act>) -> Vec<Attempt> {
        let mut renewals = Vec::new();
        for act in acts {
            match act {
                Act::Renew(attempt) => renewals.push(attempt),
                Act::StartWork => self.stand(Standing::Working),
                Act::Cancel => {
                    info!("the App cancels the job");
                    self.switch.pull();
                    self.stand(Standing::Cancelled);
                }
                Act::GiveUp(loss) => {
                    warn!(?loss, "the lease is lost: the job is stopped");
                    self.switch.pull();
                    self.stand(Standing::Lost(loss));
                }
                Act::Drain => self.draining.cancel(),
            }
        }
        renewals
    }

    fn stand(&self, standing: Standing) {
        // A job that has ended no longer asks.
        self.standing.send_replace(standing);
    }

    /// Whole milliseconds since the claim.
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
