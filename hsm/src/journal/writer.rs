//! The file: opened, checked, repaired at its torn end, and written so that what is acknowledged is
//! durable.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, posix_fallocate};
use policy::effects::{Clock, Entropy, EntropyError, UnixTime};

use super::announce::announce;
use super::memory::Memory;
use super::reader::{Published, State};
use super::segment::{self, Before, Hash, START};
use super::verify::{self, FirstBad};
use super::{Claim, Entry, Event, FORMAT, JournalId, MAX_LINE};

/// A segment that has this many bytes is followed by the next one.
const SEGMENT: u64 = 64 * 1024 * 1024;

/// Bytes kept free for a full disk. Half of them hold some twenty thousand acts (or the revocation of
/// a hundred thousand certificates), the other half as many CRLs or ninety thousand OCSP answers.
pub(super) const RESERVE: u64 = 8 * 1024 * 1024;

const RESERVE_FILE: &str = "reserve";

/// Why a journal cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A line is damaged, or a segment is missing, and not at the torn end.
    #[error("{0}: the journal does not hold, restore it from a copy or ask who changed it")]
    Damaged(#[from] FirstBad),
    /// No random bytes for the name of a new journal.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The system's word on a file.
    #[error("the journal's {what} {path} cannot be used: {source}")]
    Io {
        /// What the file is for.
        what: &'static str,
        /// Which file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("another process writes the journal in {0}: stop that signer first")]
    Locked(String),
    /// A newer program wrote it.
    #[error("{0}")]
    Newer(String),
}

/// Why an entry was not written. It is not durable, and nobody was told that it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The writer was closed, because the process ends.
    #[error("the signer is about to end")]
    Closed,
    /// A write or sync failed: what is on disk is unknown until a restart reads it.
    #[error("{0}: restart the signer when the disk is sound")]
    Faulted(String),
    /// No space; administrative acts go on as long as the reserve lasts.
    #[error("no space is left for the journal in {0}: free some")]
    Full(String),
    /// The entry would make a line of more than [`MAX_LINE`] bytes.
    #[error("the entry is larger than a journal line may be")]
    TooLarge,
}

/// One entry to be written; the writer adds number and time.
pub(super) struct Draft {
    pub(super) event: Event,
    pub(super) actor: String,
    pub(super) request_id: String,
}

/// The end of the last segment. Behind a trait so that tests can make a disk fail.
pub(super) trait Medium: Send {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn truncate(&self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// What the disk allows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Health {
    /// Everything.
    Good,
    /// Acts and what tells of revocation: the reserve was given up.
    Full,
    /// Nothing until a restart.
    Faulted(String),
}

/// The only writer of a journal.
pub struct Writer {
    directory: PathBuf,
    /// The directory itself, to sync the names in it.
    names: File,
    _lock: Flock<File>,
    clock: Arc<dyn Clock>,
    id: JournalId,
    pub(super) medium: Box<dyn Medium>,
    /// Bytes of the last segment that are durable.
    length: u64,
    next: u64,
    hash: Hash,
    health: Health,
    /// Bytes of the reserve that were used to tell of revocation.
    told: u64,
    /// What every segment begins with.
    memory: Memory,
    carry: Carry,
    buffer: Vec<u8>,
    pub(super) segment_limit: u64,
    pub(super) published: Arc<Published>,
}

impl Writer {
    /// Opens the journal in `directory`, or begins one (the directory is made). Checks the chain of
    /// the last segment and its link to the one before; cuts off an incomplete last line, which was
    /// never acknowledged; refuses everything else that does not hold.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>, entropy: &mut dyn Entropy) -> Result<Self, OpenError> {
        let at = |what, path: &Path| {
            let path = path.display().to_string();
            move |source| OpenError::Io { what, path, source }
        };
        std::fs::create_dir_all(directory).map_err(at("directory", directory))?;
        let names = File::open(directory).map_err(at("directory", directory))?;
        let lock = lock(directory)?;
        let mut segments = segment::list(directory).map_err(at("directory", directory))?;
        if segments.is_empty() {
            let path = segment::path(directory, 1);
            create(&path).and_then(|_| names.sync_all()).map_err(at("segment", &path))?;
            segments.push(1);
        }
        let (&first, before) = segments.split_last().expect("there is a segment");
        let (mut memory, mut here) = (Memory::default(), Memory::default());
        let (previous, mut latest) = match before.last() {
            None => (START, UnixTime(0)),
            Some(&before) => {
                let Before { hash, last, at } = segment::before(directory, before, &mut |json| memory.note_json(json))?;
                if last + 1 != first {
                    let why = format!("the segment before ends with entry {last}");
                    return Err(FirstBad { segment: segment::name(first), line: 1, seq: last + 1, why }.into());
                }
                (hash, at)
            }
        };
        let id = opening(directory, segments[0])?;
        let scanned = segment::scan(directory, first, previous, &mut |json| {
            latest = latest.max(segment::stamp(json)?.at);
            here.note_json(json)?;
            memory.note_json(json)
        })?;
        let path = segment::path(directory, first);
        let file = OpenOptions::new().write(true).open(&path).map_err(at("segment", &path))?;
        if scanned.torn > 0 {
            let (segment, bytes) = (segment::name(first), scanned.torn);
            tracing::warn!(segment, bytes, "cut off an incomplete last line, which was never acknowledged");
            file.set_len(scanned.length).map_err(at("segment", &path))?;
        }
        // A process that was killed leaves whole lines that are not durable. From here on they are read.
        file.sync_all().map_err(at("segment", &path))?;
        if let Some(json) = &scanned.last {
            let seq = scanned.next - 1;
            let damaged = |why| FirstBad { segment: segment::name(first), line: seq - first + 1, seq, why };
            verify::read(json).map_err(damaged)?;
        }
        let state = State { segments, last: scanned.next - 1, at: latest, fault: None };
        let mut writer = Self {
            directory: directory.to_owned(),
            names,
            _lock: lock,
            clock,
            id: JournalId(String::new()),
            medium: Box::new(file),
            length: scanned.length,
            next: scanned.next,
            hash: scanned.hash,
            health: Health::Good,
            told: 0,
            // A crash may have cut off what this segment began with.
            carry: if here == memory { Carry::Done } else { Carry::Due },
            memory,
            buffer: Vec::new(),
            segment_limit: SEGMENT,
            published: Arc::new(Published::new(directory.to_owned(), state)),
        };
        if !writer.reserve() {
            writer.set_health(Health::Full);
        }
        match id {
            Some(id) => writer.id = id,
            None => {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes)?;
                writer.id = JournalId(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
                let event = Event::Opened { journal: writer.id.clone(), format: FORMAT };
                writer.append(event, "signer", "").map_err(|why| at("segment", &path)(io::Error::other(why)))?;
            }
        }
        Ok(writer)
    }

    /// The journal's name.
    pub fn id(&self) -> &JournalId {
        &self.id
    }

    /// Sequence number of the last durable entry.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// The latest time in the last two segments: a clock that stepped back is not forgotten because
    /// entries were written since, by this process or one before it (I6).
    pub fn at(&self) -> UnixTime {
        self.published.state().at
    }

    /// What is known of the journal: the greatest number of every CRL in it, and every authority.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Writes one entry and returns its number when it is durable. A signer groups its commits
    /// through [`super::Journal`] instead.
    pub fn append(&mut self, event: Event, actor: &str, request_id: &str) -> Result<u64, WriteError> {
        let draft = Draft { event, actor: actor.to_owned(), request_id: request_id.to_owned() };
        self.commit(&[draft]).pop().unwrap_or(Err(WriteError::Closed))
    }

    /// Writes entries with one write and one sync. The answers stand in the order of the drafts.
    pub(super) fn commit(&mut self, drafts: &[Draft]) -> Vec<Result<u64, WriteError>> {
        loop {
            // Measured before the batch, so that one batch may go a little too far.
            let half_is_left = self.told < RESERVE / 2;
            let stays_out = |health: &Health, draft: &Draft| match draft.event.claim() {
                Claim::All => false,
                Claim::Half => *health != Health::Good && !half_is_left,
                Claim::Nothing => *health != Health::Good,
            };
            if let Health::Faulted(why) = &self.health {
                return vec![Err(WriteError::Faulted(why.clone())); drafts.len()];
            }
            let full = WriteError::Full(self.directory.display().to_string());
            let mut staged = Staged { hash: self.hash, next: self.next, at: self.clock.now() };
            self.buffer.clear();
            if self.length >= self.segment_limit {
                self.carry = Carry::Due;
            }
            let is_written = |draft: &Draft| !stays_out(&self.health, draft);
            if self.carry == Carry::Due && drafts.iter().any(is_written) {
                for event in self.memory.events() {
                    let draft = Draft { event, actor: "signer".to_owned(), request_id: String::new() };
                    if let Err(error) = staged.add(&draft, &mut self.buffer) {
                        tracing::error!(%error, "what every segment begins with cannot be carried over");
                    }
                }
            }
            let mut answers = Vec::with_capacity(drafts.len());
            let mut told = 0;
            for draft in drafts {
                let before = self.buffer.len();
                answers.push(match stays_out(&self.health, draft) {
                    true => Err(full.clone()),
                    false => staged.add(draft, &mut self.buffer),
                });
                if draft.event.claim() == Claim::Half {
                    told += (self.buffer.len() - before) as u64;
                }
            }
            if self.buffer.is_empty() {
                return answers;
            }
            match self.write() {
                Ok(()) => {
                    self.length += self.buffer.len() as u64;
                    (self.hash, self.next) = (staged.hash, staged.next);
                    self.carry = Carry::Done;
                    if self.health != Health::Good {
                        self.told += told;
                    }
                    for (draft, _) in drafts.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()) {
                        self.memory.note(&draft.event);
                        announce(draft);
                    }
                    let mut state = self.published.state();
                    state.last = self.next - 1;
                    // A clock that steps back is not forgotten because somebody wrote an entry (I6).
                    state.at = state.at.max(staged.at);
                    return answers;
                }
                Err(Failure::Space) if self.health == Health::Good => {
                    // The acts among the drafts get another chance, in the space given up.
                    tracing::error!(event = "disk_full", directory = %self.directory.display(), "the disk is full: signing stops");
                    self.release_reserve();
                    self.set_health(Health::Full);
                }
                Err(Failure::Space) => return vec![Err(full); drafts.len()],
                Err(Failure::Unknown(why)) => {
                    tracing::error!(
                        event = "journal_failed",
                        why,
                        "the journal cannot be written: signing stops until a restart"
                    );
                    self.set_health(Health::Faulted(why));
                }
            }
        }
    }

    /// Whether signing entries would be written now.
    pub(super) fn recovery(&self) -> Recovery {
        match self.health {
            Health::Good => Recovery::Good,
            Health::Faulted(_) => Recovery::Never,
            Health::Full => Recovery::Later,
        }
    }

    /// Takes the reserve back, if it was given up and there is space again.
    pub(super) fn recover(&mut self) {
        if self.health == Health::Full && self.reserve() {
            tracing::info!(event = "disk_has_space", directory = %self.directory.display(), "there is space again: signing goes on");
            self.told = 0;
            self.set_health(Health::Good);
        }
    }

    /// Writes the buffer behind the durable part, and makes it durable.
    fn write(&mut self) -> Result<(), Failure> {
        if self.length >= self.segment_limit {
            self.rotate()?;
        }
        if let Err(error) = self.medium.write_at(&self.buffer, self.length) {
            let failure = Failure::of("write", &error);
            // Whatever part arrived is taken back: nobody was told of it.
            return Err(match self.medium.truncate(self.length) {
                Ok(()) => failure,
                Err(error) => Failure::Unknown(format!("truncate failed: {error}")),
            });
        }
        // After a failed sync the kernel may have dropped the pages and call the next sync a
        // success: nothing proves the state of the disk any more, whatever the error's number.
        self.medium.sync().map_err(|error| Failure::Unknown(format!("fdatasync failed: {error}")))
    }

    /// Begins the next segment; its name is durable before anything in it is.
    fn rotate(&mut self) -> Result<(), Failure> {
        let file = create(&segment::path(&self.directory, self.next)).map_err(|e| Failure::of("create", &e))?;
        self.names.sync_all().map_err(|error| Failure::Unknown(format!("fsync of the directory failed: {error}")))?;
        self.medium = Box::new(file);
        self.length = 0;
        self.published.state().segments.push(self.next);
        Ok(())
    }

    /// Makes sure that the reserve is there. False when there is no space for it.
    fn reserve(&self) -> bool {
        let path = self.directory.join(RESERVE_FILE);
        let make = || -> io::Result<()> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            posix_fallocate(&file, 0, RESERVE as i64)?;
            file.sync_all()?;
            self.names.sync_all()
        };
        make().inspect_err(|_| self.release_reserve()).is_ok()
    }

    fn release_reserve(&self) {
        match std::fs::remove_file(self.directory.join(RESERVE_FILE)).and_then(|()| self.names.sync_all()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "the journal's reserve cannot be given up"),
        }
    }

    fn set_health(&mut self, health: Health) {
        self.published.state().fault = match &health {
            Health::Good => None,
            Health::Full => Some(WriteError::Full(self.directory.display().to_string()).to_string()),
            Health::Faulted(why) => Some(WriteError::Faulted(why.clone()).to_string()),
        };
        self.health = health;
    }
}

/// Whether a journal that could not take signatures takes them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    Good,
    Later,
    Never,
}

/// Whether the segment knows the numbers of CRLs that were signed before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carry {
    Done,
    Due,
}

/// The chain as it will be after the lines in the buffer.
struct Staged {
    hash: Hash,
    next: u64,
    at: UnixTime,
}

impl Staged {
    /// Adds one line to `buffer`.
    fn add(&mut self, draft: &Draft, buffer: &mut Vec<u8>) -> Result<u64, WriteError> {
        /// An [`Entry`] whose parts are borrowed.
        #[derive(serde::Serialize)]
        struct Line<'a> {
            seq: u64,
            at: UnixTime,
            actor: &'a str,
            request_id: &'a str,
            event: &'a Event,
        }
        let Draft { event, actor, request_id } = draft;
        let (seq, start) = (self.next, buffer.len());
        buffer.resize(start + segment::PREFIX, b' ');
        let line = Line { seq, at: self.at, actor, request_id, event };
        let written = serde_json::to_writer(&mut *buffer, &line);
        if written.is_err() || buffer.len() - start >= MAX_LINE {
            buffer.truncate(start);
            return Err(WriteError::TooLarge);
        }
        self.hash = segment::link(&self.hash, &buffer[start + segment::PREFIX..]);
        buffer[start..start + 64].copy_from_slice(&segment::hexadecimal(&self.hash));
        buffer.push(b'\n');
        self.next += 1;
        Ok(seq)
    }
}

/// How writing failed.
enum Failure {
    /// There is no space; nothing was written.
    Space,
    /// Nobody knows what is on the disk.
    Unknown(String),
}

impl Failure {
    fn of(what: &str, error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Self::Space,
            _ => Self::Unknown(format!("{what} failed: {error}")),
        }
    }
}

/// Makes an empty segment; never opens one that is there.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn lock(directory: &Path) -> Result<Flock<File>, OpenError> {
    let path = directory.join("lock");
    let io = |source| OpenError::Io { what: "lock", path: path.display().to_string(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => OpenError::Locked(directory.display().to_string()),
        errno => io(errno.into()),
    })
}

/// The name in the journal's first entry; `None` when that was never written whole.
fn opening(directory: &Path, first: u64) -> Result<Option<JournalId>, OpenError> {
    use std::io::BufRead;
    let bad = |why: String| FirstBad { segment: segment::name(first), line: 1, seq: 1, why };
    if first != 1 {
        return Err(bad(format!("the first segment is missing, the oldest one is {}", segment::name(first))).into());
    }
    let mut line = Vec::new();
    File::open(segment::path(directory, first))
        .and_then(|file| io::BufReader::new(file).read_until(b'\n', &mut line))
        .map_err(|e| bad(format!("the segment cannot be read: {e}")))?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    let json = line.get(segment::PREFIX..).ok_or_else(|| bad("the line is too short".to_owned()))?;
    if let Some(why) = verify::newer(json) {
        return Err(OpenError::Newer(why));
    }
    match verify::read(json).map_err(bad)? {
        Entry { event: Event::Opened { journal, .. }, .. } => Ok(Some(journal)),
        _ => Err(bad("the first entry does not give the journal's name and format".to_owned()).into()),
    }
}
