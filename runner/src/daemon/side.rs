//! One side of a job: starts the engine in the sandbox and reads what it says.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use difftest_core::event::{Event, LogLevel};
use difftest_core::protocol::{self, MAX_EVENT_BYTES};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::event_log::{EventLog, RESERVED_BYTES};
use super::images::{Images, Named};
use super::lines::{LineSplitter, MAX_LINE_BYTES, Tail, TooMuch};
use super::out_dir::OutDir;
use super::process::{KillSwitch, Process, describe, read_tail};
use super::sandbox::{Machine, READY, Side};
use super::turns::Turns;
use super::watchdog;

#[derive(Debug, thiserror::Error)]
pub enum SideError {
    #[error("the sandbox did not start: {0}")]
    Sandbox(String),
    #[error("the job's process could not be run: {0}")]
    Process(#[from] io::Error),
}

/// What to run, on the daemon's own paths.
#[derive(Debug)]
pub struct SideRun<'a> {
    pub side: protocol::Side,
    pub suite: &'a str,
    pub source: PathBuf,
    pub out: PathBuf,
    pub base_out: Option<PathBuf>,
    pub network: bool,
    /// Who says what is made; without, the side makes everything.
    pub turns: Option<&'a Turns>,
}

/// What the child's standard output held.
#[derive(Debug, Default)]
struct Heard {
    ready: bool,
    finished: bool,
    /// Lines that are no events: a test's own printing.
    other: Tail,
    too_much: Option<TooMuch>,
}

impl SideRun<'_> {
    /// Runs the side to its end, whatever that is. What went wrong in the job is for its log; an
    /// error is this machine's own.
    pub async fn run(
        &self,
        machine: &Machine,
        switch: &KillSwitch,
        log: &mut EventLog,
        images: &Images,
    ) -> Result<(), SideError> {
        let out = Arc::new(OutDir::open(&self.out)?);
        let side = Side {
            source: &self.source,
            out: &self.out,
            base: self.base_out.as_deref(),
            network: self.network,
        };
        let process = Process::spawn(machine.command(&side, self.program(machine)), switch).await?;
        let pid = process.pid;
        let (stdin, stdout, stderr, exit) = process.split_all();
        let (over, (heard, stderr, status)) = {
            let mut ended = std::pin::pin!(async {
                let listen = async {
                    let heard = self.listen(stdout, (switch, pid), log, images, &out).await;
                    if let Some(turns) = self.turns {
                        turns.ended(self.side);
                    }
                    heard
                };
                let steer = async {
                    if let Some(turns) = self.turns {
                        turns.write(self.side, stdin).await;
                    }
                };
                let (heard, stderr, exit, ()) =
                    tokio::join!(listen, read_tail(stderr), exit, steer);
                (heard, stderr, exit)
            });
            tokio::select! {
                ended = &mut ended => (None, ended),
                over = watchdog::exceeded(pid, machine.limits, self.out.clone()) => {
                    switch.kill(pid);
                    (Some(over), ended.await)
                }
            }
        };
        let (heard, status) = (heard?, status?);
        if !heard.ready {
            let why = format!("{} {}", describe(status), stderr.last_lines(20));
            return Err(SideError::Sandbox(why));
        }
        let stopped = over.or_else(|| heard.too_much.map(|e| e.to_string()));
        if let Some(message) = self.failure(status, &heard, &stderr, stopped) {
            log.say(LogLevel::Error, message).await?;
        }
        Ok(())
    }

    /// What to say about a run that did not end as runs do.
    fn failure(
        &self,
        status: ExitStatus,
        heard: &Heard,
        stderr: &Tail,
        stopped: Option<String>,
    ) -> Option<String> {
        let ordinary = matches!(status.code(), Some(0..=2));
        if heard.finished && ordinary && stopped.is_none() {
            return None;
        }
        let how = match stopped {
            Some(why) => format!("was stopped: {why}"),
            None => format!("ended with {}", describe(status)),
        };
        let mut message = format!("The run of the {} commit {how}.", self.side.as_str());
        for (name, tail) in [("output", &heard.other), ("errors", stderr)] {
            let lines = tail.last_lines(60);
            if !lines.is_empty() {
                message.push_str(&format!("\nThe end of its {name}:\n{lines}"));
            }
        }
        Some(message)
    }

    fn program(&self, machine: &Machine) -> Vec<OsString> {
        let seen = machine.seen(&Side {
            source: &self.source,
            out: &self.out,
            base: self.base_out.as_deref(),
            network: self.network,
        });
        let mut program: Vec<OsString> = vec![machine.python.executable.clone().into()];
        program.extend(["-m", "difftest", "run"].map(OsString::from));
        // Joined by `=`: a suite's name may begin with a dash.
        program.push(format!("--suite={}", self.suite).into());
        program.extend(["--events", "-", "--run-dir"].map(OsString::from));
        program.push(seen.out.into());
        program.push("--reference".into());
        program.push(seen.base.map_or_else(|| "none".into(), Into::into));
        if self.turns.is_some() {
            program.push("--steer".into());
        }
        program
    }

    async fn listen(
        &self,
        mut stdout: pipe::Receiver,
        (switch, pid): (&KillSwitch, i32),
        log: &mut EventLog,
        images: &Images,
        out: &Arc<OutDir>,
    ) -> io::Result<Heard> {
        let mut heard = Heard::default();
        let mut splitter = LineSplitter::new(MAX_LINE_BYTES, MAX_EVENT_BYTES - RESERVED_BYTES);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = stdout.read(&mut buffer).await?;
            if read == 0 {
                return Ok(heard);
            }
            let lines = match splitter.push(&buffer[..read]) {
                Ok(lines) => lines,
                Err(too_much) => {
                    heard.too_much = Some(too_much);
                    switch.kill(pid);
                    return Ok(heard);
                }
            };
            let mut events = Vec::new();
            for line in lines {
                if !heard.ready {
                    heard.ready = line.strip_suffix(b"\n") == Some(READY.as_bytes());
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(event) => {
                        if let Some(turns) = self.turns {
                            turns.heard(self.side, &event);
                        }
                        self.note(event, &mut heard, images, out).await;
                        events.extend(line);
                    }
                    // The log holds events alone, whatever a test prints.
                    Err(_) => heard.other.push(&line),
                }
            }
            if !events.is_empty() {
                log.append(&events).await?;
            }
        }
    }

    async fn note(&self, event: Event, heard: &mut Heard, images: &Images, out: &Arc<OutDir>) {
        match event {
            Event::CellGenerated { image, .. } => {
                let out = Arc::clone(out);
                images.name(Named { side: self.side, sha: image.sha256, out }).await;
            }
            Event::RunFinished { .. } => heard.finished = true,
            _ => {}
        }
    }
}
