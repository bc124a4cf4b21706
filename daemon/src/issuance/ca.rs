//! The CA signer as the daemon sees it: nothing new is asked of it before the store has caught up
//! with its journal (J3).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use hsm::client::ClientError;
use hsm::client::{Client, Epoch, Parcel};
use hsm::journal::{JournalId, Standing};
use hsm::wire::{Act, Actor, CertificateRequest, Challenge, Refusal, Request, Response, SealStatus, Status, UnsealBox};
use policy::authority::AuthorityNumber;
use policy::serial::Serial;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify, oneshot};

use super::{authorities, catch_up};
use crate::store::tables::ACTIVATIONS;
use crate::store::{CommitError, Store, StoreError};

/// The CA signer. Cheap to clone.
#[derive(Clone)]
pub struct Ca {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    store: Store,
    view: Mutex<View>,
    /// Held while the journal is read: one reader at a time.
    reading: AsyncMutex<catch_up::Reader>,
    /// Held while serials are reserved, so that many requests share one reservation.
    reserving: AsyncMutex<()>,
    /// Held from the question whether an act is done to the answer that it is.
    acting: AsyncMutex<()>,
    /// Wakes [`Ca::follow`] before its time.
    wake: Notify,
}

/// What was last seen of the signer.
struct View {
    /// Why store and journal do not go together, as long as they do not: that the signer is well
    /// changes nothing about it.
    fault: Option<String>,
    seal: Result<SealStatus, String>,
    /// When the signer last said so itself.
    seen: Option<Instant>,
    /// The life of the connection in which the store caught up with the journal.
    ready: Option<Ready>,
    /// How often a record step failed: what was read of the journal before that is not enough.
    distrusted: u64,
    /// Serials reserved in that life, for later certificates (J6).
    serials: Vec<Serial>,
    /// Labels of issuing keys that were seen to be active; none goes back.
    active: BTreeSet<String>,
}

/// Proof that the store has caught up with the journal in this life of the connection.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(super) epoch: Epoch,
    pub(super) journal: JournalId,
}

/// Why the CA did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Everything that needs a key answers 503 `strongbox sealed`.
    #[error("strongbox sealed")]
    Sealed,
    /// The signer refused, failed or cannot be reached.
    #[error(transparent)]
    Signer(#[from] ClientError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store and the journal contradict each other; the sentence says how and what to do.
    #[error("{0}")]
    Faulted(String),
    /// There is no such certificate or administrator.
    #[error("there is no such {0}")]
    Unknown(&'static str),
}

impl CaError {
    /// Whether the signer may or may not have done what was asked: only the journal knows.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Signer(ClientError::Lost | ClientError::Epoch))
    }
}

impl Ca {
    /// A handle over the CA signer's client and the store that follows its journal. Nothing is
    /// asked before [`Ca::follow`] runs or the first request needs an answer.
    pub fn new(client: Client, store: Store) -> Self {
        let seal = Err("the CA signer has not answered yet".to_owned());
        Self {
            inner: Arc::new(Inner {
                client,
                store,
                view: Mutex::new(View {
                    fault: None,
                    seal,
                    seen: None,
                    ready: None,
                    distrusted: 0,
                    serials: Vec::new(),
                    active: BTreeSet::new(),
                }),
                reading: AsyncMutex::new(catch_up::Reader::default()),
                reserving: AsyncMutex::new(()),
                acting: AsyncMutex::new(()),
                wake: Notify::new(),
            }),
        }
    }

    /// Follows the signer for ever: keeps the seal state fresh, catches up with the journal at the
    /// start and after every reconnection, and takes over what is journalled since. Boot runs it as
    /// one task.
    pub async fn follow(self) {
        let mut trouble = String::new();
        loop {
            let now = match self.catch_up().await {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            };
            if now != trouble {
                match now.as_str() {
                    "" => tracing::info!("the store follows the CA signer's journal"),
                    why => tracing::warn!(why, "the store cannot follow the CA signer's journal"),
                }
                trouble = now;
            }
            let pause = if trouble.is_empty() { POLL } else { POLL / 5 };
            // A wait that was cut short still lets a burst of wishes share one reading.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.inner.wake.notified() => tokio::time::sleep(POLL / 20).await,
            }
        }
    }

    /// The seal state as last seen, without asking: decided before authentication on every request.
    /// A background task and every answer of the signer keep it fresh. `Err` is a sentence that
    /// says why the signer cannot be used; `Faulted` is also that the store cannot follow it.
    ///
    /// A signer that is away for a moment is as it was: systemd starts it again, sealed if it was
    /// sealed, and unsealed if it was not; what needs it meanwhile waits.
    pub fn seal(&self) -> Result<SealStatus, String> {
        let view = self.view();
        match &view.fault {
            Some(why) => Ok(SealStatus::Faulted { why: why.clone() }),
            None => view.seal.clone(),
        }
    }

    /// Asks the signer how it is.
    pub async fn status(&self) -> Result<Status, CaError> {
        match self.ask(None, Request::Status).await? {
            Response::Status(status) => {
                self.saw(status.seal.clone());
                Ok(status)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for an unseal challenge.
    pub async fn challenge(&self) -> Result<Challenge, CaError> {
        match self.ask(None, Request::Challenge).await? {
            Response::Challenge(challenge) => Ok(challenge),
            other => Err(unexpected(&other)),
        }
    }

    /// Forwards an unseal box. When it returns, the store has caught up and the CA issues.
    pub async fn unseal(&self, boxed: UnsealBox, actor: Actor) -> Result<(), CaError> {
        match self.ask(None, Request::Unseal { boxed, actor }).await? {
            Response::Unsealed => {
                self.saw(SealStatus::Unsealed);
                self.catch_up().await.map(drop)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Seals: the signer exits and comes back knowing nothing.
    pub async fn seal_now(&self, actor: Actor) -> Result<(), CaError> {
        let answer = self.ask(None, Request::Seal { actor }).await;
        self.inner.wake.notify_one();
        match answer? {
            Response::Sealing => {
                self.saw(SealStatus::Sealed);
                let mut view = self.view();
                view.ready = None;
                view.serials.clear();
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Entries of the journal after the one with the number `after`, as they stand there, at most a
    /// frame of them; and the number of the last one there is. Works while sealed.
    pub async fn entries(&self, after: u64) -> Result<(Vec<String>, u64), CaError> {
        match self.ask(None, Request::Journal { after }).await? {
            Response::Journal { lines, last } => Ok((lines, last)),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes an act durable in the journal, for a caller that commits its effect afterwards. Works
    /// while sealed. If its answer is lost, the act may stand in the journal without an effect;
    /// whoever repeats it writes a second entry, which does no harm.
    pub async fn note(&self, act: Act, actor: Actor) -> Result<(), CaError> {
        self.record(act, actor).await
    }

    /// Makes an act durable in the journal and then visible in the store, unless `done` finds it
    /// there already. Works while sealed. One act at a time, so no act is journalled twice because
    /// two ask for it; one whose answer is lost is looked for before it is sent again.
    pub(crate) async fn act_once<E: From<CaError>>(
        &self,
        act: Act,
        actor: Actor,
        done: impl Fn() -> Result<bool, E>,
    ) -> Result<Done, E> {
        let _one = self.inner.acting.lock().await;
        let mut found = Done::Before;
        for _ in 0..ATTEMPTS {
            self.catch_up().await?;
            if done()? {
                return Ok(found);
            }
            found = Done::Now;
            match self.record(act.clone(), actor.clone()).await {
                // The journal is the only source from which the store learns of it.
                Ok(()) => {}
                Err(error) if error.is_lost() => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.catch_up().await?;
        if done()? { Ok(found) } else { Err(CaError::Signer(ClientError::Lost).into()) }
    }

    /// Whether this issuing CA went active: until then it signs no leaf certificate.
    ///
    /// An authority is active while it is enabled.
    pub fn is_active(&self, issuer: &str) -> Result<bool, StoreError> {
        if let Some(number) = AuthorityNumber::of_label(issuer) {
            let record = authorities::read(&self.inner.store, number)?;
            return Ok(record.is_some_and(|record| record.authority.standing == Standing::Enabled));
        }
        if self.view().active.contains(issuer) {
            return Ok(true);
        }
        let active = self.inner.store.get(&ACTIVATIONS, issuer)?.is_some();
        if active {
            self.view().active.insert(issuer.to_owned());
        }
        Ok(active)
    }

    /// Proof that the store has caught up; catches up if it has not.
    pub(super) async fn ready(&self) -> Result<Ready, CaError> {
        if let Some(ready) = self.view().ready.clone() {
            return Ok(ready);
        }
        let reader = self.inner.reading.lock().await;
        // Somebody else may have done it while this one waited.
        if let Some(ready) = self.view().ready.clone() {
            return Ok(ready);
        }
        self.read_journal(reader).await
    }

    /// Takes over everything that is journalled now.
    pub(crate) async fn catch_up(&self) -> Result<Ready, CaError> {
        let reader = self.inner.reading.lock().await;
        self.read_journal(reader).await
    }

    /// Nothing new is asked before the store has caught up again: a record step failed (J3).
    pub(super) fn distrust(&self) {
        let mut view = self.view();
        view.ready = None;
        view.distrusted += 1;
        drop(view);
        self.inner.wake.notify_one();
    }

    /// A reserved serial number (J6), used by no one else. Reserves more when there is none left.
    pub(super) async fn serial(&self, ready: &Ready) -> Result<Serial, CaError> {
        if let Some(serial) = self.spare(ready) {
            return Ok(serial);
        }
        let _one = self.inner.reserving.lock().await;
        if let Some(serial) = self.spare(ready) {
            return Ok(serial);
        }
        match self.ask(Some(ready.epoch), Request::Reserve { count: RESERVE }).await? {
            Response::Reserved(mut serials) => {
                let serial = serials.pop().ok_or_else(|| CaError::Faulted("the signer reserved no serial".into()))?;
                let mut view = self.view();
                if view.ready.as_ref().is_some_and(|current| current.epoch == ready.epoch) {
                    view.serials = serials;
                }
                Ok(serial)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Has one certificate signed; the answer is durably journalled (J1).
    pub(super) async fn sign(&self, ready: &Ready, request: CertificateRequest) -> Result<(Vec<u8>, u64), CaError> {
        match self.ask(Some(ready.epoch), Request::Certificate(Box::new(request))).await {
            Ok(Response::Certificate { certificate, seq }) => Ok((certificate, seq)),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => {
                if matches!(error, CaError::Signer(ClientError::Refused(Refusal::Serial))) {
                    // The process that reserved them is gone.
                    self.view().serials.clear();
                }
                Err(error)
            }
        }
    }

    /// Nobody else's act is in progress while this is held.
    pub(super) async fn alone(&self) -> AsyncMutexGuard<'_, ()> {
        self.inner.acting.lock().await
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    async fn record(&self, act: Act, actor: Actor) -> Result<(), CaError> {
        let ready = self.ready().await?;
        match self.ask(Some(ready.epoch), Request::Record { act, actor }).await? {
            Response::Recorded { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn spare(&self, ready: &Ready) -> Option<Serial> {
        let mut view = self.view();
        let current = view.ready.as_ref().is_some_and(|current| current.epoch == ready.epoch);
        if current { view.serials.pop() } else { None }
    }

    async fn read_journal(
        &self,
        mut reader: impl std::ops::DerefMut<Target = catch_up::Reader>,
    ) -> Result<Ready, CaError> {
        let (done, mut view) = loop {
            let distrusted = self.view().distrusted;
            let done = reader.run(self).await;
            let view = self.view();
            // A record step that failed meanwhile may lie beyond the end that was read.
            if done.is_err() || view.distrusted == distrusted {
                break (done, view);
            }
        };
        match done {
            Ok((ready, seal)) => {
                if view.ready.as_ref().is_none_or(|before| before.epoch != ready.epoch) {
                    view.serials.clear();
                }
                view.ready = Some(ready.clone());
                view.fault = None;
                drop(view);
                self.saw(seal);
                Ok(ready)
            }
            Err(error) => {
                view.ready = None;
                view.serials.clear();
                let known = view.seal.is_ok() && view.seen.is_some_and(|seen| seen.elapsed() < AWAY);
                match &error {
                    CaError::Sealed => {}
                    CaError::Signer(
                        ClientError::Lost
                        | ClientError::Epoch
                        | ClientError::Unreachable { .. }
                        | ClientError::Refused(Refusal::Busy),
                    ) if known => {}
                    CaError::Signer(_) => view.seal = Err(error.to_string()),
                    CaError::Commit(_) | CaError::Faulted(_) | CaError::Store(_) | CaError::Unknown(_) => {
                        view.fault = Some(error.to_string());
                    }
                }
                Err(error)
            }
        }
    }

    /// The current life of the connection; connects if there is none.
    pub(super) async fn epoch(&self) -> Result<Epoch, CaError> {
        let client = self.inner.client.clone();
        // Connecting blocks.
        match tokio::task::spawn_blocking(move || client.epoch()).await {
            Ok(epoch) => Ok(epoch?),
            Err(_) => Err(CaError::Signer(ClientError::Lost)),
        }
    }

    /// Asks, and learns from the answer how the signer is.
    pub(super) async fn ask(&self, epoch: Option<Epoch>, request: impl Into<Parcel>) -> Result<Response, CaError> {
        let (done, answer) = oneshot::channel();
        // Whoever asked may be gone when the answer comes; what it did is in the journal.
        self.inner.client.send(epoch, request, move |result| drop(done.send(result)));
        let error = match answer.await.unwrap_or(Err(ClientError::Lost)) {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        match &error {
            ClientError::Refused(Refusal::Sealed) => {
                self.saw(SealStatus::Sealed);
                return Err(CaError::Sealed);
            }
            ClientError::Refused(_) => {}
            ClientError::Epoch | ClientError::Lost | ClientError::Unreachable { .. } | ClientError::Version(_) => {
                let mut view = self.view();
                // Another request may have seen the reconnection already.
                if epoch.is_none() || view.ready.as_ref().is_some_and(|ready| Some(ready.epoch) == epoch) {
                    view.ready = None;
                    view.serials.clear();
                }
                drop(view);
                self.inner.wake.notify_one();
            }
        }
        Err(error.into())
    }

    fn saw(&self, seal: SealStatus) {
        let mut view = self.view();
        view.seal = Ok(seal);
        view.seen = Some(Instant::now());
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Each change of the view is complete; a panic elsewhere leaves nothing half done.
        self.inner.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When an act was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Before it was asked for; nothing changed.
    Before,
    /// Because it was asked for.
    Now,
}

/// Time between two looks at the signer while nothing happens.
const POLL: Duration = Duration::from_secs(1);

/// How long a signer may be away and still count as it was seen: a restart, recovery of the token.
const AWAY: Duration = Duration::from_secs(10);

/// How many serials are reserved at once: few enough to lose, enough to make the question rare.
const RESERVE: u16 = 64;

/// How often an act is sent again after its answer was lost.
const ATTEMPTS: u32 = 3;

pub(super) fn unexpected(response: &Response) -> CaError {
    let kind = match response {
        Response::Box(_) => "Box",
        Response::Certificate { .. } => "Certificate",
        Response::Challenge(_) => "Challenge",
        Response::Crl { .. } => "Crl",
        Response::Journal { .. } => "Journal",
        Response::Ocsp { .. } => "Ocsp",
        Response::Recorded { .. } => "Recorded",
        Response::Reserved(_) => "Reserved",
        Response::Sealing => "Sealing",
        Response::Secret(_) => "Secret",
        Response::Signature(_) => "Signature",
        Response::Status(_) => "Status",
        Response::Unsealed => "Unsealed",
    };
    CaError::Faulted(format!(
        "the CA signer gave an answer of another kind ({kind}): install the same version of both programs"
    ))
}
