//! One side's event log: written to a file first, sent up from there. What the App has not got yet
//! outlives any number of failed calls, and memory does not grow with a slow App.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use difftest_core::event::{Event, LogLevel};
use difftest_core::protocol::{MAX_EVENT_BYTES, Side};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{CallError, JobClient};

/// Kept free for what the runner itself has to say.
pub const RESERVED_BYTES: u64 = 1 << 20;

const BATCHED_FOR: Duration = Duration::from_millis(200);
const CHUNK_BYTES: u64 = 1 << 20;
/// Gaps reported one after the other, before the two sides are taken to disagree for good.
const MAX_GAPS: u32 = 20;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("events could not be sent: {0}")]
    Call(#[from] CallError),
    #[error("events could not be kept on this machine: {0}")]
    Io(#[from] std::io::Error),
    #[error(
        "the App has {theirs} bytes of the log where this runner wrote {ours}, and takes no more"
    )]
    Disagree { ours: u64, theirs: u64 },
}

/// The end that is written to.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    length: watch::Sender<u64>,
    sender: JoinHandle<Result<(), LogError>>,
}

impl EventLog {
    pub async fn start(path: &Path, client: JobClient, side: Side) -> std::io::Result<Self> {
        let file = File::create(path).await?;
        let copy = File::open(path).await?;
        let (length, grows) = watch::channel(0);
        let sender = tokio::spawn(send(copy, grows, client, side));
        Ok(Self { file, length, sender })
    }

    /// Appends whole lines.
    pub async fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        self.file.write_all(lines).await?;
        // tokio's file has a buffer of its own.
        self.file.flush().await?;
        self.length.send_modify(|length| *length += lines.len() as u64);
        Ok(())
    }

    /// Appends a line of the runner's own.
    pub async fn say(&mut self, level: LogLevel, message: String) -> std::io::Result<()> {
        let line = Event::Log { level, message }.to_line() + "\n";
        if *self.length.borrow() + line.len() as u64 > MAX_EVENT_BYTES {
            return Ok(());
        }
        self.append(line.as_bytes()).await
    }

    /// Sends the rest.
    pub async fn finish(self) -> Result<(), LogError> {
        drop(self.length);
        self.sender.await.map_err(std::io::Error::other)?
    }

    pub fn abort(&self) {
        self.sender.abort();
    }
}

async fn send(
    mut file: File,
    mut grows: watch::Receiver<u64>,
    client: JobClient,
    side: Side,
) -> Result<(), LogError> {
    let mut sent = 0;
    let mut gaps = 0;
    let mut closed = false;
    loop {
        let length = *grows.borrow_and_update();
        while sent < length {
            let mut chunk = vec![0; usize::try_from(CHUNK_BYTES.min(length - sent)).unwrap_or(0)];
            file.seek(SeekFrom::Start(sent)).await?;
            file.read_exact(&mut chunk).await?;
            let theirs = client.append(side, sent, chunk.into()).await?.length;
            // Whatever the App has is where to go on, even if that is further back.
            gaps = if theirs > sent { 0 } else { gaps + 1 };
            if theirs > length || gaps > MAX_GAPS {
                return Err(LogError::Disagree { ours: length, theirs });
            }
            sent = theirs;
        }
        if closed {
            return Ok(());
        }
        closed = grows.changed().await.is_err();
        if !closed {
            tokio::time::sleep(BATCHED_FOR).await;
        }
    }
}
