//! One leased job, from its claim to its completion.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use difftest_core::event::LogLevel;
use difftest_core::protocol::{Claim, Completion, JobSpec, Sandbox, Secret, Side};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Url;

use super::checkout::{CheckoutError, GitCache};
use super::client::{CallError, Client, JobClient};
use super::event_log::{EventLog, LogError};
use super::images::Images;
use super::lease::Loss;
use super::process::KillSwitch;
use super::renewer::{Renewer, Standing};
use super::sandbox::probe::create_out;
use super::sandbox::{Isolation, Machine};
use super::side::{SideError, SideRun};
use super::turns::Turns;

/// How a job left this runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The App has the result.
    Reported(Completion),
    /// The job is no longer ours: nothing was said about it.
    Abandoned(Loss),
    /// The App did not take the result; the lease will run out.
    Unreported(String),
}

/// What this machine or the App did wrong: never the repository's fault.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error(transparent)]
    Side(#[from] SideError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("images could not be sent: {0}")]
    Images(CallError),
}

/// Why the work ended.
enum Ended {
    ByItself(Result<(), JobError>),
    Stopped(Standing),
    TimedOut,
    HandedBack,
}

/// Runs jobs, one at a time.
#[derive(Debug)]
pub struct JobRunner {
    pub url: Url,
    pub token: Secret,
    pub client: Client,
    pub machine: Machine,
    pub cache: GitCache,
    /// Each job has a folder of its own here, while it runs.
    pub jobs: PathBuf,
}

/// What goes up while a job runs.
struct Uploads {
    base: EventLog,
    head: EventLog,
    images: Images,
}

impl JobRunner {
    /// The outcome, and whether the App wants this runner to claim no more.
    pub async fn run(&self, claim: Claim, hand_back: CancellationToken) -> (Outcome, bool) {
        let switch = KillSwitch::default();
        let started = Renewer::start(&self.url, &self.token, &claim, switch.clone());
        let renewer = match started {
            Ok(renewer) => renewer,
            Err(error) => return (Outcome::Unreported(error.to_string()), false),
        };
        let mut standing = renewer.standing();
        let waiting = standing.wait_for(|s| *s != Standing::Waiting).await.map(|s| *s);
        let outcome = match waiting.unwrap_or(Standing::Lost(Loss::Expired)) {
            Standing::Lost(loss) => Outcome::Abandoned(loss),
            _ => self.work(&claim, &renewer, &switch, hand_back).await,
        };
        (outcome, renewer.is_draining())
    }

    async fn work(
        &self,
        claim: &Claim,
        renewer: &Renewer,
        switch: &KillSwitch,
        hand_back: CancellationToken,
    ) -> Outcome {
        let folder = self.jobs.join(format!("{}-{}", claim.job, claim.attempt));
        let client = match self.client.job(claim.job, &claim.lease_token) {
            Ok(client) => client,
            Err(error) => return Outcome::Unreported(error.to_string()),
        };
        let mut standing = renewer.standing();
        let completion = match Uploads::start(&folder, &client).await {
            Err(error) => Some(infrastructure(&error.to_string())),
            Ok(mut uploads) => {
                let ended = {
                    let sides = self.sides(&claim.spec, &folder, &client, switch, &mut uploads);
                    tokio::select! {
                        biased;
                        why = stopped(&mut standing) => Ended::Stopped(why),
                        () = hand_back.cancelled() => Ended::HandedBack,
                        () = tokio::time::sleep(Duration::from_secs(claim.spec.timeout_s)) => {
                            Ended::TimedOut
                        }
                        result = sides => Ended::ByItself(result),
                    }
                };
                // Before anything is said about the job, nothing of it runs.
                switch.pull();
                switch.gone().await;
                renewer.finishing();
                self.conclude(ended, &claim.spec, uploads, &mut standing).await
            }
        };
        if let Err(error) = remove(&folder) {
            warn!(%error, folder = %folder.display(), "a job's folder could not be removed");
        }
        let Some(completion) = completion else {
            return Outcome::Abandoned(loss_of(&standing));
        };
        tokio::select! {
            biased;
            loss = lost(&mut standing) => Outcome::Abandoned(loss),
            answer = client.complete(&completion) => match answer {
                Ok(()) => Outcome::Reported(completion),
                Err(CallError::LeaseLost) => Outcome::Abandoned(Loss::Refused),
                Err(error) => Outcome::Unreported(error.to_string()),
            },
        }
    }

    /// Both sides: in turns where the settings allow it, so that neither computes while the other
    /// does and the job stops as soon as its verdict stands; else one after the other.
    async fn sides(
        &self,
        spec: &JobSpec,
        folder: &Path,
        client: &JobClient,
        switch: &KillSwitch,
        uploads: &mut Uploads,
    ) -> Result<(), JobError> {
        let sources = self.cache.check_out(client, spec, folder, switch).await?;
        let out = |side: Side| folder.join(format!("out-{}", side.as_str()));
        let Uploads { base, head, images } = &mut *uploads;
        for (side, log) in Side::BOTH.into_iter().zip([&mut *base, &mut *head]) {
            create_out(self.machine.isolation, &out(side))?;
            for note in &sources.of(side).notes {
                log.say(LogLevel::Warning, note.clone()).await?;
            }
        }
        let turns = spec.verdict.interleave.then(|| Turns::new(spec.verdict.clone()));
        let run = |side: Side| SideRun {
            side,
            suite: &spec.suite,
            source: sources.of(side).folder.clone(),
            out: out(side),
            base_out: (side == Side::Head).then(|| out(Side::Base)),
            network: spec.network,
            turns: turns.as_ref(),
        };
        let (of_base, of_head) = (run(Side::Base), run(Side::Head));
        let (machine, images) = (&self.machine, &*images);
        info!(in_turns = turns.is_some(), "running both sides");
        if turns.is_some() {
            tokio::try_join!(
                of_base.run(machine, switch, base, images),
                of_head.run(machine, switch, head, images),
            )?;
        } else {
            of_base.run(machine, switch, base, images).await?;
            of_head.run(machine, switch, head, images).await?;
        }
        Ok(())
    }

    /// Brings up what there is, and says how the job ended; `None` when it is not ours any more.
    async fn conclude(
        &self,
        ended: Ended,
        spec: &JobSpec,
        uploads: Uploads,
        standing: &mut watch::Receiver<Standing>,
    ) -> Option<Completion> {
        let completion = match ended {
            Ended::Stopped(Standing::Cancelled) => {
                uploads.abort();
                return Some(Completion::Cancelled);
            }
            Ended::Stopped(_) => {
                uploads.abort();
                return None;
            }
            Ended::HandedBack => {
                uploads.abort();
                return Some(infrastructure("the runner was asked to stop before the job's end"));
            }
            Ended::TimedOut => Completion::TimedOut {
                reason: format!("The job did not end within {} s.", spec.timeout_s),
            },
            Ended::ByItself(Ok(())) => Completion::Finished { sandbox: self.sandbox() },
            Ended::ByItself(Err(error)) => {
                error!(%error, "the job could not be run");
                infrastructure(&error.to_string())
            }
        };
        tokio::select! {
            biased;
            why = stopped(standing) => {
                // Dropping the uploads' handles does not end them; their calls are fenced anyway.
                (why == Standing::Cancelled).then_some(Completion::Cancelled)
            }
            sent = uploads.finish() => Some(match (sent, completion) {
                (Err(error), Completion::Finished { .. }) => infrastructure(&error.to_string()),
                (_, completion) => completion,
            }),
        }
    }

    fn sandbox(&self) -> Sandbox {
        match self.machine.isolation {
            Isolation::Root | Isolation::UserNamespace => Sandbox::Bubblewrap,
            Isolation::None => Sandbox::None,
        }
    }
}

impl Uploads {
    async fn start(folder: &Path, client: &JobClient) -> io::Result<Self> {
        // A folder of this name is from a daemon that was killed.
        remove(folder)?;
        std::fs::create_dir_all(folder)?;
        let log = |side: Side| {
            let path = folder.join(format!("events-{}.jsonl", side.as_str()));
            let client = client.clone();
            async move { EventLog::start(&path, client, side).await }
        };
        Ok(Self {
            base: log(Side::Base).await?,
            head: log(Side::Head).await?,
            images: Images::start(client.clone()),
        })
    }

    /// Waits until the App has everything, and says in the logs which images it will not get.
    async fn finish(self) -> Result<(), JobError> {
        let Self { mut base, mut head, images } = self;
        for refused in images.finish().await.map_err(JobError::Images)? {
            let log = match refused.side {
                Side::Base => &mut base,
                Side::Head => &mut head,
            };
            let message = format!("The image {} was not taken: {}.", refused.sha, refused.why);
            log.say(LogLevel::Error, message).await?;
        }
        let (base, head) = tokio::join!(base.finish(), head.finish());
        base?;
        head?;
        Ok(())
    }

    fn abort(&self) {
        self.base.abort();
        self.head.abort();
        self.images.abort();
    }
}

/// Resolves when the job has to stop.
async fn stopped(standing: &mut watch::Receiver<Standing>) -> Standing {
    let why = standing
        .wait_for(|s| matches!(s, Standing::Cancelled | Standing::Lost(_)))
        .await
        .map(|s| *s);
    // The renewer's thread ended without a word: nobody holds the lease any more.
    why.unwrap_or(Standing::Lost(Loss::Expired))
}

/// Resolves when the lease is gone; a cancelled job still has one.
async fn lost(standing: &mut watch::Receiver<Standing>) -> Loss {
    let _ = standing.wait_for(|s| matches!(s, Standing::Lost(_))).await;
    loss_of(standing)
}

fn loss_of(standing: &watch::Receiver<Standing>) -> Loss {
    match *standing.borrow() {
        Standing::Lost(loss) => loss,
        _ => Loss::Expired,
    }
}

fn infrastructure(reason: &str) -> Completion {
    Completion::Infrastructure { reason: reason.chars().take(2_000).collect() }
}

fn remove(folder: &Path) -> io::Result<()> {
    let removed = match std::fs::remove_dir_all(folder) {
        // A job can lock its own folders; it is dead by now, and they are ours.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(folder)?;
            std::fs::remove_dir_all(folder)
        }
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes every folder below writable, links not followed.
fn unlock(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}
