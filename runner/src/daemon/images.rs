//! Sends a job's images up while it still generates.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use difftest_core::ids::ImageSha;
use difftest_core::protocol::Side;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::{CallError, JobClient};
use super::out_dir::OutDir;

const AT_ONCE: usize = 4;
/// Images named and not yet sent, before the job's output is read no further.
const WAITING: usize = 256;

/// An image that an event names.
#[derive(Debug)]
pub struct Named {
    pub side: Side,
    pub sha: ImageSha,
    pub out: Arc<OutDir>,
}

/// An image that was not sent, and why. It is the job's doing: the job goes on without it.
#[derive(Debug)]
pub struct Refused {
    pub side: Side,
    pub sha: ImageSha,
    pub why: String,
}

#[derive(Debug)]
pub struct Images {
    names: mpsc::Sender<Named>,
    sender: JoinHandle<Result<Vec<Refused>, CallError>>,
}

impl Images {
    pub fn start(client: JobClient) -> Self {
        let (names, named) = mpsc::channel(WAITING);
        Self { names, sender: tokio::spawn(send(named, client)) }
    }

    /// Waits while too many are under way.
    pub async fn name(&self, named: Named) {
        // When the other end has given up, `finish` says why.
        let _ = self.names.send(named).await;
    }

    /// Waits until all are there.
    pub async fn finish(self) -> Result<Vec<Refused>, CallError> {
        drop(self.names);
        self.sender.await.unwrap_or_else(|e| Err(CallError::Network(e.to_string())))
    }

    pub fn abort(&self) {
        self.sender.abort();
    }
}

async fn send(named: mpsc::Receiver<Named>, client: JobClient) -> Result<Vec<Refused>, CallError> {
    let sent: Arc<Mutex<HashSet<ImageSha>>> = Arc::default();
    let queue = futures::stream::unfold(named, async |mut named| {
        let next = named.recv().await?;
        Some((next, named))
    });
    let mut results = std::pin::pin!(
        queue.map(|named| send_one(named, &client, Arc::clone(&sent))).buffer_unordered(AT_ONCE)
    );
    let mut refused = Vec::new();
    while let Some(result) = results.next().await {
        refused.extend(result?);
    }
    Ok(refused)
}

async fn send_one(
    named: Named,
    client: &JobClient,
    sent: Arc<Mutex<HashSet<ImageSha>>>,
) -> Result<Option<Refused>, CallError> {
    let Named { side, sha, out } = named;
    // Two at the same moment are both sent: the App takes the second for what it is.
    if sent.lock().unwrap_or_else(PoisonError::into_inner).contains(&sha) {
        return Ok(None);
    }
    let name = sha.clone();
    let read = tokio::task::spawn_blocking(move || out.image(&name)).await;
    let refused = |why: String| Ok(Some(Refused { side, sha: sha.clone(), why }));
    let png = match read {
        Ok(Ok(png)) => png,
        Ok(Err(fault)) => return refused(fault.to_string()),
        Err(panic) => return refused(panic.to_string()),
    };
    match client.put_image(&sha, png).await {
        Ok(()) => {
            sent.lock().unwrap_or_else(PoisonError::into_inner).insert(sha);
            Ok(None)
        }
        Err(error @ CallError::Refused { .. }) => refused(error.to_string()),
        Err(error) => Err(error),
    }
}
