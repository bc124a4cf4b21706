//! The use cases of the CertMaker dialect: a certificate for names of which the account shows control,
//! with CertMaker's own challenges and our validator. An account is an API token.

mod challenges;
mod prove;

use std::net::IpAddr;
use std::sync::Arc;

use policy::csr::Csr;
use policy::effects::UnixTime;
use policy::evidence::{Method, NameEvidence};
use policy::grant::RateLimits;
use policy::name::Name;
use policy::profile::{Profile, Refusal};
use policy::serial::Serial;
use policy::tbs::Certificate;
use policy::validity::Requested;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::acme::Acme;
use super::certificates;
use super::issue::{CallId, Completes, IssueFailure, Issued, PrivateKey, Wanted, WantedKey, Warrant};
use super::limits::{LimitError, Ordered, Replaces, TooMuch};
use super::revocation::Deed;
use super::rights::{Permitted, Scope};
use super::{Failure, Services};
use crate::config::Switch;
use crate::store::status::IMPORTED;
use crate::store::tables::{CERTIFICATES, base64_bytes};
use crate::store::{CommitError, StoreError};
use crate::validation::Validator;

pub use challenges::Challenge;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct CertMaker {
    services: Arc<Services>,
    validator: Arc<Validator>,
    /// Turns to use the network, which ACME takes too.
    network: Arc<Semaphore>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The names.
    pub names: Vec<Name>,
    /// The common name, which counts if it is one of the names and the profile lets it be chosen.
    pub common_name: Option<String>,
    /// For how long; more than the profile gives is cut to that.
    pub days: u16,
    /// Where the key comes from.
    pub key: Key,
}

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// Its holder sent this CSR, DER.
    #[serde(with = "base64_bytes")]
    Csr(Vec<u8>),
    /// It is made here, when the certificate is.
    Made,
}

/// What comes of a request.
pub enum Answer {
    /// Control is to be shown first, in one of these ways.
    Challenges(Vec<Challenge>),
    /// The certificate.
    Issued(Box<Issued>),
}

/// Why something was not done. Each but [`CertMakerError::Failure`] is a sentence for the client.
#[derive(Debug, thiserror::Error)]
pub enum CertMakerError {
    /// It is somebody else's.
    #[error("this certificate belongs to another account")]
    Foreign,
    /// Another use case.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// It is revoked already.
    #[error("this certificate is revoked already")]
    Gone,
    /// What is asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The pipeline.
    #[error(transparent)]
    Issue(#[from] IssueFailure),
    /// There is no such thing.
    #[error("{0}")]
    Missing(&'static str),
    /// The configuration has it switched off.
    #[error("{0} mode is not enabled on this instance")]
    Off(&'static str),
    /// A limit.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Control of a name was not shown.
    #[error("{0}")]
    Unproved(String),
}

/// How long a certificate lasts, in days: if nothing is said, and at most.
pub const USUAL_DAYS: u16 = 7;
const MOST_DAYS: i64 = 182;

const DAY: u64 = 86_400;

/// The days of a certificate as CertMaker reads them: nothing and 0 are [`USUAL_DAYS`], the rest is cut.
pub fn days(asked: Option<i64>) -> u16 {
    match asked {
        None | Some(0) => USUAL_DAYS,
        Some(days) => u16::try_from(days.clamp(1, MOST_DAYS)).expect("182 fits"),
    }
}

impl CertMaker {
    /// Over these services, with the validator of `acme`.
    pub fn new(services: Arc<Services>, acme: &Acme) -> Self {
        let (validator, network) = acme.validator();
        Self { services, validator, network }
    }

    /// What the daemon serves and is configured with.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Issues at once where no name is to be shown, or challenges the account. `from` is its address.
    pub async fn order(
        &self,
        permitted: &Permitted,
        from: Option<IpAddr>,
        asked: Asked,
    ) -> Result<Answer, CertMakerError> {
        let (services, config) = (&self.services, &self.services.certmaker);
        let (account, now) = (account(permitted)?, services.clock.now());
        match &asked.key {
            Key::Csr(_) if config.csr_requests == Switch::Off => return Err(CertMakerError::Off("CSR")),
            Key::Made if config.simple_requests == Switch::Off => return Err(CertMakerError::Off("SimpleRequest")),
            Key::Csr(_) | Key::Made => {}
        }
        let profile = services.profile(&config.profile)?;
        if asked.names.is_empty() {
            return Err(CertMakerError::Invalid("name at least one domain or IP address".to_owned()));
        }
        // Before anybody proves in vain.
        permitted.grants(profile.name(), &asked.names)?;
        profile.allows_count(asked.names.len())?;
        asked.names.iter().try_for_each(|name| profile.allows_name(name))?;
        if let Key::Csr(der) = &asked.key {
            profile.allows_key(csr(der)?.key())?;
        }
        let (limits, replaces) = (RateLimits::Apply, Replaces::Nothing);
        services.limits.new_order(&Ordered { account, limits, from, names: &asked.names, replaces }, now)?;
        let to_show: Vec<&Name> = asked.names.iter().filter(|name| !name.is_loopback()).collect();
        if to_show.is_empty() || config.challenges.is_empty() {
            let proofs = asked.names.iter().map(|name| unseen(name, now)).collect();
            let issued = self.issue(permitted, &profile, &asked, proofs, Completes::Nothing).await?;
            return Ok(Answer::Issued(Box::new(issued)));
        }
        let proves = |method: &Method| to_show.iter().all(|name| profile.allows_method(name, *method).is_ok());
        let methods: Vec<Method> = config.challenges.iter().copied().filter(proves).collect();
        if methods.is_empty() {
            let why = "no challenge that is offered here can show all of these names: addresses take http-01, wildcards \
                       dns-01";
            return Err(CertMakerError::Invalid(why.to_owned()));
        }
        for name in to_show {
            services.limits.may_validate(account, name, now)?;
        }
        Ok(Answer::Challenges(self.challenge(account, asked, &methods).await?))
    }

    /// The same, but a key that is made waits to be fetched with [`CertMaker::private_key`].
    pub async fn order_and_keep(
        &self,
        permitted: &Permitted,
        from: Option<IpAddr>,
        asked: Asked,
    ) -> Result<Answer, CertMakerError> {
        let (services, owner) = (&self.services, permitted.actor().who);
        let room = services.deposits.has_room(&owner, services.clock.now());
        room.map_err(|full| Failure::Unavailable(full.to_string()))?;
        let mut answer = self.order(permitted, from, asked).await?;
        if let Answer::Issued(issued) = &mut answer
            && let Some(key) = issued.private_key.take()
        {
            services.deposits.put(issued.serial, owner, key, services.clock.now());
        }
        Ok(answer)
    }

    /// A certificate of the account, PEM.
    pub fn certificate(&self, permitted: &Permitted, serial: Serial) -> Result<String, CertMakerError> {
        let certificate = self.services.certificate(permitted, serial)?;
        let certificate = certificate.ok_or(CertMakerError::Missing("this account has no such certificate"))?;
        let parsed = Certificate::from_der(&certificate.der)
            .map_err(|error| Failure::Internal(format!("certificate {serial} is unreadable: {error}")))?;
        Ok(parsed.to_pem())
    }

    /// The key of a certificate of the account, if it waits to be fetched. It is not there a second time.
    pub fn private_key(&self, permitted: &Permitted, serial: Serial) -> Result<PrivateKey, CertMakerError> {
        let services = &self.services;
        let key = services.deposits.take(serial, &permitted.actor().who, services.clock.now());
        key.ok_or(CertMakerError::Missing("no private key waits here: each is given out once, within ten minutes"))
    }

    /// Validates every name of a challenge in this way, and issues. http-01 looks at `port`; 0 is 80. A
    /// challenge with a CSR can be solved again after a lost answer, for the same certificate.
    pub async fn solve(
        &self,
        permitted: &Permitted,
        id: &str,
        method: Method,
        port: u16,
    ) -> Result<Issued, CertMakerError> {
        let account = account(permitted)?;
        let config = &self.services.certmaker;
        let _alone = self.services.calls.alone(id).await;
        let (challenge, asked) = self.open_challenge(account, id, method)?;
        let port = if port == 0 { HTTP } else { port };
        if method == Method::CertMakerHttp01 && !config.allows_port(port) {
            let why = format!("port {port} is not among those that http-01 may look at here (http01_ports)");
            return Err(CertMakerError::Invalid(why));
        }
        let profile = self.services.profile(&config.profile)?;
        let port = Some(port).filter(|port| *port != HTTP);
        let proofs = self.prove(account, &profile, &challenge, &asked, port).await?;
        let completes = match (&asked.key, CallId::parse(&challenge.token[..CALL])) {
            (Key::Csr(_), Ok(call)) => Completes::Call(call),
            _ => Completes::Nothing,
        };
        let issued = self.issue(permitted, &profile, &asked, proofs, completes).await?;
        if asked.key == Key::Made {
            self.forget(id).await?;
        }
        Ok(issued)
    }

    /// Revokes a certificate of the account, or of anybody for a token that reaches everything. The reason
    /// is free text; the name of one of RFC 5280 is taken for it.
    pub async fn revoke(&self, permitted: &Permitted, serial: Serial, reason: &str) -> Result<(), CertMakerError> {
        let services = &self.services;
        let revoked = match services.store.get(&CERTIFICATES, serial.as_bytes())? {
            Some(row) if !certificates::reaches(permitted, &row.value) => return Err(CertMakerError::Foreign),
            Some(row) => row.value.revoked.is_some(),
            None => match services.store.get(&IMPORTED, serial.as_bytes())? {
                Some(_) if permitted.scope() != Scope::Everything => return Err(CertMakerError::Foreign),
                Some(row) => row.value.revoked.is_some(),
                None => return Err(CertMakerError::Invalid("no certificate has this serial number".to_owned())),
            },
        };
        if revoked {
            return Err(CertMakerError::Gone);
        }
        let deed = Deed::Revoke { reason: code(reason), invalidity: None };
        let reason: String = reason.chars().filter(|character| !character.is_control()).take(MAX_REASON).collect();
        tracing::info!(%serial, reason, "a revocation is asked for");
        match services.act(permitted, &[serial], deed).await.map_err(Failure::from)? {
            0 => Err(CertMakerError::Gone),
            _ => Ok(()),
        }
    }

    async fn issue(
        &self,
        permitted: &Permitted,
        profile: &Profile,
        asked: &Asked,
        proofs: Vec<NameEvidence>,
        completes: Completes,
    ) -> Result<Issued, CertMakerError> {
        let services = &self.services;
        let now = services.clock.now();
        let longest = profile.allows_validity(Requested::default(), services.issuer.now().validity(), now)?;
        let not_after = now.plus(u64::from(asked.days) * DAY - 1).min(longest.not_after());
        let is_name = |text: &String| asked.names.iter().any(|name| name.to_string() == *text);
        let wanted = Wanted {
            surface: "certmaker",
            profile: profile.name().to_owned(),
            key: match &asked.key {
                Key::Csr(der) => WantedKey::Csr(Box::new(csr(der)?)),
                Key::Made => WantedKey::Generate(profile.cheapest_key()),
            },
            names: Some(asked.names.clone()),
            common_name: asked
                .common_name
                .clone()
                .filter(|text| profile.gives_requested_common_name() && is_name(text)),
            requested: Requested { not_before: None, not_after: Some(not_after) },
            warrant: Warrant::Proved(proofs),
            completes,
            node: None,
        };
        Ok(services.issue(permitted, wanted).await?)
    }
}

/// The account, by the id of its token.
fn account(permitted: &Permitted) -> Result<&str, CertMakerError> {
    let why = "an account is an API token: send yours as X-Auth-Token";
    permitted.token().ok_or_else(|| CertMakerError::Invalid(why.to_owned()))
}

fn csr(der: &[u8]) -> Result<Csr, CertMakerError> {
    Ok(Csr::from_der(der).map_err(IssueFailure::from)?)
}

/// The evidence for a name that nobody looks at.
fn unseen(name: &Name, at: UnixTime) -> NameEvidence {
    let method = if name.is_loopback() { Method::Loopback } else { Method::Unproven };
    NameEvidence { name: name.clone(), method, at, validator: VERSION.to_owned(), seen: None, caa: None }
}

/// The code of a reason that a subscriber can give (RFC 5280 section 5.3.1), if the text is its name.
fn code(reason: &str) -> Option<u8> {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let reason = letters(reason);
    REASONS.iter().find(|(name, _)| letters(name) == reason).map(|(_, code)| *code)
}

const REASONS: [(&str, u8); 5] = [
    ("keyCompromise", 1),
    ("affiliationChanged", 3),
    ("superseded", 4),
    ("cessationOfOperation", 5),
    ("privilegeWithdrawn", 9),
];

/// Longest reason in the log, in characters.
const MAX_REASON: usize = 200;

/// The port of http-01 unless another one is named.
const HTTP: u16 = 80;

/// So much of a token names the call that solves its challenge: the longest name of a call.
const CALL: usize = 64;

/// Version of the code above, in the record of what nobody looks at.
const VERSION: &str = "certmaker/1";

impl From<LimitError> for CertMakerError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Store(error) => error.into(),
            LimitError::TooMuch(much) => much.into(),
        }
    }
}

impl From<Refusal> for CertMakerError {
    fn from(refusal: Refusal) -> Self {
        IssueFailure::from(refusal).into()
    }
}

impl From<StoreError> for CertMakerError {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<CommitError> for CertMakerError {
    fn from(error: CommitError) -> Self {
        Failure::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_cut_and_seven_if_nothing_is_said() {
        let read = [None, Some(0), Some(-5), Some(1), Some(90), Some(182), Some(183), Some(i64::MAX)].map(days);
        assert_eq!(read, [7, 7, 1, 1, 90, 182, 182, 182]);
    }

    #[test]
    fn a_reason_that_has_a_name_is_taken_for_it() {
        assert_eq!(code("keyCompromise"), Some(1));
        assert_eq!(code("Key Compromise"), Some(1));
        assert_eq!(code("superseded"), Some(4));
        for text in ["", "because", "cACompromise", "unspecified"] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
