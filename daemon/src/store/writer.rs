//! The store: reads at once, commits through one writer thread that groups them.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::histogram::{Histogram, MICROS};

use super::{Batch, Change, CommitError, Engine, StoreError, Table, Tree, Versioned, envelope};

/// How many commits may wait for the writer. More callers than that wait to hand theirs over.
const QUEUE: usize = 4096;

/// How many commits one group takes, which bounds how long the first of them waits.
const GROUP: usize = 1024;

/// What was committed since the process started.
pub struct Commits {
    /// How many changes each group held, which one fsync made durable.
    pub groups: Histogram,
    /// How long each group took.
    pub times: Histogram,
    /// Since when the writer works on a group.
    busy: Mutex<Option<Instant>>,
}

impl Commits {
    fn new() -> Self {
        Self { groups: Histogram::new(SIZES), times: Histogram::new(MICROS), busy: Mutex::default() }
    }

    /// For how long the writer has been at work on one group, if it is: a disk that hangs shows here.
    pub fn busy(&self) -> Option<Duration> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set_busy(&self, since: Option<Instant>) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Classes of sizes of groups.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

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
        let commits = Arc::new(Commits::new());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = thread::Builder::new().name("store-writer".to_owned()).spawn({
            let (engine, fault, commits) = (Arc::clone(&engine), Arc::clone(&fault), Arc::clone(&commits));
            move || write(&*engine, waiting, &fault, &commits)
        });
        // Without a thread the queue is closed: every commit fails, and `fault` says why.
        let writer = writer.map_err(|error| set(&fault, Some(format!("the writer cannot start: {error}")))).ok();
        Self { shared: Arc::new(Shared { engine, fault, commits, queue: Some(queue), writer }) }
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

    /// What was committed since the process started.
    pub fn commits(&self) -> &Commits {
        &self.shared.commits
    }

    /// The engine's name in the configuration.
    pub fn engine(&self) -> &'static str {
        self.shared.engine.name()
    }
}

struct Shared {
    engine: Arc<dyn Engine>,
    fault: Arc<Mutex<Option<String>>>,
    commits: Arc<Commits>,
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
    fn new(change: Change) -> Result<(Self, oneshot::Receiver<Result<(), CommitError>>), StoreError> {
        let batch = change.into_batch()?;
        let (done, wait) = oneshot::channel();
        Ok((Self { batch, done }, wait))
    }
}

/// The writer's thread: takes everything that waits, applies it as one group, answers.
fn write(engine: &dyn Engine, mut waiting: mpsc::Receiver<Job>, fault: &Mutex<Option<String>>, commits: &Commits) {
    let mut jobs = Vec::new();
    while waiting.blocking_recv_many(&mut jobs, GROUP) > 0 {
        let (group, callers): (Vec<Batch>, Vec<_>) = jobs.drain(..).map(|job| (job.batch, job.done)).unzip();
        let begun = Instant::now();
        commits.set_busy(Some(begun));
        let applied = engine.apply(&group);
        commits.set_busy(None);
        commits.groups.note(group.len() as u64);
        commits.times.note_time(begun.elapsed());
        let results: Vec<Result<(), CommitError>> = match applied {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc as std_mpsc;

    use super::super::{Conflict, Rows};
    use super::*;

    const NUMBERS: Table<u64> = Table::new("numbers");

    /// An engine that tells the size of each group and applies it when it is told how that ends.
    struct Puppet {
        sizes: std_mpsc::SyncSender<usize>,
        ends: Mutex<std_mpsc::Receiver<End>>,
        dropped: Arc<AtomicBool>,
    }

    enum End {
        Conflicts,
        Fails,
        Panics,
        Succeeds,
    }

    impl Engine for Puppet {
        fn name(&self) -> &'static str {
            "puppet"
        }

        fn get(&self, _: Tree, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn scan(&self, _: Tree, _: (Bound<&[u8]>, Bound<&[u8]>), _: usize, _: bool) -> Result<Rows, StoreError> {
            Ok(Rows::new())
        }

        fn apply(&self, group: &[Batch]) -> Result<Vec<Result<(), Conflict>>, StoreError> {
            self.sizes.send(group.len()).unwrap();
            match self.ends.lock().unwrap().recv().unwrap() {
                End::Conflicts => Ok(group.iter().map(|_| Err(Conflict { tree: "numbers" })).collect()),
                End::Fails => Err(StoreError::Engine("the disk is full".to_owned())),
                End::Panics => panic!("the engine has a bug"),
                End::Succeeds => Ok(vec![Ok(()); group.len()]),
            }
        }
    }

    impl Drop for Puppet {
        fn drop(&mut self) {
            self.dropped.store(true, Ordering::SeqCst);
        }
    }

    struct Strings {
        store: Store,
        sizes: std_mpsc::Receiver<usize>,
        ends: std_mpsc::Sender<End>,
        dropped: Arc<AtomicBool>,
    }

    fn puppet() -> Strings {
        let (size, sizes) = std_mpsc::sync_channel(64);
        let (ends, end) = std_mpsc::channel();
        let dropped = Arc::new(AtomicBool::new(false));
        let engine = Puppet { sizes: size, ends: Mutex::new(end), dropped: Arc::clone(&dropped) };
        Strings { store: Store::new(Box::new(engine)), sizes, ends, dropped }
    }

    fn change() -> Change {
        let mut change = Change::new();
        change.put(&NUMBERS, "k", &1);
        change
    }

    /// Waits for what other threads bring about.
    fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "not within 20 seconds: {what}");
            std::thread::yield_now();
        }
    }

    fn waiting(store: &Store) -> usize {
        let queue = store.shared.queue().unwrap();
        queue.max_capacity() - queue.capacity()
    }

    #[test]
    fn what_waits_while_a_group_is_written_is_the_next_group() {
        let Strings { store, sizes, ends, .. } = puppet();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| store.commit_blocking(change()));
            assert_eq!(sizes.recv().unwrap(), 1);
            let others: Vec<_> = (0..10).map(|_| scope.spawn(|| store.commit_blocking(change()))).collect();
            until("ten commits wait", || waiting(&store) == 10);
            ends.send(End::Succeeds).unwrap();
            assert_eq!(sizes.recv().unwrap(), 10);
            first.join().unwrap().unwrap();
            ends.send(End::Conflicts).unwrap();
            for other in others {
                assert!(matches!(other.join().unwrap(), Err(CommitError::Conflict(_))));
            }
            assert_eq!(store.fault(), None);
        });
    }

    #[test]
    fn an_engine_error_is_everybodys_error_and_a_fault_until_a_commit_succeeds() {
        let Strings { store, sizes, ends, .. } = puppet();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| store.commit_blocking(change()));
            assert_eq!(sizes.recv().unwrap(), 1);
            let others: Vec<_> = (0..3).map(|_| scope.spawn(|| store.commit_blocking(change()))).collect();
            until("three commits wait", || waiting(&store) == 3);
            ends.send(End::Succeeds).unwrap();
            first.join().unwrap().unwrap();
            assert_eq!(sizes.recv().unwrap(), 3);
            ends.send(End::Fails).unwrap();
            for other in others {
                assert!(matches!(other.join().unwrap(), Err(CommitError::Store(StoreError::Engine(_)))));
            }
        });
        assert_eq!(store.fault().unwrap(), "the store failed: the disk is full");
        ends.send(End::Succeeds).unwrap();
        store.commit_blocking(change()).unwrap();
        assert_eq!(store.fault(), None);
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_next_caller_wait() {
        let Strings { store, sizes, ends, .. } = puppet();
        let mut commits = tokio::task::JoinSet::new();
        let commit = |store: Store| async move { store.commit(change()).await };
        commits.spawn(commit(store.clone()));
        let (size, _sizes) = tokio::task::spawn_blocking(move || (sizes.recv().unwrap(), sizes)).await.unwrap();
        assert_eq!(size, 1, "the writer is busy with the first");
        for _ in 0..QUEUE {
            commits.spawn(commit(store.clone()));
        }
        while waiting(&store) < QUEUE {
            tokio::task::yield_now().await;
        }
        let late = store.commit(change());
        tokio::pin!(late);
        assert!(std::future::poll_fn(|context| std::task::Poll::Ready(late.as_mut().poll(context).is_pending())).await);
        assert_eq!(waiting(&store), QUEUE, "it waits outside of the queue");
        for _ in 0..=QUEUE / GROUP + 1 {
            ends.send(End::Succeeds).unwrap();
        }
        late.await.unwrap();
        while let Some(commit) = commits.join_next().await {
            commit.unwrap().unwrap();
        }
    }

    #[test]
    fn a_writer_that_panics_is_an_error_for_its_callers_and_a_fault_for_good() {
        let Strings { store, ends, .. } = puppet();
        ends.send(End::Panics).unwrap();
        assert!(matches!(store.commit_blocking(change()), Err(CommitError::Store(_))));
        until("the writer has ended", || store.fault().is_some());
        assert!(store.fault().unwrap().contains("restart the service"));
        assert!(matches!(store.commit_blocking(change()), Err(CommitError::Store(_))));
    }

    #[test]
    fn the_last_handle_closes_the_engine() {
        let Strings { store, dropped, .. } = puppet();
        let other = store.clone();
        drop(store);
        assert!(!dropped.load(Ordering::SeqCst));
        drop(other);
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[test]
    fn a_refused_change_does_not_reach_the_engine() {
        let Strings { store, sizes, .. } = puppet();
        let mut change = Change::new();
        change.put(&NUMBERS, "", &1);
        assert!(matches!(store.commit_blocking(change), Err(CommitError::Store(StoreError::Invalid { .. }))));
        assert!(sizes.try_recv().is_err());
        assert_eq!(store.fault(), None);
    }
}
