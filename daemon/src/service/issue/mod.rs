//! Issuing on somebody's word, shared by all surfaces: an administrator's, a registration, the
//! possession of a certificate, or nobody's. ACME, where names are validated, has its own way to the
//! same pipeline.

mod key;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use policy::authority::AuthorityNumber;
use policy::csr::{Csr, CsrError};
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::{Decision, Profile, Refusal};
use policy::rights::Actor;
use policy::serial::Serial;
use policy::tbs::{Certificate, Issuer};
use policy::validity::Requested;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};

use super::Services;
use super::certificates::reaches;
use super::metrics::Outcome;
use super::peer::hex;
use super::rights::{Permitted, Scope};
use crate::issuance::{IssueError, Pipeline, Released, Submission};
use crate::store::StoreError;
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_SPKI, CertificateRecord};

pub use key::{KeyKind, KeyKindError, PrivateKey};

/// What a surface asks for.
pub struct Wanted {
    /// The surface, for the metrics.
    pub surface: &'static str,
    /// Name of the profile.
    pub profile: String,
    /// The key.
    pub key: WantedKey,
    /// The names; `None` for those that the CSR asks for, or that the renewed certificate has.
    pub names: Option<Vec<Name>>,
    /// The common name, where the profile lets it be chosen. If names are not given either, the CSR's
    /// stands for it.
    pub common_name: Option<String>,
    /// The ends of the validity, if they are chosen.
    pub requested: Requested,
    /// Whose word it is.
    pub warrant: Warrant,
    /// What the certificate completes.
    pub completes: Completes,
    /// Common name of the node that it is for, if it is for one. A renewal is for the same node.
    pub node: Option<String>,
}

/// Where the key comes from.
#[derive(Clone, Debug)]
pub enum WantedKey {
    /// Its holder proved possession. Nothing else of the CSR gets in (J5).
    Csr(Box<Csr>),
    /// It is made here, and given away with the answer.
    Generate(KeyKind),
}

/// Why the names may be certified: what stands as [`Method`] in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warrant {
    /// The administrator who asks vouches for them.
    Administrator {
        /// The certificate that this one renews, if it does.
        replaces: Option<Serial>,
    },
    /// An administrator registered them before for whoever asks.
    Registration,
    /// Whoever asks holds the key of the certificate with this serial number, which has the same names.
    Renewal(Serial),
    /// Nothing does: only profiles that take [`Method::Unproven`] issue so.
    Unproven,
}

/// What a certificate completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completes {
    /// A call that its caller may repeat after a lost answer, under a name of his choice. It gets the
    /// certificate that was made, if the key is the same: so with a CSR only.
    Call(CallId),
    /// Nothing.
    Nothing,
}

/// The name that a caller gives to one call: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallId(String);

/// The text cannot name a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a call is named by 1 to 64 visible ASCII characters")]
pub struct CallIdError;

impl CallId {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, CallIdError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(CallIdError) }
    }

    /// How the record names it: calls of different actors have nothing to do with each other.
    fn order(&self, actor: &str) -> String {
        format!("call:{}", hex(digest(&SHA256, &[actor.as_bytes(), &[0], self.0.as_bytes()].concat()).as_ref()))
    }
}

/// A certificate that was issued.
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// DER.
    pub certificate: Vec<u8>,
    /// PEM: the certificate and those above it, without the root.
    pub chain: String,
    /// The key, if it was made here.
    pub private_key: Option<PrivateKey>,
}

/// Why nothing was issued. Each but [`IssueFailure::Internal`] is a sentence for the caller.
#[derive(Debug, thiserror::Error)]
pub enum IssueFailure {
    /// It contradicts what was done before.
    #[error("{0}")]
    Conflict(String),
    /// The CSR cannot be used.
    #[error("{0}")]
    Csr(String),
    /// Our own fault; the sentence is for the log.
    #[error("{0}")]
    Internal(String),
    /// There is no such profile, certificate or request.
    #[error("{0}")]
    Missing(String),
    /// It waits for somebody's approval, as the request with this id.
    #[error("the request {0} waits for the approval of somebody else")]
    Pending(String),
    /// Policy says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signer knows no PIN.
    #[error("strongbox sealed")]
    Sealed,
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

impl Services {
    /// Issues one certificate, or says why not. When it returns, the certificate is durable in journal
    /// and store (J1, J2).
    ///
    /// The caller's surface has asked whether he may; this asks whether his word is good for the names:
    /// policy decides with the warrant as evidence, here and in the signer.
    pub async fn issue(&self, permitted: &Permitted, wanted: Wanted) -> Result<Issued, IssueFailure> {
        self.issue_counted(permitted, wanted, None).await
    }

    /// The same by an authority: its certificate and those above it stand in the chain.
    pub async fn issue_by(
        &self,
        permitted: &Permitted,
        wanted: Wanted,
        authority: AuthorityNumber,
    ) -> Result<Issued, IssueFailure> {
        self.issue_counted(permitted, wanted, Some(authority)).await
    }

    async fn issue_counted(
        &self,
        permitted: &Permitted,
        wanted: Wanted,
        by: Option<AuthorityNumber>,
    ) -> Result<Issued, IssueFailure> {
        let (surface, profile) = (wanted.surface, wanted.profile.clone());
        let begun = Instant::now();
        let issued = self.issue_uncounted(permitted, wanted, by).await;
        let profile = if self.profiles.now().contains_key(&profile) { &profile } else { "none" };
        self.metrics.issuance(surface, profile, Outcome::from(&issued), begun.elapsed());
        issued
    }

    /// Renews a certificate: the same profile, names and subject, another key or the same.
    pub async fn renew(
        &self,
        permitted: &Permitted,
        surface: &'static str,
        serial: Serial,
        key: WantedKey,
        requested: Requested,
    ) -> Result<Issued, IssueFailure> {
        // Whoever has nothing but the certificate shows it; others give their word.
        let warrant = match (permitted.scope(), permitted.who()) {
            (Scope::Own, Actor::Administrator(..) | Actor::Client(_)) => Warrant::Renewal(serial),
            _ => Warrant::Administrator { replaces: Some(serial) },
        };
        let profile = self.renewable(serial)?.profile;
        let (names, common_name, completes) = (None, None, Completes::Nothing);
        let wanted = Wanted { surface, profile, key, names, common_name, requested, warrant, completes, node: None };
        self.issue(permitted, wanted).await
    }

    async fn issue_uncounted(
        &self,
        permitted: &Permitted,
        wanted: Wanted,
        by: Option<AuthorityNumber>,
    ) -> Result<Issued, IssueFailure> {
        let pipeline = match (by, wanted.warrant.replaces()) {
            (Some(number), _) => self.pipeline_of(number)?,
            // A renewal has the issuer of what it renews.
            (None, Some(serial)) => match AuthorityNumber::of_label(&self.renewable(serial)?.issuer) {
                Some(number) => self.pipeline_of(number)?,
                None => self.pipeline(),
            },
            (None, None) => self.pipeline(),
        };
        if let Some(obstacle) = pipeline.obstacle() {
            return Err(obstacle.into());
        }
        let profile = self.profile(&wanted.profile)?;
        let (private_key, key) = match &wanted.key {
            WantedKey::Csr(csr) => (None, csr.key().clone()),
            WantedKey::Generate(_) if profile.needs_approval() => {
                let why = "waits for an approval, and a key that is made here cannot wait: send a CSR";
                return Err(refused(&format!("the profile `{}` {why}", profile.name())));
            }
            WantedKey::Generate(kind) => {
                // What it could not be used for is not made: RSA keys take seconds.
                profile.allows_kind_of_key(kind.algorithm(), kind.bits())?;
                let (private, public) = make_key(*kind).await?;
                (Some(private), public)
            }
        };
        let (submission, decision) = self.decide_under(&pipeline.issuer.now(), permitted, &wanted, key)?;
        match decision {
            Decision::AskHuman(_) if by.is_some() => {
                return Err(refused("what waits for an approval is issued by the CA that the ceremony made"));
            }
            Decision::AskHuman(_) => return Err(self.ask_human(permitted, &wanted, submission).await?),
            Decision::Issue(_) => {}
            Decision::Refuse(refusal) => return Err(refusal.into()),
        }
        // Held from the question whether it was made before to the answer that it is made.
        let _alone = match &submission.record.order {
            Some(order) => Some(self.calls.alone(order).await),
            None => None,
        };
        let Released { serial, certificate } = match self.made_before(&submission)? {
            Some(released) => released,
            None => pipeline.issue(submission).await?,
        };
        let chain = match AuthorityNumber::of_label(&pipeline.issuer_key) {
            Some(number) => self.chain_of(number, &certificate)?,
            None => self.chain(&certificate)?,
        };
        Ok(Issued { serial, chain, certificate, private_key })
    }

    /// What would be submitted for the one who asks, and what policy says of it. Nothing is signed.
    pub(super) fn decide(
        &self,
        permitted: &Permitted,
        wanted: &Wanted,
        key: PublicKey,
    ) -> Result<(Submission, Decision), IssueFailure> {
        self.decide_under(&self.issuer.now(), permitted, wanted, key)
    }

    fn decide_under(
        &self,
        issuer: &Issuer,
        permitted: &Permitted,
        wanted: &Wanted,
        key: PublicKey,
    ) -> Result<(Submission, Decision), IssueFailure> {
        let profile = self.profile(&wanted.profile)?;
        let Subject { names, common_name, node } = self.subject(permitted, wanted, &profile)?;
        permitted.grants(profile.name(), &names)?;
        let actor = permitted.actor();
        let method = wanted.warrant.method();
        if names.is_empty() {
            // No name brings the question up.
            allows_warrant(&profile, method)?;
        }
        profile.allows_validity(wanted.requested, issuer.validity(), self.clock.now())?;
        let record = AuthorizationRecord {
            order: match &wanted.completes {
                Completes::Call(id) => Some(id.order(&actor.who)),
                Completes::Nothing => None,
            },
            actor: actor.who,
            request_id: actor.request_id,
            names: evidence(&names, method, self.clock.now()),
            subject: common_name.is_some().then_some(method),
            replaces: wanted.warrant.replaces(),
            node: wanted.node.clone().or(node),
            requester: None,
        };
        let decision = profile.decide(&key, &names, common_name.as_deref(), &record, self.clock.now());
        let (profile, requested) = (profile.name().to_owned(), wanted.requested);
        Ok((Submission { profile, key, names, common_name, requested, record }, decision))
    }

    /// Whether anything can be signed now.
    pub(super) fn can_sign(&self) -> Result<(), IssueFailure> {
        self.pipeline().obstacle().map_or(Ok(()), |obstacle| Err(obstacle.into()))
    }

    /// Names and common name of what is wanted, whoever says them.
    fn subject(&self, permitted: &Permitted, wanted: &Wanted, profile: &Profile) -> Result<Subject, IssueFailure> {
        let chosen = |text: Option<&str>| text.filter(|_| profile.gives_requested_common_name()).map(str::to_owned);
        let csr = match &wanted.key {
            WantedKey::Csr(csr) => Some(&**csr),
            WantedKey::Generate(_) => None,
        };
        let renewed = wanted.warrant.replaces().map(|serial| self.renewable(serial)).transpose()?;
        if renewed.as_ref().is_some_and(|record| !reaches(permitted, record)) {
            return Err(refused("a certificate is renewed by whoever shows it, or by an administrator"));
        }
        let node = renewed.as_ref().and_then(|renewed| renewed.record.node.clone());
        let renewed = renewed.map(|record| Certificate::from_der(&record.certificate)).transpose();
        let renewed =
            renewed.map_err(|error| IssueFailure::Internal(format!("a certificate is unreadable: {error}")))?;
        if let Some(certificate) = &renewed {
            let mut before = certificate.names().to_vec();
            before.sort();
            let asked = wanted.names.as_deref().or(csr.map(Csr::names)).unwrap_or_default();
            if !asked.is_empty() && sorted(asked) != before {
                return Err(refused("a renewal has exactly the names of the certificate that it renews"));
            }
            let common_name = wanted.common_name.clone().or_else(|| chosen(certificate.common_name().as_deref()));
            return Ok(Subject { names: before, common_name, node });
        }
        match (&wanted.names, csr) {
            (Some(names), _) => Ok(Subject { names: sorted(names), common_name: wanted.common_name.clone(), node }),
            (None, Some(csr)) => {
                let common_name = wanted.common_name.clone().or_else(|| chosen(csr.common_name()));
                Ok(Subject { names: csr.names().to_vec(), common_name, node })
            }
            (None, None) => Ok(Subject { names: Vec::new(), common_name: wanted.common_name.clone(), node }),
        }
    }

    /// The certificate with this serial number, if it can be renewed.
    fn renewable(&self, serial: Serial) -> Result<CertificateRecord, IssueFailure> {
        let row = self.store.get(&CERTIFICATES, serial.as_bytes())?;
        let record = row.ok_or_else(|| IssueFailure::Missing(format!("there is no certificate {serial}")))?.value;
        let certificate = Certificate::from_der(&record.certificate)
            .map_err(|error| IssueFailure::Internal(format!("certificate {serial} is unreadable: {error}")))?;
        let issuer = self.issuer_called(&record.issuer)?;
        let by_us = issuer.is_some_and(|issuer| certificate.verify(issuer.key()).is_ok());
        if !by_us || !self.profiles.now().contains_key(&record.profile) {
            let why = format!("certificate {serial} is of no profile of this CA: have a new one issued instead");
            return Err(refused(&why));
        }
        if record.revoked.is_some() {
            return Err(refused(&format!("certificate {serial} is revoked: have a new one issued instead")));
        }
        if certificate.validity().not_after() < self.clock.now() {
            return Err(refused(&format!("certificate {serial} has expired: have a new one issued instead")));
        }
        Ok(record)
    }

    /// The certificate that the same call got before.
    pub(super) fn made_before(&self, submission: &Submission) -> Result<Option<Released>, IssueFailure> {
        use std::ops::Bound::{Excluded, Included};
        let Some(order) = &submission.record.order else { return Ok(None) };
        let first = submission.key.spki_sha256();
        let end = [&first[..], &[0xff; 21]].concat();
        for (key, _) in self.store.scan(&CERTIFICATES_BY_SPKI, (Included(&first), Excluded(&end)), 1000, false)? {
            let Some(row) = self.store.get(&CERTIFICATES, &key[first.len()..])? else { continue };
            let CertificateRecord { serial, certificate, profile, record, .. } = row.value;
            if record.order.as_ref() != Some(order) {
                continue;
            }
            let names: Vec<&Name> = record.names.iter().map(|evidence| &evidence.name).collect();
            if profile != submission.profile || names != submission.names.iter().collect::<Vec<_>>() {
                let why = "a call of the same name asked for something else: give each call a name of its own";
                return Err(IssueFailure::Conflict(why.to_owned()));
            }
            return Ok(Some(Released { serial, certificate }));
        }
        Ok(None)
    }

    /// The profile of this name.
    pub(super) fn profile(&self, name: &str) -> Result<Arc<Profile>, IssueFailure> {
        let profiles = self.profiles.now();
        profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            IssueFailure::Missing(format!("there is no profile {name:?}: there are {}", known.join(", ")))
        })
    }

    /// PEM of a certificate and of the issuing one.
    pub(super) fn chain(&self, certificate: &[u8]) -> Result<String, IssueFailure> {
        let pem = |der: &[u8]| Certificate::from_der(der).map(|certificate| certificate.to_pem());
        let both = pem(certificate).and_then(|leaf| Ok(leaf + &pem(self.issuer.now().certificate())?));
        both.map_err(|error| IssueFailure::Internal(format!("a certificate is unreadable: {error}")))
    }

    /// The pipeline over these services.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline {
            ca: self.ca.clone(),
            clock: self.clock.clone(),
            issuer: self.issuer.clone(),
            issuer_key: self.issuer_key.as_str().into(),
            profiles: self.profiles.clone(),
        }
    }
}

struct Subject {
    /// Sorted, without duplicates.
    names: Vec<Name>,
    common_name: Option<String>,
    /// The node that what is renewed is for.
    node: Option<String>,
}

impl Warrant {
    /// How the record calls it.
    pub fn method(self) -> Method {
        match self {
            Self::Administrator { .. } => Method::Administrator,
            Self::Registration => Method::Registration,
            Self::Renewal(_) => Method::Renewal,
            Self::Unproven => Method::Unproven,
        }
    }

    fn replaces(self) -> Option<Serial> {
        match self {
            Self::Administrator { replaces } => replaces,
            Self::Renewal(serial) => Some(serial),
            Self::Registration | Self::Unproven => None,
        }
    }
}

impl WantedKey {
    /// Reads a CSR: DER, or PEM.
    pub fn csr(bytes: &[u8]) -> Result<Self, IssueFailure> {
        let read = match bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            true => {
                let (label, der) = der::pem::decode_vec(bytes.trim_ascii())
                    .map_err(|error| IssueFailure::Csr(format!("the CSR is not PEM: {error}")))?;
                if !["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].contains(&label) {
                    return Err(IssueFailure::Csr(format!("this is no CSR, but PEM of a {label}")));
                }
                Csr::from_der(&der)
            }
            false => Csr::from_der(bytes),
        };
        Ok(Self::Csr(Box::new(read?)))
    }
}

/// A fresh key pair, made on a thread that may block.
pub(super) async fn make_key(kind: KeyKind) -> Result<(PrivateKey, PublicKey), IssueFailure> {
    let failed = |why: &dyn std::fmt::Display| IssueFailure::Internal(format!("a key was not made: {why}"));
    let made = tokio::task::spawn_blocking(move || key::generate(kind)).await;
    made.map_err(|error| failed(&error))?.map_err(|_| failed(&"the generator failed"))
}

/// Calls that their callers may repeat, one at a time.
pub struct Calls(Vec<AsyncMutex<()>>);

impl Calls {
    /// Waits until nobody else makes what `order` names. Few others share its turn.
    pub(super) async fn alone(&self, order: &str) -> AsyncMutexGuard<'_, ()> {
        let turn = digest(&SHA256, order.as_bytes()).as_ref()[0];
        self.0[usize::from(turn) % self.0.len()].lock().await
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self(std::iter::repeat_with(AsyncMutex::default).take(64).collect())
    }
}

pub(super) fn evidence(names: &[Name], method: Method, at: UnixTime) -> Vec<NameEvidence> {
    let proof = |name: &Name| NameEvidence {
        name: name.clone(),
        method,
        at,
        validator: VERSION.to_owned(),
        seen: None,
        caa: None,
    };
    names.iter().map(proof).collect()
}

/// Version of the code above, in the record of what it takes somebody's word for.
const VERSION: &str = "word/1";

fn allows_warrant(profile: &Profile, method: Method) -> Result<(), Refusal> {
    if profile.takes(method) {
        return Ok(());
    }
    let why = format!("the profile `{}` does not take {} as a proof", profile.name(), method.as_str());
    Err(Refusal { name: None, rule: Some("evidence.methods"), why })
}

fn sorted(names: &[Name]) -> Vec<Name> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

pub(super) fn refused(why: &str) -> IssueFailure {
    Refusal { name: None, rule: None, why: why.to_owned() }.into()
}

impl From<CsrError> for IssueFailure {
    fn from(error: CsrError) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Csr(text)
    }
}

impl From<StoreError> for IssueFailure {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<IssueError> for IssueFailure {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::AskHuman => refused(&error.to_string()),
            IssueError::Completed => Self::Conflict(error.to_string()),
            IssueError::Refused(refusal) => Self::Refused(refusal),
            IssueError::Sealed => Self::Sealed,
            IssueError::Unavailable(why) => Self::Unavailable(why),
            IssueError::UnknownProfile(_) => Self::Missing(error.to_string()),
            IssueError::Faulted(_) | IssueError::Store(_) | IssueError::Tbs(_) => Self::Internal(error.to_string()),
        }
    }
}
