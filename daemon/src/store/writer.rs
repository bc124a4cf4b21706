//! The store: reads at once, commits through one writer thread that groups them.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::{Batch, Change, CommitError, Engine, StoreError, Table, Tree, Versioned, envelope};

/// How many commits may wait for the writer. More callers than that wait to hand theirs over.
const QUEUE: usize = 4096;

/// How many commits one group takes, which bounds how long the first of them waits.
const GROUP: usize = 1024;

/// A store. Clones are handles on the same one; with the last of them the writer ends.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Starts the writer thread over an engine.
    pub fn new(engine: Box<dyn Engine>) -> Self {
        let engine: Arc<dyn Engine> = engine.into();
        let fault = Arc::new(Mutex::new(None));
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = thread::Builder::new().name("store-writer".to_owned()).spawn({
            let (engine, fault) = (Arc::clone(&engine), Arc::clone(&fault));
            move || write(&*engine, waiting, &fault)
        });
        // Without a thread the queue is closed: every commit fails, and `fault` says why.
        let writer = writer.map_err(|error| set(&fault, Some(format!("the writer cannot start: {error}")))).ok();
        Self { shared: Arc::new(Shared { engine, fault, queue: Some(queue), writer }) }
    }

    /// Reads one value.
    pub fn get<T: DeserializeOwned>(
        &self,
        table: &Table<T>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        let key = key.as_ref();
        let envelope = self.shared.engine.get(table.tree, key)?;
        envelope.map(|envelope| open(table.tree, key, &envelope)).transpose()
    }

    /// Reads at most `limit` values in key order; the last key returned is the cursor of the next page.
    #[expect(clippy::type_complexity, reason = "a row is a key and a value")]
    pub fn scan<T: DeserializeOwned>(
        &self,
        table: &Table<T>,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Versioned<T>)>, StoreError> {
        let rows = self.shared.engine.scan(table.tree, range, limit, reverse)?;
        rows.into_iter()
            .map(|(key, envelope)| {
                let value = open(table.tree, &key, &envelope)?;
                Ok((key, value))
            })
            .collect()
    }

    /// Commits and waits until it is durable. If the caller stops waiting after its turn has come
    /// in the queue, the change is made all the same.
    pub async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let (job, done) = Job::new(change)?;
        self.shared.queue()?.send(job).await.map_err(|_| stopped())?;
        done.await.map_err(|_| stopped())?
    }

    /// Like [`commit`](Store::commit), for a thread that is not part of an async runtime: in an
    /// async task it would panic.
    pub fn commit_blocking(&self, change: Change) -> Result<(), CommitError> {
        let (job, done) = Job::new(change)?;
        self.shared.queue()?.blocking_send(job).map_err(|_| stopped())?;
        done.blocking_recv().map_err(|_| stopped())?
    }

    /// Why the last commit failed, if the store is at fault and none succeeded since: for health.
    pub fn fault(&self) -> Option<String> {
        let fault = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = self.shared.writer.as_ref().is_some_and(|writer| !writer.is_finished());
        fault.or_else(|| (!running).then(|| stopped().to_string()))
    }

    /// The engine's name in the configuration.
    pub fn engine(&self) -> &'static str {
        self.shared.engine.name()
    }
}

struct Shared {
    engine: Arc<dyn Engine>,
    fault: Arc<Mutex<Option<String>>>,
    /// Some until it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Shared {
    fn queue(&self) -> Result<&mpsc::Sender<Job>, StoreError> {
        self.queue.as_ref().ok_or_else(stopped)
    }
}

impl Drop for Shared {
    /// Waits until the writer has written what waits, so that the engine is closed afterwards.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so already, and its callers got an error.
            let _ = writer.join();
        }
    }
}

/// A batch that waits for the writer, and who waits for it.
struct Job {
    batch: Batch,
    done: oneshot::Sender<Result<(), CommitError>>,
}

impl Job {
    #[expect(clippy::type_complexity, reason = "the other end of the same channel")]
    fn new(change: Change) -> Result<(Self, oneshot::Receiver<Result<(), CommitError>>), StoreError> {
        let batch = change.into_batch()?;
        let (done, wait) = oneshot::channel();
        Ok((Self { batch, done }, wait))
    }
}

/// The writer's thread: takes everything that waits, applies it as one group, answers.
fn write(engine: &dyn Engine, mut waiting: mpsc::Receiver<Job>, fault: &Mutex<Option<String>>) {
    let mut jobs = Vec::new();
    while waiting.blocking_recv_many(&mut jobs, GROUP) > 0 {
        let (group, callers): (Vec<Batch>, Vec<_>) = jobs.drain(..).map(|job| (job.batch, job.done)).unzip();
        let results: Vec<Result<(), CommitError>> = match engine.apply(&group) {
            Ok(results) => {
                set(fault, None);
                results.into_iter().map(|result| result.map_err(CommitError::from)).collect()
            }
            Err(error) => {
                set(fault, Some(error.to_string()));
                group.iter().map(|_| Err(error.clone().into())).collect()
            }
        };
        for (caller, result) in callers.into_iter().zip(results) {
            // A caller that no longer waits has nothing to be told.
            let _ = caller.send(result);
        }
    }
}

fn open<T: DeserializeOwned>(tree: Tree, key: &[u8], envelope: &[u8]) -> Result<Versioned<T>, StoreError> {
    let (version, json) = envelope::decode(tree, key, envelope)?;
    let value = serde_json::from_slice(json)
        .map_err(|error| StoreError::Invalid { tree: tree.0, why: format!("a value of another shape: {error}") })?;
    Ok(Versioned { value, version })
}

fn set(fault: &Mutex<Option<String>>, state: Option<String>) {
    *fault.lock().unwrap_or_else(PoisonError::into_inner) = state;
}

fn stopped() -> StoreError {
    StoreError::Engine("its writer has stopped; restart the service".to_owned())
}
