//! One issuance, in the order of `docs/issuance.md`, with its numbers: each stage is a type that
//! the next one consumes, so no step can be left out, repeated or taken in another order.
//!
//! ```text
//! 1 Submitted   what a surface asks for, in types
//! 2 Authorized  policy agreed: who asks, which profile, which names, with what evidence
//! 3 Linted      the to-be-signed bytes, built once with a reserved serial, read by every lint
//! 4 Signed      journalled by the signer, compared with what was linted, signature verified
//! 5 Recorded    durable in the store, with its indexes and the order that it completes
//! 6 Released    what the caller may give away
//! ```

pub mod authorities;
pub mod ca;
mod catch_up;
mod enrolment;
pub mod orders;
pub mod requests;
mod secrets;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use hsm::client::ClientError;
use hsm::wire::{CertificateRequest, Refusal as SignerRefusal, SealStatus};
use policy::authority::AuthorityNumber;
use policy::effects::{Clock, UnixTime};
use policy::evidence::AuthorizationRecord;
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::{Decision, Profile, Refusal, Terms};
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, TbsCertificate, TbsError};
use policy::validity::Requested;
use tokio::time::{Instant, timeout_at};

use crate::current::{Current, Profiles};
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_SPKI, CertificateRecord, index_certificate};
use crate::store::{Change, CommitError, Store, StoreError};
use ca::{Ca, CaError, Ready};
pub use catch_up::{AcceptError, accept_journal};
use orders::ORDERS;
use requests::{REQUESTS, RequestState};

/// What issuing needs. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    /// The CA signer.
    pub ca: Ca,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The issuing certificate.
    pub issuer: Current<Issuer>,
    /// Label of the issuing key in the CA signer.
    pub issuer_key: Arc<str>,
    /// Every profile, by name.
    pub profiles: Current<Profiles>,
}

/// What a surface asks for.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Name of the profile.
    pub profile: String,
    /// The key to certify; its owner proved possession.
    pub key: PublicKey,
    /// The names, authorised. Nothing else of a CSR gets in (J5).
    pub names: Vec<Name>,
    /// The common name that the requester asked for, if any.
    pub common_name: Option<String>,
    /// The ends of the validity that the requester asks for.
    pub requested: Requested,
    /// Why it may be signed; its request id finds the certificate again if an answer is lost.
    pub record: AuthorizationRecord,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Somebody must approve it first.
    #[error("the profile issues only what somebody else than the requester approved")]
    AskHuman,
    /// The order has its certificate: an earlier attempt that seemed to have failed had not.
    #[error("the order is valid already: fetch its certificate")]
    Completed,
    /// The signer answered nonsense, or the store holds other bytes. Nothing is issued before
    /// somebody has looked.
    #[error("{0}")]
    Faulted(String),
    /// Policy refuses: a sentence for the client.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signer knows no PIN.
    #[error("strongbox sealed")]
    Sealed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate would break a rule: a mistake in a profile or in Signet, never released.
    #[error(transparent)]
    Tbs(#[from] TbsError),
    /// Not now; the same request may succeed soon.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such profile.
    #[error("there is no profile `{0}`")]
    UnknownProfile(String),
}

impl Pipeline {
    /// Issues one certificate, or says why not, within about [`LONGEST`].
    ///
    /// It runs in a task of its own: a client that hangs up leaves nothing signed but unrecorded.
    /// A step that failed drops its stage, and the next attempt begins with a fresh serial.
    pub async fn issue(&self, submission: Submission) -> Result<Released, IssueError> {
        let pipeline = self.clone();
        let task = tokio::spawn(async move { pipeline.attempts(&submission).await });
        match task.await {
            Ok(result) => result,
            Err(_) => Err(IssueError::Unavailable("the issuance was interrupted: try again".into())),
        }
    }

    async fn attempts(&self, submission: &Submission) -> Result<Released, IssueError> {
        let deadline = Instant::now() + LONGEST;
        let mut sent = false;
        let mut trouble = String::from("the CA signer does not answer");
        let mut pause = Duration::from_millis(20);
        while Instant::now() < deadline {
            match self.attempt(submission, &mut sent, deadline).await {
                Ok(signed) => return Ok(signed.record(self).await?.release()),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Again(why)) => trouble = why,
            }
            tokio::time::sleep(pause.min(deadline - Instant::now())).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        tracing::warn!(why = trouble, request = submission.record.request_id, "no certificate could be signed in time");
        Err(IssueError::Unavailable("no certificate could be signed in time: try again soon".into()))
    }

    /// Steps 1 to 4 once. `sent` says whether the signer was asked before: then the journal may
    /// have an answer that was lost.
    ///
    /// The deadline ends every wait but the last: a request that is with the signer is not given
    /// up, or whoever repeats it would have a second certificate signed for the same order. The
    /// client's own deadline bounds that wait.
    async fn attempt(&self, submission: &Submission, sent: &mut bool, deadline: Instant) -> Result<Signed, Attempt> {
        let late = |_| Attempt::Again("the CA signer is slow".into());
        // J3: nothing new before the store has caught up.
        let ready = timeout_at(deadline, self.ca.ready()).await.map_err(late)??;
        if !self.ca.is_active(&self.issuer_key)? {
            return Err(Attempt::Final(self.inactive()));
        }
        if *sent && let Some(signed) = self.find(submission)? {
            return Ok(signed);
        }
        // What the caller read of the order may be older than what was just caught up.
        if let Some(order) = &submission.record.order
            && self.is_completed(order)?
        {
            return Err(Attempt::Final(IssueError::Completed));
        }
        // Whatever is reloaded meanwhile, this attempt goes by one set of files.
        let (profiles, issuer) = (self.profiles.now(), self.issuer.now());
        let authorized = Submitted { submission }.authorize(&profiles, self.clock.now()).map_err(Attempt::Final)?;
        let serial = timeout_at(deadline, self.ca.serial(&ready)).await.map_err(late)??;
        let linted = authorized.lint(&issuer, serial, self.clock.now()).map_err(Attempt::Final)?;
        *sent = true;
        linted.sign(self, &ready, &issuer).await
    }

    /// Steps 1 to 3, with a serial number that nobody reserved: what would be signed.
    pub fn rehearse(&self, submission: &Submission, serial: Serial) -> Result<TbsCertificate, IssueError> {
        let (profiles, issuer, now) = (self.profiles.now(), self.issuer.now(), self.clock.now());
        Ok(Submitted { submission }.authorize(&profiles, now)?.lint(&issuer, serial, now)?.linted.tbs().clone())
    }

    /// Why the issuer signs nothing although its key is there.
    fn inactive(&self) -> IssueError {
        match AuthorityNumber::of_label(&self.issuer_key) {
            None => IssueError::Unavailable(INACTIVE.into()),
            Some(number) => {
                let why = format!("authority {number} is not enabled: see `signetctl ca list`");
                IssueError::Refused(Refusal { name: None, rule: None, why })
            }
        }
    }

    /// Whether the order, or the request, has its certificate.
    fn is_completed(&self, order: &str) -> Result<bool, StoreError> {
        let store = self.ca.store();
        Ok(match requests::id_in(order) {
            Some(id) => {
                store.get(&REQUESTS, id)?.is_some_and(|row| matches!(row.value.state, RequestState::Issued { .. }))
            }
            None => store.get(&ORDERS, order)?.is_some_and(|row| row.value.certificate.is_some()),
        })
    }

    /// The certificate of an earlier attempt, which catching up has recorded.
    fn find(&self, submission: &Submission) -> Result<Option<Signed>, StoreError> {
        let store = self.ca.store();
        let prefix = submission.key.spki_sha256();
        let mut end = prefix.to_vec();
        end.extend([0xff; 21]);
        let range = (Bound::Included(prefix.as_slice()), Bound::Included(end.as_slice()));
        for (key, _) in store.scan(&CERTIFICATES_BY_SPKI, range, 1000, false)? {
            let Some(row) = store.get(&CERTIFICATES, &key[prefix.len()..])? else { continue };
            if row.value.record == submission.record {
                return Ok(Some(Signed { record: row.value }));
            }
        }
        Ok(None)
    }
}

/// Longest time for the attempts of one issuance, after which the client is told to come back. A
/// request that is with the signer then is still waited for; if its answer is lost, catching up
/// finds what came of it and completes the order.
pub const LONGEST: Duration = Duration::from_secs(10);

/// Said to whoever wants a certificate before the CA is active.
pub const INACTIVE: &str = "this CA is not active yet: its administrators look at what its certificates will name with \
    `signetctl ca check`, and start it with `signetctl ca activate`";

/// What a client may know of a fault.
const NOT_NOW: &str = "this CA cannot sign at the moment: try again soon";

/// Why an attempt failed, and whether another can help.
enum Attempt {
    Again(String),
    Final(IssueError),
}

impl From<CaError> for Attempt {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Sealed => Self::Final(IssueError::Sealed),
            CaError::Signer(ClientError::Refused(SignerRefusal::Policy(why))) => {
                Self::Final(IssueError::Refused(Refusal { name: None, rule: None, why }))
            }
            CaError::Signer(ClientError::Refused(refusal @ SignerRefusal::Forbidden(_))) => {
                // Legal before, illegal now: it was sealed or restarted between two frames.
                Self::Again(refusal.to_string())
            }
            CaError::Signer(error) => Self::Again(error.to_string()),
            CaError::Store(error) => Self::Final(error.into()),
            CaError::Commit(error) => Self::Again(error.to_string()),
            // Details are in the health, as long as it lasts.
            CaError::Faulted(why) => {
                tracing::error!(why, "nothing can be issued");
                Self::Final(IssueError::Unavailable(NOT_NOW.into()))
            }
            error @ CaError::Unknown(_) => Self::Final(IssueError::Faulted(error.to_string())),
        }
    }
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        Self::Final(error.into())
    }
}

/// 1 Submitted: a surface parsed the request into types.
struct Submitted<'a> {
    submission: &'a Submission,
}

/// 2 Authorized: policy agrees with profile, key, names and evidence.
struct Authorized<'a> {
    submission: &'a Submission,
    profile: &'a Profile,
    terms: Terms,
}

/// 3 Linted: the bytes that will be signed, and served (J4).
struct Linted<'a> {
    submission: &'a Submission,
    profile: &'a Profile,
    linted: tbs::Linted,
}

/// 4 Signed: durable in the journal (J1), not yet in the store.
struct Signed {
    record: CertificateRecord,
}

/// 5 Recorded: durable in the store (J2).
struct Recorded {
    record: CertificateRecord,
}

/// 6 Released: may be given to the caller.
#[derive(Debug)]
pub struct Released {
    /// Its serial number.
    pub serial: Serial,
    /// DER.
    pub certificate: Vec<u8>,
}

impl<'a> Submitted<'a> {
    fn authorize(self, profiles: &'a Profiles, now: UnixTime) -> Result<Authorized<'a>, IssueError> {
        let Submission { profile, key, names, common_name, requested, record } = self.submission;
        let profile = profiles.get(profile).ok_or_else(|| IssueError::UnknownProfile(profile.clone()))?;
        match profile.decide(key, names, common_name.as_deref(), record, now) {
            Decision::Issue(terms) => {
                let terms = terms.with_validity(*requested);
                Ok(Authorized { submission: self.submission, profile, terms })
            }
            Decision::AskHuman(_) => Err(IssueError::AskHuman),
            Decision::Refuse(refusal) => Err(refusal.into()),
        }
    }
}

impl<'a> Authorized<'a> {
    /// The serial was reserved by the signer for one signature (J6); the validity comes from the
    /// one function that computes it (J7).
    fn lint(self, issuer: &Issuer, serial: Serial, now: UnixTime) -> Result<Linted<'a>, IssueError> {
        let Self { submission, profile, terms } = self;
        let tbs = tbs::leaf(profile, &terms, issuer, &submission.key, serial, now)?;
        Ok(Linted { submission, profile, linted: tbs.lint(Some(issuer))? })
    }
}

impl Linted<'_> {
    /// The signer checks profile and evidence again, signs, verifies, journals and only then
    /// answers (J1). What comes back is compared with what was sent (J4).
    async fn sign(self, pipeline: &Pipeline, ready: &Ready, issuer: &Issuer) -> Result<Signed, Attempt> {
        let tbs = self.linted.tbs();
        let request = CertificateRequest {
            issuer: pipeline.issuer_key.to_string(),
            profile: self.submission.profile.clone(),
            profile_sha256: self.profile.digest(),
            common_name: self.submission.common_name.clone(),
            requested: self.submission.requested,
            tbs: tbs.as_bytes().to_vec(),
            record: self.submission.record.clone(),
        };
        let (der, seq) = pipeline.ca.sign(ready, request).await?;
        check(tbs, &der, issuer).map_err(|why| {
            Attempt::Final(IssueError::Faulted(format!("{why}: stop issuing and check the token of the CA signer")))
        })?;
        let serial = tbs.serial().map_err(|error| Attempt::Final(error.into()))?;
        Ok(Signed {
            record: CertificateRecord {
                serial,
                certificate: der,
                profile: self.submission.profile.clone(),
                profile_sha256: hexadecimal(&self.profile.digest()),
                issuer: pipeline.issuer_key.to_string(),
                record: self.submission.record.clone(),
                journal: ready.journal.0.clone(),
                seq,
                at: pipeline.clock.now(),
                revoked: None,
            },
        })
    }
}

/// J4: the bytes signed are the bytes linted, and the signature is the issuer's.
fn check(tbs: &TbsCertificate, der: &[u8], issuer: &Issuer) -> Result<(), &'static str> {
    let certificate = Certificate::from_der(der).map_err(|_| "the CA signer answered with no certificate")?;
    if certificate.tbs() != tbs.as_bytes() {
        return Err("the CA signer signed other bytes than it was sent");
    }
    certificate.verify(issuer.key()).map_err(|_| "the CA signer answered with a signature that does not verify")
}

impl Signed {
    /// One commit: the certificate, its indexes, and the order that it completes. Catching up
    /// writes the same rows; whoever comes second finds them there.
    async fn record(self, pipeline: &Pipeline) -> Result<Recorded, IssueError> {
        let store = pipeline.ca.store();
        let record = self.record;
        for _ in 0..CONFLICTS {
            let mut change = Change::new();
            match store.get(&CERTIFICATES, record.serial.as_bytes())? {
                Some(row) if row.value.certificate == record.certificate => {}
                Some(_) => {
                    pipeline.ca.distrust();
                    return Err(IssueError::Faulted(format!("two certificates have the serial {}", record.serial)));
                }
                None => {
                    change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
                    index_certificate(&mut change, &record);
                }
            }
            if let Some(order) = &record.record.order {
                record.complete(order, store, &mut change)?;
            }
            match store.commit(change).await {
                Ok(()) => return Ok(Recorded { record }),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) => {
                    // The journal has what the store does not: nothing new before that is mended (J3).
                    pipeline.ca.distrust();
                    return Err(error.into());
                }
            }
        }
        pipeline.ca.distrust();
        Err(IssueError::Unavailable("the certificate could not be recorded yet: ask for the order again".into()))
    }
}

impl CertificateRecord {
    /// Writes that it completes the order or the request.
    fn complete(&self, order: &str, store: &Store, change: &mut Change) -> Result<(), StoreError> {
        if let Some(id) = requests::id_in(order) {
            if let Some(mut row) = store.get(&REQUESTS, id)?
                && row.value.complete(self.serial, &self.record.actor, self.at)
            {
                change.update(&REQUESTS, id, row.version, &row.value);
            }
        } else if let Some(mut row) = store.get(&ORDERS, order)?
            && row.value.complete(order, self.serial)
        {
            change.update(&ORDERS, order, row.version, &row.value);
        }
        Ok(())
    }
}

/// How often the record step is tried against catching up.
const CONFLICTS: usize = 16;

impl Recorded {
    fn release(self) -> Released {
        Released { serial: self.record.serial, certificate: self.record.certificate }
    }
}

impl Pipeline {
    /// Why nothing can be issued now, if that is known without asking. Details are in the log and
    /// in the health: they name files, and are not for clients.
    pub fn obstacle(&self) -> Option<IssueError> {
        match self.ca.seal() {
            Ok(SealStatus::Unsealed) => match self.ca.is_active(&self.issuer_key) {
                Ok(true) => None,
                Ok(false) => Some(self.inactive()),
                Err(error) => Some(error.into()),
            },
            Ok(SealStatus::Sealed | SealStatus::Unsealing { .. }) => Some(IssueError::Sealed),
            Ok(SealStatus::Faulted { .. }) | Err(_) => Some(IssueError::Unavailable(NOT_NOW.into())),
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests;
