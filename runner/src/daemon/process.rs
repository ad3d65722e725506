//! A child process that cannot outlive its job.
//!
//! Each child has a thread of its own, which starts it, waits for it and reaps it. Linux sends a
//! child its parent-death signal when the *thread* that started it ends, so a thread of a pool
//! would not do.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::lines::Tail;

/// A command with everything it gets: nothing is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
}

/// Stops the job's children, whichever run, from any thread.
#[derive(Debug, Clone, Default)]
pub struct KillSwitch(Arc<Mutex<Switch>>);

#[derive(Debug, Default)]
struct Switch {
    pulled: bool,
    /// Their groups' leaders are not reaped while they are here, so the numbers are still their
    /// own.
    groups: Vec<(Pid, CancellationToken)>,
}

impl KillSwitch {
    /// Kills every child and lets no other start.
    pub fn pull(&self) {
        let mut switch = self.lock();
        switch.pulled = true;
        switch.groups.iter().for_each(|(group, _)| kill(*group));
    }

    /// Kills one child, if it still runs.
    pub fn kill(&self, pid: i32) {
        let switch = self.lock();
        let known = switch.groups.iter().find(|(g, _)| g.as_raw_nonzero().get() == pid);
        if let Some((group, _)) = known {
            kill(*group);
        }
    }

    /// Resolves when no child is left.
    pub async fn gone(&self) {
        let all: Vec<_> = self.lock().groups.iter().map(|(_, gone)| gone.clone()).collect();
        for gone in all {
            gone.cancelled().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(group: Pid) {
    // It may have ended by itself a moment ago.
    let _ = kill_process_group(group, Signal::KILL);
}

#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Process {
    /// Starts a child under `switch`.
    pub async fn spawn(line: CommandLine, switch: &KillSwitch) -> io::Result<Self> {
        let (started, has_started) = oneshot::channel();
        let (ended, exit) = oneshot::channel();
        let switch = switch.clone();
        std::thread::Builder::new().name("job-child".into()).spawn(move || {
            match start(line, &switch) {
                Ok((pid, child, pipes)) => {
                    let _ = started.send(Ok((pid, pipes)));
                    let _ = ended.send(reap(pid, child, &switch));
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        let (pid, [stdin, stdout, stderr]) =
            has_started.await.map_err(|_| io::Error::other("the child's thread ended"))??;
        Ok(Self {
            pid: pid.as_raw_nonzero().get(),
            stdin: pipe::Sender::from_owned_fd(stdin)?,
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            stderr: pipe::Receiver::from_owned_fd(stderr)?,
            exit,
        })
    }

    /// The pipes it writes to, and what resolves when it has ended. Its standard input is closed.
    pub fn split(
        self,
    ) -> (pipe::Receiver, pipe::Receiver, impl Future<Output = io::Result<ExitStatus>>) {
        let (_, stdout, stderr, exit) = self.split_all();
        (stdout, stderr, exit)
    }

    /// With the pipe that it reads.
    pub fn split_all(
        self,
    ) -> (pipe::Sender, pipe::Receiver, pipe::Receiver, impl Future<Output = io::Result<ExitStatus>>)
    {
        let exit = self.exit;
        let exit = async move {
            exit.await.unwrap_or_else(|_| Err(io::Error::other("the child's thread ended")))
        };
        (self.stdin, self.stdout, self.stderr, exit)
    }
}

/// What a short-lived tool printed, each cut to its last 64 KiB.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a tool to its end.
pub async fn output(line: CommandLine, switch: &KillSwitch) -> io::Result<Output> {
    let (stdout, stderr, exit) = Process::spawn(line, switch).await?.split();
    let (stdout, stderr, status) = tokio::join!(read_tail(stdout), read_tail(stderr), exit);
    Ok(Output { status: status?, stdout: stdout.text(), stderr: stderr.text() })
}

/// Drains a pipe and keeps its end.
pub async fn read_tail(mut pipe: pipe::Receiver) -> Tail {
    let mut tail = Tail::default();
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = pipe.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        tail.push(&buffer[..read]);
    }
    tail
}

/// How a child ended, for a sentence.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// The child with its standard input, output and error.
fn start(line: CommandLine, switch: &KillSwitch) -> io::Result<(Pid, Child, [OwnedFd; 3])> {
    let (program, arguments) = line.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(line.env)
        .current_dir(line.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // Under the lock: a switch that is pulled now finds the child.
    let mut switch = switch.lock();
    if switch.pulled {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the job was stopped"));
    }
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(pid), (Some(stdin), Some(stdout), Some(stderr))) = (pid, pipes) else {
        child.kill()?;
        return Err(io::Error::other("the child has no pipes"));
    };
    switch.groups.push((pid, CancellationToken::new()));
    Ok((pid, child, [stdin.into(), stdout.into(), stderr.into()]))
}

fn reap(pid: Pid, mut child: Child, switch: &KillSwitch) -> io::Result<ExitStatus> {
    // Wait without reaping: the number stays the child's until the switch has forgotten it.
    let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    let mut switch = switch.lock();
    if waited.is_ok() {
        kill(pid);
    }
    let status = child.wait();
    // Under the lock: nobody signals a number that is not the child's any more.
    switch.groups.retain(|(group, gone)| {
        if *group == pid {
            gone.cancel();
        }
        *group != pid
    });
    status
}
