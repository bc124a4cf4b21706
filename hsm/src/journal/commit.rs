//! Group commit: one thread writes what many wait for.

use std::io;
use std::mem;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use policy::effects::UnixTime;

use super::reader::{Published, Tail};
use super::writer::{Draft, Recovery, WriteError, Writer};
use super::{Event, JournalId};
use crate::wire::MAX_FRAME;

/// How often a full disk is looked at again.
const RETRY: Duration = Duration::from_secs(2);

/// What a reply needs beside its lines.
const ENVELOPE: usize = 64;

/// A journal that is being written. Everything that waits when the disk becomes free goes in one
/// write and one sync.
pub struct Journal {
    id: JournalId,
    published: Arc<Published>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

struct Queue {
    waiting: Vec<(Draft, Done)>,
    /// When the commit in progress began.
    busy: Option<Instant>,
    closing: bool,
}

type Done = Box<dyn FnOnce(Result<u64, WriteError>) + Send>;

impl Journal {
    /// Starts the thread. Fails only when the system has no more threads.
    pub fn start(writer: Writer) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: Vec::new(), busy: None, closing: false }),
            wake: Condvar::new(),
        });
        let (id, published) = (writer.id().clone(), Arc::clone(&writer.published));
        let thread = thread::Builder::new().name("journal".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(writer)
        })?;
        Ok(Self { id, published, shared, thread: Mutex::new(Some(thread)) })
    }

    /// The journal's name.
    pub fn id(&self) -> &JournalId {
        &self.id
    }

    /// Sequence number of the last durable entry.
    pub fn last(&self) -> u64 {
        self.published.state().last
    }

    /// See [`Writer::at`].
    pub fn at(&self) -> UnixTime {
        self.published.state().at
    }

    /// Why signatures cannot be journalled, if they cannot.
    pub fn fault(&self) -> Option<String> {
        self.published.state().fault.clone()
    }

    /// How long the commit in progress has taken, for the watchdog.
    pub fn busy(&self) -> Option<Duration> {
        self.shared.queue().busy.map(|since| since.elapsed())
    }

    /// Writes an entry, and calls `done` on the journal's thread with its number when it is durable,
    /// or with the reason why it is not. `done` must not block and must not append.
    pub fn append(
        &self,
        event: Event,
        actor: String,
        request_id: String,
        done: impl FnOnce(Result<u64, WriteError>) + Send + 'static,
    ) {
        let mut queue = self.shared.queue();
        if queue.closing {
            drop(queue);
            return done(Err(WriteError::Closed));
        }
        queue.waiting.push((Draft { event, actor, request_id }, Box::new(done)));
        // The thread waits only while nothing is waiting, so that one wake-up is enough.
        let first = queue.waiting.len() == 1;
        drop(queue);
        if first {
            self.shared.wake.notify_one();
        }
    }

    /// Writes an entry and blocks until it is durable.
    pub fn append_and_wait(&self, event: Event, actor: String, request_id: String) -> Result<u64, WriteError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.append(event, actor, request_id, move |written| drop(sender.send(written)));
        receiver.recv().unwrap_or(Err(WriteError::Closed))
    }

    /// Durable entries after `after`, as many as fit one frame.
    pub fn after(&self, after: u64) -> io::Result<Tail> {
        self.published.after(after, MAX_FRAME - ENVELOPE)
    }

    /// Writes what waits, refuses what comes later, and ends the thread. Not to be called from a
    /// `done`.
    pub fn close(&self) {
        self.shared.queue().closing = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread's panic was reported by the panic hook; there is nothing left to wait for.
            drop(thread.join());
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Nobody panics while holding the queue.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut writer: Writer) {
        let (mut drafts, mut dones) = (Vec::new(), Vec::new());
        let mut recovery = writer.recovery();
        while let Some(batch) = self.wait(recovery) {
            if recovery == Recovery::Later {
                writer.recover();
            }
            for (draft, done) in batch {
                drafts.push(draft);
                dones.push(done);
            }
            let answers = writer.commit(&drafts);
            drafts.clear();
            recovery = writer.recovery();
            self.queue().busy = None;
            for (done, answer) in dones.drain(..).zip(answers) {
                done(answer);
            }
        }
    }

    /// What is to be written next; `None` at the end. Empty when a full disk should be looked at.
    fn wait(&self, recovery: Recovery) -> Option<Vec<(Draft, Done)>> {
        let mut queue = self.queue();
        loop {
            if !queue.waiting.is_empty() {
                queue.busy = Some(Instant::now());
                return Some(mem::take(&mut queue.waiting));
            }
            if queue.closing {
                return None;
            }
            if recovery != Recovery::Later {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (guard, waited) = self.wake.wait_timeout(queue, RETRY).unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if waited.timed_out() {
                return Some(Vec::new());
            }
        }
    }
}
