//! CRLs: when they are due they are listed, signed, journalled, written to a file, recorded, and
//! only then served.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hsm::wire::{Actor, CrlRequest, Refusal};
use policy::crl::{self, CrlError, Draft, Envelope, Scope};
use policy::effects::UnixTime;
use tokio::sync::{Mutex, Notify};

use super::files::Files;
use super::list::{ListError, Listed, Source};
use super::office::Office;
use super::schedule::{Due, Terms};
use super::serve::{self, Shelf};
use super::tables::{CRL_HISTORY, CRLS, CrlRecord, Kind, list_key};
use crate::config;
use crate::current::Current;
use crate::issuance::ca::{CaError, ClientError};
use crate::store::status::{CRLS_NAMED, REVOKED, REVOKED_CHANGES, after_prefix, list_prefix};
use crate::store::{Change, CommitError, StoreError};

/// One list of an issuer, complete and delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which certificates it speaks of.
    pub scope: Scope,
    /// The URLs by which certificates name it; a shard repeats them.
    pub urls: BTreeSet<String>,
    /// Where its delta is, if there is one.
    pub delta_url: Option<String>,
}

impl List {
    /// A list that nothing names.
    pub fn of(scope: Scope) -> Self {
        Self { scope, urls: BTreeSet::new(), delta_url: None }
    }
}

/// Publishes the CRLs of one issuer.
pub struct Publisher {
    pub(super) office: Arc<Office>,
    pub(super) config: config::Crl,
    pub(super) files: Files,
    lists: Current<Vec<List>>,
    /// One CRL at a time.
    publishing: Mutex<()>,
    /// How long the last one of each list took.
    costs: SyncMutex<BTreeMap<Scope, Duration>>,
    pub(super) shelf: Shelf,
    wake: Notify,
}

/// Why a CRL was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The clock.
    #[error(
        "this host's clock is {0} s behind what was published last: correct the clock; if it was ahead before, nothing is signed until it has passed that time"
    )]
    Behind(u64),
    /// The signer, or the journal.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The record of it could not be committed.
    #[error("the CRL was signed and could not be recorded: {0}")]
    Commit(#[from] CommitError),
    /// The list could not be written, or would break a rule.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// The file could not be written.
    #[error("the CRL cannot be written to its file: {0}")]
    File(#[source] std::io::Error),
    /// The work was given up.
    #[error("the work on the CRL was interrupted: it will be done again")]
    Interrupted,
    /// A delta without a complete one.
    #[error("there is no complete CRL that a delta could add to: one is made first")]
    NoBase,
    /// The signer refused every number.
    #[error("the signer refuses every number for the CRL: its journal and this store come from different times")]
    Numbers,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Publisher {
    /// A publisher of `lists`, whose files lie in `files`.
    pub fn new(office: Arc<Office>, config: config::Crl, files: Files, lists: Vec<List>) -> Self {
        let (publishing, costs, wake) = (Mutex::new(()), SyncMutex::default(), Notify::new());
        let lists = Current::new(lists);
        Self { office, config, files, lists, publishing, costs, shelf: Shelf::default(), wake }
    }

    /// The lists that are published.
    pub fn lists(&self) -> Arc<Vec<List>> {
        self.lists.now()
    }

    /// Publishes other lists from now on.
    pub fn publish_instead(&self, lists: Vec<List>) {
        self.lists.replace(lists);
        self.wake();
    }

    /// Publishes what is due, for ever.
    pub async fn run(&self) {
        loop {
            let pause = self.publish_due().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Looks at what is due before its time: something was revoked, or the strongbox was unsealed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Signs what is due; says when to look again.
    async fn publish_due(&self) -> Duration {
        let mut pause = LONGEST.min(self.config.after_revocation);
        for list in self.lists.now().iter() {
            for kind in kinds(list) {
                pause = pause.min(self.publish_if_due(list, kind).await);
            }
        }
        pause
    }

    async fn publish_if_due(&self, list: &List, kind: Kind) -> Duration {
        let office = &self.office;
        let now = office.clock.now();
        let what = format!("CRL {} of {}", label(list, kind), office.issuer_key);
        let outcome = match self.due(list, kind, now).await {
            Ok(Due::At(at)) => Ok(Duration::from_secs(at.0.saturating_sub(now.0))),
            Ok(Due::Behind(published)) => Err(PublishError::Behind(published.0.saturating_sub(now.0))),
            // Whether there is more to do is asked again at once.
            Ok(Due::Now) => self.publish(list, kind).await.map(|_| Duration::ZERO),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(pause) => {
                office.no_trouble(&what);
                pause
            }
            Err(error) => {
                if let PublishError::Ca(error) = &error {
                    office.failed(error);
                }
                office.trouble(&what, &error.to_string());
                RETRY
            }
        }
    }

    /// What is due for one list: by its time, or because something was revoked.
    async fn due(&self, list: &List, kind: Kind, now: UnixTime) -> Result<Due, PublishError> {
        let office = &self.office;
        let scope = list.scope.to_string();
        let record = office.store.get(&CRLS, list_key(&office.issuer_key, &scope, kind))?.map(|row| row.value);
        let complete = office.store.get(&CRLS, list_key(&office.issuer_key, &scope, Kind::Complete))?;
        if kind == Kind::Delta && complete.is_none() {
            // There is nothing to add to, yet.
            return Ok(Due::At(now.plus(RETRY.as_secs())));
        }
        let seed = jitter(&office.issuer_key, &scope, record.as_ref().map_or(0, |record| record.number));
        let outage = office.longest_outage();
        let terms = self.terms(kind, u64::MAX);
        let by_time = terms.due(now, record.as_ref().map(CrlRecord::last), outage, seed);
        let (Due::At(regular), Some(record)) = (by_time, record) else { return Ok(by_time) };
        if complete.is_some_and(|row| row.value.number > record.number) && kind == Kind::Delta {
            // A complete one is newer: what the delta adds to is out of date.
            return Ok(Due::Now);
        }
        let (journal, _) = office.ca.position().await?;
        if record.journal != journal {
            return Ok(Due::Now);
        }
        if list.delta_url.is_some() && kind == Kind::Complete {
            // The delta has what is new.
            return Ok(by_time);
        }
        let source = self.source(&scope, None);
        let Some(changed) = source.changed_since(&journal, record.mark)? else { return Ok(by_time) };
        let busy = self
            .config
            .after_revocation
            .as_secs()
            .max(self.costs().get(&list.scope).map_or(0, Duration::as_secs) * SHARE);
        let at = changed.max(record.this_update).plus(busy).min(regular);
        Ok(if at <= now { Due::Now } else { Due::At(at) })
    }

    fn terms(&self, kind: Kind, most: u64) -> Terms {
        let every = match (kind, self.config.delta_every) {
            (Kind::Delta, Some(every)) => every,
            _ => self.config.every,
        };
        let lifetime = match kind {
            Kind::Complete => self.config.lifetime,
            // A delta is made again when the complete one is.
            Kind::Delta => self.config.every.max(every * 2),
        };
        Terms { lifetime: lifetime.as_secs().min(most), every: every.as_secs() }
    }

    /// Lists, signs, writes, records. When it returns, the new CRL is served.
    pub async fn publish(&self, list: &List, kind: Kind) -> Result<CrlRecord, PublishError> {
        let _one = self.publishing.lock().await;
        let scope = list.scope.to_string();
        let begun = Instant::now();
        let key = list_key(&self.office.issuer_key, &scope, kind);
        let current = self.office.store.get(&CRLS, &key)?;
        let other = match kind {
            Kind::Complete => Kind::Delta,
            Kind::Delta => Kind::Complete,
        };
        let sibling =
            self.office.store.get(&CRLS, list_key(&self.office.issuer_key, &scope, other))?.map(|row| row.value);
        let last = current.as_ref().map(|row| row.value.last());
        let bounds = self.office.means().await?.bounds;
        let now = self.office.clock.now();
        let Some((this_update, next_update)) = self.terms(kind, bounds.crl).window(now, last) else {
            return Err(PublishError::Behind(last.map_or(0, |last| last.this_update.0.saturating_sub(now.0))));
        };
        // Read before the list is: what comes later may or may not be in it.
        self.office.ca.catch_up().await?;
        let (journal, mark) = self.office.ca.position().await?;
        let base = match kind {
            Kind::Complete => None,
            Kind::Delta => Some(self.base(&scope, &journal)?.ok_or(PublishError::NoBase)?),
        };
        let numbers = [current.as_ref().map(|row| row.value.number), sibling.as_ref().map(|record| record.number)];
        let mut number = crl::number(numbers.into_iter().flatten().max(), this_update);
        for _ in 0..NUMBERS {
            let terms = Making { list: list.clone(), number, this_update, next_update, base: base.clone() };
            let listed = self.write(&scope, kind, terms, last.map(|last| last.this_update)).await?;
            let request = CrlRequest {
                issuer: self.office.issuer_key.to_string(),
                scope: list.scope,
                start: listed.written.start,
                length: listed.written.length,
                actor: actor(),
            };
            let paper = listed.paper.try_clone().map_err(PublishError::File)?;
            match self.office.ca.sign_crl(request, paper).await {
                Ok(signature) => {
                    self.office.signed().await;
                    let making = Made { number, this_update, next_update, base, journal, mark };
                    let record = self.keep(&scope, kind, making, &listed, signature).await?;
                    let version = current.as_ref().map(|row| row.version);
                    self.note(&scope, kind, &record, version).await?;
                    self.costs().insert(list.scope, begun.elapsed());
                    tracing::info!(
                        issuer = %self.office.issuer_key,
                        list = label(list, kind),
                        number,
                        entries = record.entries,
                        octets = record.octets,
                        next_update = record.next_update.0,
                        millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                        "a CRL was published"
                    );
                    self.tidy(&scope, kind, &record, listed.over).await?;
                    return Ok(record);
                }
                // One that was signed and never recorded: after a crash, or before a restore (I30).
                Err(CaError::Signer(ClientError::Refused(Refusal::Number { above }))) => {
                    number = crl::number(Some(above), this_update);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(PublishError::Numbers)
    }

    /// The complete CRL that a delta adds to: the one before the current one if it can be, so that
    /// whoever still has that one can use the delta.
    fn base(&self, scope: &str, journal: &str) -> Result<Option<CrlRecord>, StoreError> {
        let prefix = [list_key(&self.office.issuer_key, scope, Kind::Complete).as_slice(), &[0]].concat();
        let end = after_prefix(&prefix);
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let rows = self.office.store.scan(&CRL_HISTORY, range, 2, true)?;
        // Positions in another journal cannot be compared.
        Ok(rows.into_iter().map(|(_, row)| row.value).take_while(|record| record.journal == journal).last())
    }

    async fn write(
        &self,
        scope: &str,
        kind: Kind,
        making: Making,
        before: Option<UnixTime>,
    ) -> Result<Listed, PublishError> {
        let issuer = self.office.issuer.now();
        let (store, prefix) = (self.office.store.clone(), list_prefix(&self.office.issuer_key, scope));
        let task = tokio::task::spawn_blocking(move || {
            let Making { list, number, this_update, next_update, base } = making;
            // The list of everything needs no name.
            let urls = if list.scope == Scope::All { Vec::new() } else { Vec::from_iter(list.urls) };
            let draft = Draft {
                issuer: &issuer,
                number,
                this_update,
                next_update,
                scope: list.scope,
                base: base.as_ref().map(|base| base.number),
                urls: &urls,
                freshest: list.delta_url.as_deref().filter(|_| kind == Kind::Complete),
            };
            let source = Source { store: &store, prefix, before };
            match &base {
                None => source.complete(&draft),
                Some(base) => source.delta(&draft, (&base.journal, base.mark)),
            }
        });
        match task.await {
            Ok(Ok(listed)) => Ok(listed),
            Ok(Err(ListError::Store(error))) => Err(error.into()),
            Ok(Err(ListError::Crl(error))) => Err(error.into()),
            Err(_) => Err(PublishError::Interrupted),
        }
    }

    /// Verifies what was signed (J8), and makes a file of it.
    async fn keep(
        &self,
        scope: &str,
        kind: Kind,
        made: Made,
        listed: &Listed,
        signature: Vec<u8>,
    ) -> Result<CrlRecord, PublishError> {
        let (files, issuer) = (self.files.clone(), self.office.issuer.now());
        let written = listed.written;
        let paper = listed.paper.try_clone().map_err(PublishError::File)?;
        let delta = if kind == Kind::Delta { "-delta" } else { "" };
        let name = format!("{}-{scope}{delta}-{}.crl", self.office.issuer_key, made.number);
        let task = tokio::task::spawn_blocking(move || -> Result<CrlRecord, PublishError> {
            let scheme = issuer.key().certificate_scheme();
            let envelope = Envelope::new(written.length, scheme, &signature)?;
            let mut body = paper.section(written.start, written.length);
            let file = files
                .write(&name, &envelope.head, (&mut body, written.length), &envelope.tail)
                .map_err(PublishError::File)?;
            let Made { number, this_update, next_update, base, journal, mark } = made;
            Ok(CrlRecord {
                number,
                base: base.map(|base| base.number),
                this_update,
                next_update,
                entries: written.entries,
                octets: file.octets,
                sha256: file.sha256,
                file: name,
                journal,
                mark,
            })
        });
        task.await.map_err(|_| PublishError::Interrupted)?
    }

    async fn note(
        &self,
        scope: &str,
        kind: Kind,
        record: &CrlRecord,
        version: Option<u64>,
    ) -> Result<(), PublishError> {
        let key = list_key(&self.office.issuer_key, scope, kind);
        let mut change = Change::new();
        match version {
            Some(version) => change.update(&CRLS, &key, version, record),
            None => change.insert(&CRLS, &key, record),
        }
        change.put(&CRL_HISTORY, history_key(&key, record.number), record);
        Ok(self.office.store.commit(change).await?)
    }

    /// Makes the compressed copy, and removes what is not needed any more: entries that no CRL lists, changes that no delta lists,
    /// CRLs beyond the history, and files that nothing names. All of it can be done again.
    async fn tidy(&self, scope: &str, kind: Kind, record: &CrlRecord, over: Vec<Vec<u8>>) -> Result<(), PublishError> {
        let (files, packed) = (self.files.clone(), record.clone());
        let packing = tokio::task::spawn_blocking(move || serve::pack(&files, &packed));
        packing.await.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::File)?;
        for keys in over.chunks(DELETIONS) {
            let mut change = Change::new();
            keys.iter().for_each(|key| change.delete(&REVOKED, key));
            self.office.store.commit(change).await?;
        }
        if kind == Kind::Complete {
            let keep = self.base(scope, &record.journal)?.map_or(record.mark, |base| base.mark);
            let mark = if self.config.delta_every.is_some() { keep } else { record.mark };
            loop {
                let old = self.source(scope, None).old_changes(&record.journal, mark)?;
                if old.is_empty() {
                    break;
                }
                let mut change = Change::new();
                old.iter().for_each(|key| change.delete(&REVOKED_CHANGES, key));
                self.office.store.commit(change).await?;
            }
        }
        self.prune(&list_key(&self.office.issuer_key, scope, kind)).await?;
        self.forget().await?;
        self.sweep().await
    }

    /// Removes what says which CRLs certificates name that have all expired.
    async fn forget(&self) -> Result<(), PublishError> {
        let prefix = [self.office.issuer_key.as_bytes(), &[0]].concat();
        let end = [prefix.as_slice(), &self.office.clock.now().0.to_be_bytes()].concat();
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let over = self.office.store.scan(&CRLS_NAMED, range, DELETIONS, false)?;
        if over.is_empty() {
            return Ok(());
        }
        let mut change = Change::new();
        over.iter().for_each(|(key, _)| change.delete(&CRLS_NAMED, key));
        Ok(self.office.store.commit(change).await?)
    }

    async fn prune(&self, key: &[u8]) -> Result<(), PublishError> {
        let prefix = [key, &[0]].concat();
        let end = after_prefix(&prefix);
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let rows = self.office.store.scan(&CRL_HISTORY, range, self.config.history + DELETIONS, true)?;
        let mut change = Change::new();
        let mut files = Vec::new();
        for (key, row) in rows.into_iter().skip(self.config.history) {
            change.delete(&CRL_HISTORY, key);
            files.push(row.value.file);
        }
        if files.is_empty() {
            return Ok(());
        }
        // The file goes last: a row that names no file would be worse than a file without a row.
        self.office.store.commit(change).await?;
        let here = self.files.clone();
        let removed = tokio::task::spawn_blocking(move || {
            files.iter().try_for_each(|file| here.remove(&serve::packed(file)).and_then(|()| here.remove(file)))
        });
        let removed = removed.await;
        removed.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::File)
    }

    /// Removes files that no row names: what a crash has left between writing and recording.
    async fn sweep(&self) -> Result<(), PublishError> {
        let prefix = [self.office.issuer_key.as_bytes(), &[0]].concat();
        let end = after_prefix(&prefix);
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let named: BTreeSet<String> = self
            .office
            .store
            .scan(&CRL_HISTORY, range, usize::MAX, false)?
            .into_iter()
            .map(|(_, row)| row.value.file)
            .collect();
        let (files, issuer) = (self.files.clone(), format!("{}-", self.office.issuer_key));
        let task = tokio::task::spawn_blocking(move || {
            for name in files.names()? {
                let crl = name.strip_suffix(".gz").unwrap_or(&name);
                if name.starts_with(&issuer) && !named.contains(crl) {
                    files.remove(&name)?;
                }
            }
            Ok(())
        });
        task.await.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::File)
    }

    fn costs(&self) -> MutexGuard<'_, BTreeMap<Scope, Duration>> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self, scope: &str, before: Option<UnixTime>) -> Source<'_> {
        Source { store: &self.office.store, prefix: list_prefix(&self.office.issuer_key, scope), before }
    }
}

/// What a CRL will say.
struct Making {
    list: List,
    number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
    base: Option<CrlRecord>,
}

/// What a CRL says, and how far the store had come.
struct Made {
    number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
    base: Option<CrlRecord>,
    journal: String,
    mark: u64,
}

/// Which kinds of a list there are.
pub(super) fn kinds(list: &List) -> impl Iterator<Item = Kind> + use<> {
    let delta = list.delta_url.is_some();
    [Kind::Complete, Kind::Delta].into_iter().filter(move |kind| *kind == Kind::Complete || delta)
}

/// A number that is another one for every CRL, and the same one whenever it is asked for.
fn jitter(issuer: &str, scope: &str, number: u64) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(issuer.as_bytes());
    hasher.update(scope.as_bytes());
    hasher.update(&number.to_be_bytes());
    u64::from(hasher.finalize())
}

fn history_key(list: &[u8], number: u64) -> Vec<u8> {
    [list, &[0], &number.to_be_bytes()].concat()
}

/// What people call it: `all`, `3-of-16`, `all-delta`.
pub(super) fn label(list: &List, kind: Kind) -> String {
    match kind {
        Kind::Complete => list.scope.to_string(),
        Kind::Delta => format!("{}-delta", list.scope),
    }
}

fn actor() -> Actor {
    Actor { who: "signetd".to_owned(), request_id: String::new() }
}

/// How often a number is tried: the signer says which one is too small.
const NUMBERS: usize = 3;

/// Rows deleted in one commit.
const DELETIONS: usize = 1000;

/// After a failure: often enough to be there soon after the token is.
const RETRY: Duration = Duration::from_secs(5);

/// Longest time between two looks.
const LONGEST: Duration = Duration::from_secs(60);

/// A list that takes long is made less often: at most this part of the time goes into it.
const SHARE: u64 = 20;
