//! What each request does. The table has been asked before anything here runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};

use policy::effects::{Clock, Entropy, UnixTime};
use policy::evidence::Method;
use policy::key::SignatureScheme;

use super::authorities::{self, Authorities};
use super::issue::{Bench, NotIssued};
use super::keys::{self, Configured, Keys};
use super::lane::{Admission, Lane};
use super::messages::is_server_handshake;
use super::ocsp::Batch;
use super::profiles::Profiles;
use super::reload::Files;
use super::serials::Serials;
use super::server::{Service, Ticket};
use super::state::SealState;
use super::table::{RequestKind, Verdict, permitted};
use super::{Ended, acts, unseal};
use crate::journal::{Event, Journal, Numbers, WriteError};
use crate::pkcs11::{ErrorClass, Token, TokenError};
use crate::seal::{Attempts, DescriptorStore, Supervisor, is_statement};
use crate::wire::{
    Act, Actor, Bounds, CertificateRequest, MAX_RESERVE, Measure, Purpose, Refusal, Request, Response, SealedPaper,
    Status,
};

/// Everything a signer has while it serves.
pub(super) struct Signer {
    pub(super) name: String,
    pub(super) started: UnixTime,
    pub(super) hardening: OnceLock<Vec<Measure>>,
    /// Whether the token's PIN comes from a file at every start, so that sealing would not last.
    pub(super) always_open: bool,
    pub(super) configured: RwLock<Arc<Vec<Configured>>>,
    pub(super) sessions: u16,
    pub(super) bounds: Bounds,
    pub(super) profiles: RwLock<Arc<Profiles>>,
    pub(super) files: Files,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Mutex<Box<dyn Entropy>>,
    pub(super) journal: Journal,
    pub(super) token: Token,
    pub(super) state: RwLock<SealState>,
    pub(super) attempts: Attempts,
    pub(super) store: DescriptorStore,
    pub(super) supervisor: Supervisor,
    pub(super) serials: Mutex<Serials>,
    /// The greatest CRL numbers that were tried: those of the journal, and those on their way to it.
    pub(super) crl_numbers: Mutex<Numbers>,
    /// Every authority as the journal says it is.
    pub(super) authorities: Mutex<Authorities>,
    /// Held while something is done to an authority: one deed at a time.
    pub(super) authority_desk: Mutex<()>,
    /// What was done and is not yet journalled.
    pub(super) counts: Counts,
    /// Whether the key for secrets is known to be in the token; held while it is made.
    pub(super) secrets_key: Mutex<bool>,
    pub(super) lane: Lane<Job>,
    pub(super) ended: mpsc::SyncSender<Ended>,
}

/// A request that needs the token, and the duty to answer it.
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
}

/// What is left to be done for a request.
pub(super) enum Work {
    /// The rest of a batch.
    Batch(Batch),
    /// All of it.
    Request(Request, Option<SealedPaper>),
}

impl Service for Signer {
    fn serve(self: &Arc<Self>, ticket: Ticket, request: Request, paper: Option<SealedPaper>) {
        let verdict = {
            let state = self.state();
            match permitted(state.kind(), ticket.peer(), RequestKind::from(&request)) {
                Verdict::Allowed => Ok(()),
                Verdict::Faulted => Err(Refusal::Token(state.fault().unwrap_or_default().to_owned())),
                Verdict::Forbidden(why) => Err(Refusal::Forbidden(why.to_owned())),
                Verdict::NotNow(why) => Err(Refusal::State(why.to_owned())),
                Verdict::Sealed => Err(Refusal::Sealed),
            }
        };
        if let Err(refusal) = verdict {
            return ticket.answer(Err(refusal));
        }
        match request {
            Request::Status => ticket.answer(Ok(Response::Status(self.status()))),
            Request::Challenge => ticket.answer(self.challenge()),
            Request::Reserve { count } => ticket.answer(self.reserve(count)),
            Request::Record { act, actor } => self.record(ticket, act, actor),
            Request::Journal { after } => ticket.answer(self.read(after)),
            Request::Authority(_)
            | Request::Certificate(_)
            | Request::Crl(_)
            | Request::Decrypt { .. }
            | Request::Encrypt { .. }
            | Request::Enrol(_)
            | Request::Handshake { .. }
            | Request::Identify { .. }
            | Request::Ocsp(_)
            | Request::OcspCertificate { .. }
            | Request::Seal { .. }
            | Request::Unseal { .. } => self.through_lane(Job { ticket, work: Work::Request(request, paper) }),
        }
    }

    fn reload(&self) {
        self.read_files_again();
    }

    fn stop(&self) {
        self.end(Ended::Stopped);
    }
}

impl Signer {
    /// Ends the process in order; the first reason counts.
    pub(super) fn end(&self, why: Ended) {
        drop(self.ended.try_send(why));
    }

    /// Nobody panics while holding the state, the serials or the generator.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, SealState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, SealState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn entropy(&self) -> MutexGuard<'_, Box<dyn Entropy>> {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The profiles as they were read last.
    pub(super) fn profiles(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The configured keys, with their certificates as they were read last.
    pub(super) fn configured(&self) -> Arc<Vec<Configured>> {
        Arc::clone(&self.configured.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys, unless the seal was closed since the table was asked.
    pub(super) fn keys(&self) -> Result<Arc<Keys>, Refusal> {
        match &*self.state() {
            SealState::Unsealed(keys) => Ok(Arc::clone(keys)),
            SealState::Faulted { why } => Err(Refusal::Token(why.clone())),
            SealState::Sealed(_) | SealState::Unsealing => Err(Refusal::Sealed),
        }
    }

    fn through_lane(self: &Arc<Self>, job: Job) {
        let mut next = match self.lane.admit(job) {
            Admission::Now(job) => Some(job),
            Admission::Later => None,
            Admission::Full(job) => return job.ticket.answer(Err(Refusal::Busy)),
        };
        while let Some(Job { ticket, work }) = next {
            let rest = match work {
                _ if !ticket.is_awaited() => None,
                Work::Batch(batch) => self.step(ticket, batch),
                Work::Request(request, paper) => self.work(ticket, request, paper),
            };
            next = match rest {
                Some(rest) => Some(self.lane.behind_others(rest)),
                None => self.lane.next(),
            };
        }
    }

    /// Does what needs the token; gives back what is left of a batch.
    fn work(self: &Arc<Self>, ticket: Ticket, request: Request, paper: Option<SealedPaper>) -> Option<Job> {
        match request {
            Request::Authority(request) => self.authority(ticket, *request),
            Request::Certificate(request) => self.certificate(ticket, *request),
            Request::Crl(request) => self.crl(ticket, &request, paper),
            Request::Handshake { key, scheme, message } => {
                let answer = self.handshake(&key, scheme, &message);
                self.answer_signature(ticket, answer);
            }
            Request::Identify { statement } => {
                let answer = self.identify(&statement);
                self.answer_signature(ticket, answer);
            }
            Request::Decrypt { label, boxed } => self.decrypt(ticket, &label, &boxed),
            Request::Encrypt { label, secret, actor } => self.encrypt(ticket, &label, &secret, actor),
            Request::Enrol(request) => self.enrol(ticket, request),
            Request::Ocsp(request) => return self.ocsp(ticket, request),
            Request::OcspCertificate { key, actor } => self.ocsp_certificate(ticket, &key, actor),
            Request::Seal { actor } => unseal::seal(self, ticket, actor),
            Request::Unseal { boxed, actor } => unseal::unseal(self, ticket, &boxed, &actor),
            Request::Challenge
            | Request::Journal { .. }
            | Request::Record { .. }
            | Request::Reserve { .. }
            | Request::Status => ticket.answer(Err(Refusal::Busy)),
        }
        None
    }

    fn status(&self) -> Status {
        let state = self.state();
        let keys = match &*state {
            SealState::Unsealed(keys) => Some(&**keys),
            _ => None,
        };
        let (busy, waiting) = self.lane.load(usize::from(self.sessions));
        Status {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seal: state.status(),
            journal: self.journal.id().clone(),
            last: self.journal.last(),
            journal_fault: self.journal.fault(),
            wrong_pins: self.attempts.wrong(),
            keys: keys::status(&self.configured(), keys)
                .into_iter()
                .chain(authorities::status(&self.authorities()))
                .collect(),
            sessions: self.sessions,
            bounds: self.bounds,
            started: self.started,
            hardening: self.hardening.get().cloned().unwrap_or_default(),
            profiles: self.profiles().status(),
            operations: self.token.operations(),
            busy: u16::try_from(busy).unwrap_or(u16::MAX),
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        }
    }

    fn challenge(&self) -> Result<Response, Refusal> {
        match &mut *self.state_mut() {
            SealState::Sealed(invitation) => {
                let challenge = invitation.challenge(&mut **self.entropy());
                challenge.map(Response::Challenge).map_err(|error| Refusal::Token(error.to_string()))
            }
            _ => Err(Refusal::Challenge),
        }
    }

    fn reserve(&self, count: u16) -> Result<Response, Refusal> {
        if count > MAX_RESERVE {
            return Err(Refusal::Forbidden(format!("more than {MAX_RESERVE} serials in one reservation")));
        }
        let mut serials = self.serials.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = serials.reserve(count, &mut **self.entropy());
        drawn.map(Response::Reserved).map_err(|error| Refusal::Token(error.to_string()))
    }

    fn record(&self, ticket: Ticket, act: Act, actor: Actor) {
        if let Err(refusal) = not_ours(&actor.who) {
            return ticket.answer(Err(refusal));
        }
        let event = match acts::event(act, &actor.who) {
            Ok(event) => event,
            Err(refusal) => return ticket.answer(Err(refusal)),
        };
        self.journal.append(event, actor.who, actor.request_id, move |written| {
            ticket.answer(written.map(|seq| Response::Recorded { seq }).map_err(journal));
        });
    }

    fn read(&self, after: u64) -> Result<Response, Refusal> {
        let tail = self.journal.after(after).map_err(|error| Refusal::Journal(error.to_string()))?;
        Ok(Response::Journal { lines: tail.lines, last: tail.last })
    }

    fn certificate(self: &Arc<Self>, ticket: Ticket, request: CertificateRequest) {
        match self.issue(request) {
            Ok(event) => self.release_certificate(ticket, event),
            Err(why) => self.not_issued(ticket, why),
        }
    }

    /// Answers with the certificate that the event holds, when that is durable.
    pub(super) fn release_certificate(&self, ticket: Ticket, event: Event) {
        let Event::Certificate { certificate, record, .. } = &event else {
            return ticket.answer(Err(Refusal::Busy));
        };
        let certificate = certificate.clone();
        let actor = Actor { who: record.actor.clone(), request_id: record.request_id.clone() };
        self.release(ticket, event, actor, |seq| Response::Certificate { certificate, seq });
    }

    /// Journals what was signed, and then answers (J1).
    pub(super) fn release(
        &self,
        ticket: Ticket,
        event: Event,
        actor: Actor,
        response: impl FnOnce(u64) -> Response + Send + 'static,
    ) {
        // The seal is closed under the same lock, so that nothing is signed after that entry.
        let state = self.state();
        if !matches!(*state, SealState::Unsealed(_)) {
            drop(state);
            return ticket.answer(Err(Refusal::Sealed));
        }
        // The answer leaves from the journal's thread, when the entry is durable.
        self.journal.append(event, actor.who, actor.request_id, move |written| {
            ticket.answer(written.map(response).map_err(journal));
        });
    }

    fn issue(&self, request: CertificateRequest) -> Result<Event, NotIssued> {
        not_ours(&request.record.actor)?;
        let record = &request.record;
        let mut methods = record.names.iter().map(|evidence| evidence.method).chain(record.subject);
        if methods.any(|method| method == Method::Console) {
            return Err(Refusal::Policy("nobody is on the console while the signer serves".to_owned()).into());
        }
        // Nothing is signed that could not be journalled.
        if let Some(fault) = self.journal.fault() {
            return Err(Refusal::Journal(fault).into());
        }
        let keys = self.keys()?;
        let bench = Bench {
            token: &self.token,
            keys: &keys,
            profiles: &self.profiles(),
            serials: &self.serials,
            now: self.clock.now(),
            latest: self.journal.at(),
        };
        bench.issue(request)
    }

    fn handshake(&self, label: &str, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, NotIssued> {
        let keys = self.keys()?;
        let key = keys.get(label).ok_or_else(|| Refusal::Policy(format!("there is no key `{label}`")))?;
        if key.purpose != Purpose::Tls {
            return Err(Refusal::Forbidden(format!("the key `{label}` does not sign handshakes")).into());
        }
        if !is_server_handshake(message) {
            return Err(Refusal::Forbidden("the message is not a TLS server's handshake".to_owned()).into());
        }
        let signature = self.token.sign(&key.token, scheme, message).map_err(NotIssued::Token)?;
        self.counts.handshakes.fetch_add(1, Ordering::Relaxed);
        Ok(signature)
    }

    fn identify(&self, statement: &[u8]) -> Result<Vec<u8>, NotIssued> {
        let keys = self.keys()?;
        let key = keys
            .with_purpose(Purpose::Identity)
            .ok_or_else(|| Refusal::Forbidden("this signer has no identity key".to_owned()))?;
        if !is_statement(statement) {
            return Err(Refusal::Forbidden("an identity key signs statements about unseal keys only".to_owned()).into());
        }
        let scheme = key.token.public.certificate_scheme();
        self.token.sign(&key.token, scheme, statement).map_err(NotIssued::Token)
    }

    fn answer_signature(&self, ticket: Ticket, signature: Result<Vec<u8>, NotIssued>) {
        match signature {
            Ok(signature) => ticket.answer(Ok(Response::Signature(signature))),
            Err(why) => self.not_issued(ticket, why),
        }
    }

    pub(super) fn not_issued(&self, ticket: Ticket, why: NotIssued) {
        match why {
            NotIssued::Refused(refusal) => ticket.answer(Err(refusal)),
            NotIssued::Token(error) => self.token_failed(ticket, &error),
        }
    }

    /// J8: an error for this request only, unless the module is beyond help: then a fresh process
    /// loads it again, and the descriptor store brings the PIN back.
    pub(super) fn token_failed(&self, ticket: Ticket, error: &TokenError) {
        ticket.answer(Err(Refusal::Token(error.to_string())));
        if error.class == ErrorClass::Restart {
            self.end(Ended::Restart(error.to_string()));
        } else if error.class == ErrorClass::Operator && self.token.is_logged_out() {
            self.pin_refused(error);
        }
    }

    /// The token lost the login and refuses the PIN that it took before: it is no secret of this
    /// token any more. It is counted and forgotten, and the next process comes up sealed.
    fn pin_refused(&self, error: &TokenError) {
        let mut state = self.state_mut();
        // Whoever comes first does it, and nobody does while the seal is closed or opened.
        if !matches!(*state, SealState::Unsealed(_)) {
            return;
        }
        *state = SealState::Faulted { why: error.to_string() };
        drop(state);
        let counted = self.attempts.begin().map_err(|error| error.to_string());
        let wiped = self.store.wipe(&self.supervisor).map_err(|error| error.to_string());
        for why in [counted, wiped].into_iter().filter_map(Result::err) {
            tracing::error!(why, "a PIN that the token refused could not be counted, or not be forgotten");
        }
        let event = Event::UnsealFailed { why: error.to_string() };
        self.journal.append(event, "signer".to_owned(), String::new(), |_| {});
        self.supervisor.barrier();
        self.end(Ended::Restart(error.to_string()));
    }

    /// Journals how many signatures were made, and secrets opened, since the last time. A full journal
    /// stops neither: the counts wait. `done` is called when that is settled.
    pub(super) fn journal_counts(self: &Arc<Self>, done: impl FnOnce() + Send + 'static) {
        let Some((handshakes, secrets)) = self.counts.take() else { return done() };
        let signer = Arc::clone(self);
        let event = Event::Counted { handshakes, secrets };
        self.journal.append(event, "signer".to_owned(), String::new(), move |written| {
            if written.is_err() {
                signer.counts.give_back(handshakes, secrets);
            }
            done();
        });
    }
}

/// What has no entry of its own in the journal.
#[derive(Default)]
pub(super) struct Counts {
    /// TLS handshakes signed.
    pub(super) handshakes: AtomicU64,
    /// Secrets encrypted or decrypted.
    pub(super) secrets: AtomicU64,
}

impl Counts {
    /// Takes what there is, if there is anything.
    fn take(&self) -> Option<(u64, u64)> {
        let taken = (self.handshakes.swap(0, Ordering::Relaxed), self.secrets.swap(0, Ordering::Relaxed));
        (taken != (0, 0)).then_some(taken)
    }

    fn give_back(&self, handshakes: u64, secrets: u64) {
        self.handshakes.fetch_add(handshakes, Ordering::Relaxed);
        self.secrets.fetch_add(secrets, Ordering::Relaxed);
    }
}

/// Refuses an actor whose name in the journal is proof that it was not `signetd`'s doing.
pub(super) fn not_ours(who: &str) -> Result<(), Refusal> {
    match who {
        "console" | "signer" => Err(Refusal::Policy(format!("`{who}` does not act through a socket"))),
        _ => Ok(()),
    }
}

/// A journal that cannot be written, as the peer hears it.
pub(super) fn journal(error: WriteError) -> Refusal {
    Refusal::Journal(error.to_string())
}
