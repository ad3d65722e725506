//! `difftest runner`: leases jobs from an App and runs them in a sandbox. It only dials out.
//!
//! A job goes through [`lease`] (may it run), [`checkout`] (its files), [`sandbox`] (its walls),
//! [`side`] (the engine, once for each commit), [`event_log`] and [`images`] (what goes up), under
//! [`job`], which alone completes it.

mod backoff;
pub mod checkout;
pub mod client;
mod event_log;
mod images;
mod job;
pub mod lease;
mod lines;
mod out_dir;
mod process;
mod renewer;
pub mod sandbox;
mod side;
mod turns;
mod watchdog;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use difftest_core::protocol::{Claim, ClaimRequest, Secret};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, warn};
use url::Url;

use checkout::GitCache;
use client::{CallError, Client, ClientError, is_loopback};
use job::{JobRunner, Outcome};
use sandbox::probe::{Choices, ProbeError, probe};
use sandbox::{Isolation, Limits};

/// How long one claim may wait at the App.
const CLAIM_WAIT_MS: u64 = 30_000;

/// Take jobs from a difftest App and run them on this machine.
#[derive(Debug, Clone, Args)]
pub struct RunnerArgs {
    /// The App's address.
    #[arg(long, env = "DIFFTEST_APP_URL")]
    pub url: Url,
    /// The runner token that the App showed. Rather use the variable or --token-file: arguments
    /// are visible to every process of the machine.
    #[arg(long, env = "DIFFTEST_RUNNER_TOKEN", hide_env_values = true, value_parser = secret)]
    pub token: Option<Secret>,
    /// A file that holds the runner token.
    #[arg(long, conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// This runner's name, for people. [default: the host's name]
    #[arg(long)]
    pub name: Option<String>,
    /// What this runner can do: a job comes only to a runner that has all of the job's labels.
    /// Repeatable.
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// Where repositories are kept and jobs run.
    #[arg(long, env = "DIFFTEST_RUNNER_WORK_DIR", default_value = ".difftest-runner")]
    pub work_dir: PathBuf,
    /// The interpreter that jobs run, with difftest installed. [default: the one that runs this]
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// A folder that every job may read: model weights. Repeatable.
    #[arg(long, value_name = "DIR")]
    pub readable: Vec<PathBuf>,
    /// Give jobs this machine's graphics cards.
    #[arg(long)]
    pub gpu: bool,
    /// The memory that one job may use, in MiB. [default: four fifths of this machine's]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u64>,
    /// The processes that one job may have.
    #[arg(long, default_value_t = 1024, value_name = "COUNT")]
    pub processes: u64,
    /// What one side of a job may write to its output folder, in MiB.
    #[arg(long, default_value_t = 16 << 10, value_name = "MIB")]
    pub output: u64,
    /// When asked to stop: how long the running job may still take, before it is handed back.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub grace: u64,
    /// Run jobs without a sandbox where there is none. They are code of pull requests: only on a
    /// machine that holds nothing and is thrown away after each job.
    #[arg(long)]
    pub allow_unsandboxed: bool,
    /// Take one job and leave.
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error("no runner token: set DIFFTEST_RUNNER_TOKEN or pass --token-file")]
    NoToken,
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0}: another runner works here; give each a --work-dir of its own")]
    WorkDirInUse(PathBuf),
    #[error("which Python to run jobs with is not known: name it with --python")]
    NoPython,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    App(#[from] CallError),
}

/// Runs until `stop`, the App drains this runner, or (`--once`) one job is done.
pub async fn serve(args: RunnerArgs, stop: CancellationToken) -> Result<(), RunnerError> {
    // The job, another user, has to read what is laid out for it. The folder above is private.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let token = token(&args)?;
    let client = Client::new(&args.url, &token)?;
    if args.url.scheme() == "http" && !is_loopback(&args.url) {
        warn!("--url is http: the runner token travels readable; use https");
    }
    let work_dir = prepare(&args.work_dir)?;
    let _lock = lock(&work_dir)?;
    let jobs = work_dir.join("jobs");
    clear(&jobs)?;

    let (machine, unsandboxed) = probe(Choices {
        python: args.python.clone().or_else(own_python).ok_or(RunnerError::NoPython)?,
        readable: args.readable.clone(),
        gpu: args.gpu,
        limits: limits(&args),
        allow_unsandboxed: args.allow_unsandboxed,
        scratch: jobs.clone(),
    })
    .await?;
    match unsandboxed {
        None => info!(isolation = ?machine.isolation, "the sandbox holds"),
        Some(why) => warn!(
            %why,
            "NO SANDBOX: jobs run as this user, with its files and its network. \
             Every report of this runner says so."
        ),
    }
    if machine.isolation == Isolation::UserNamespace && rustix::process::geteuid().is_root() {
        warn!("jobs run in a user namespace of root: give the runner a user of its own");
    }

    let runner = JobRunner {
        url: args.url.clone(),
        token,
        client: client.clone(),
        machine,
        cache: GitCache::new(work_dir.join("repositories")),
        jobs,
    };
    let request = ClaimRequest {
        runner: args.name.clone().unwrap_or_else(host_name),
        labels: args.labels.clone(),
        wait_ms: CLAIM_WAIT_MS,
    };
    info!(name = %request.runner, labels = ?request.labels, url = %args.url, "waiting for jobs");
    while let Some(claim) = claimed(&client, &request, &stop).await? {
        let span = tracing::info_span!("job", job = %claim.job, attempt = claim.attempt);
        let drain = work_off(&runner, claim, &stop, args.grace).instrument(span).await;
        if args.once || drain || stop.is_cancelled() {
            break;
        }
    }
    info!("the runner leaves");
    Ok(())
}

/// The next job; `None` when it is time to stop.
async fn claimed(
    client: &Client,
    request: &ClaimRequest,
    stop: &CancellationToken,
) -> Result<Option<Claim>, CallError> {
    let mut failures = 0;
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            answer = client.claim(request) => answer,
        };
        let pause;
        match answer {
            Ok(Some(claim)) => return Ok(Some(claim)),
            Ok(None) => {
                failures = 0;
                // An App that is about to stop answers at once.
                pause = Duration::from_secs(1).saturating_sub(asked.elapsed());
            }
            Err(error @ CallError::Unauthorized(_)) => return Err(error),
            Err(error) => {
                failures += 1;
                pause = backoff::drawn_pause(failures, None);
                warn!(%error, ?pause, "no answer to a claim");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs a job; whether the App wants no further claims.
async fn work_off(runner: &JobRunner, claim: Claim, stop: &CancellationToken, grace: u64) -> bool {
    let spec = &claim.spec;
    info!(repository = %spec.repository, base = spec.base.short(), head = spec.head.short(),
        suite = %spec.suite, "claimed");
    let hand_back = CancellationToken::new();
    let job = runner.run(claim, hand_back.clone());
    let mut job = std::pin::pin!(job);
    let (outcome, drain) = tokio::select! {
        done = &mut job => done,
        () = async {
            stop.cancelled().await;
            info!(grace, "asked to stop: the job may finish");
            tokio::time::sleep(Duration::from_secs(grace)).await;
        } => {
            hand_back.cancel();
            job.await
        }
    };
    match outcome {
        Outcome::Reported(completion) => info!(?completion, "reported"),
        Outcome::Abandoned(loss) => warn!(?loss, "abandoned: the job is no longer ours"),
        Outcome::Unreported(error) => error!(%error, "the App does not take the result"),
    }
    drain
}

fn secret(value: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(value.trim()))
}

fn token(args: &RunnerArgs) -> Result<Secret, RunnerError> {
    let token = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => {
            let read = std::fs::read_to_string(path);
            Secret::new(read.map_err(|source| file_error(path, source))?.trim())
        }
        (None, None) => return Err(RunnerError::NoToken),
    };
    if token.expose().is_empty() { Err(RunnerError::NoToken) } else { Ok(token) }
}

fn file_error(path: &Path, source: io::Error) -> RunnerError {
    RunnerError::File { path: path.to_owned(), source }
}

/// The work folder, for this user alone: other users' jobs and private code lie there.
fn prepare(path: &Path) -> Result<PathBuf, RunnerError> {
    use std::os::unix::fs::PermissionsExt as _;
    let made = || {
        std::fs::create_dir_all(path)?;
        let absolute = path.canonicalize()?;
        std::fs::set_permissions(&absolute, std::fs::Permissions::from_mode(0o700))?;
        Ok(absolute)
    };
    made().map_err(|source| file_error(path, source))
}

/// Held for as long as the file is open: two runners in one folder would remove each other's jobs.
fn lock(work_dir: &Path) -> Result<std::fs::File, RunnerError> {
    let path = work_dir.join("lock");
    let file = std::fs::File::create(&path).map_err(|source| file_error(&path, source))?;
    file.try_lock().map_err(|_| RunnerError::WorkDirInUse(work_dir.to_owned()))?;
    Ok(file)
}

/// Removes what a killed daemon left.
fn clear(jobs: &Path) -> Result<(), RunnerError> {
    if let Err(error) = std::fs::remove_dir_all(jobs)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(%error, "old jobs' folders could not be removed");
    }
    std::fs::create_dir_all(jobs).map_err(|source| file_error(jobs, source))
}

/// The interpreter of the console script this runs in, by the name it was started with: that name
/// tells a virtual environment from the Python it was made of.
fn own_python() -> Option<PathBuf> {
    let started_as = PathBuf::from(std::env::args_os().next()?);
    let name = started_as.file_name()?.to_str()?;
    (name.starts_with("python") || name.starts_with("pypy")).then_some(started_as)
}

fn limits(args: &RunnerArgs) -> Limits {
    let machine = total_memory().unwrap_or(8 << 30);
    let memory_bytes = args.memory.map_or(machine / 5 * 4, |mib| mib << 20);
    Limits {
        memory_bytes,
        processes: args.processes,
        output_bytes: args.output << 20,
        tmp_bytes: (memory_bytes / 4).max(64 << 20),
    }
}

/// `MemTotal` of proc_meminfo(5), in bytes.
fn total_memory() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "runner".to_owned() } else { name.trim().to_owned() }
}
