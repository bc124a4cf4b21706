//! Certificates for nodes: by a seed, by an administrator who registers one, for the holder of one, and
//! for anybody where the configuration says so.

use policy::csr::Csr;
use policy::name::Name;
use policy::registration::{CommonName, Registration};
use policy::serial::Serial;
use policy::validity::Requested;

use super::super::certificates::{Certificate, read};
use super::super::issue::{Completes, IssueFailure, Issued, Wanted, WantedKey, Warrant};
use super::super::peer::Peer;
use super::super::revocation::Deed;
use super::super::rights::Permitted;
use super::super::{Failure, Services};
use super::seeds::Presented;
use super::{NodeState, missing};
use crate::revocation;
use crate::store::tables::CERTIFICATES;

/// What a node asks for.
pub struct Request {
    /// The key, and the names that it asks for.
    pub csr: Csr,
    /// Name of the profile, if one was named.
    pub profile: Option<String>,
    /// The surface, for the metrics.
    pub surface: &'static str,
}

/// What it got.
pub struct Certified {
    /// The certificate.
    pub issued: Issued,
    /// Name of its profile.
    pub profile: String,
}

/// Why it got nothing.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// What is asked for is not registered, or cannot be had now.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// It was not issued.
    #[error(transparent)]
    Issue(#[from] IssueFailure),
    /// The seed is not good.
    #[error("{0}")]
    Seed(String),
}

impl Services {
    /// A certificate for the node whose seed this is, for names that are registered. The seed is used up
    /// if a certificate is signed. Whoever repeats the request with the same key gets the same certificate.
    pub async fn certify_by_seed(
        &self,
        asked: &Permitted,
        seed: &str,
        request: Request,
    ) -> Result<Certified, CertifyError> {
        let registration = self.registration_of_seed(seed).map_err(seed_error)?;
        let permitted = asked.as_node(&registration.common_name);
        self.asks_for_its_own(&request, &registration)?;
        let held = match self.hold_seed(seed, permitted.request_id()).await.map_err(seed_error)? {
            Presented::Held(held) => held,
            Presented::Used(serial) => return self.made_with_seed(serial, &request),
        };
        let (key, node) = (WantedKey::Csr(Box::new(request.csr.clone())), registration.common_name.clone());
        let names = request.csr.names().to_vec();
        let wanted = self.wanted(&registration, names, key, Warrant::Registration, request.surface);
        match self.issue(&permitted, wanted).await {
            Ok(issued) => {
                self.settle(held, issued.serial).await?;
                self.stays_registered(&permitted, &node, issued.serial).await?;
                tracing::info!(%node, serial = %issued.serial, "a node was certified by its seed");
                Ok(Certified { issued, profile: registration.profile })
            }
            Err(failure) => {
                if let Err(error) = self.give_back(held).await {
                    tracing::warn!(%error, %node, "a seed could not be given back at once: it is good again soon");
                }
                Err(failure.into())
            }
        }
    }

    /// A certificate for whoever asks, on the strength of nothing: for closed networks. Only from profiles
    /// that take [`Method::Unproven`](policy::evidence::Method::Unproven); `usual` is the one of a request
    /// that names none.
    pub async fn certify_unproven(
        &self,
        permitted: &Permitted,
        request: Request,
        usual: String,
    ) -> Result<Certified, CertifyError> {
        let profile = request.profile.unwrap_or(usual);
        let names: Vec<String> = request.csr.names().iter().map(Name::to_string).collect();
        tracing::warn!(
            profile,
            names = names.join(","),
            "open mode: whoever asks gets a certificate without any proof"
        );
        let wanted = Wanted {
            surface: request.surface,
            common_name: self.chosen(&profile, request.csr.common_name()),
            names: Some(request.csr.names().to_vec()),
            profile: profile.clone(),
            key: WantedKey::Csr(Box::new(request.csr)),
            requested: Requested::default(),
            warrant: Warrant::Unproven,
            completes: Completes::Nothing,
            node: None,
        };
        Ok(Certified { issued: self.issue(permitted, wanted).await?, profile })
    }

    /// Registers a node and makes its first certificate, for its own name and `names`, on the word of the
    /// administrator who asks. A node that was registered so and has no certificate yet gets it.
    pub async fn register_and_certify(
        &self,
        permitted: &Permitted,
        registration: Registration,
        names: &[Name],
        key: WantedKey,
        surface: &'static str,
    ) -> Result<Issued, CertifyError> {
        let mut names: Vec<Name> = names.iter().cloned().chain(registration.common_name.name()).collect();
        names.sort();
        names.dedup();
        self.registrable(&registration)?;
        // What policy would refuse is not registered.
        let profiles = self.profiles.now();
        let profile = &profiles[&registration.profile];
        names.iter().try_for_each(|name| profile.allows_name(name)).map_err(IssueFailure::from)?;
        if let WantedKey::Csr(csr) = &key {
            profile.allows_key(csr.key()).map_err(IssueFailure::from)?;
        }
        let node = registration.common_name.clone();
        match self.node(permitted, &node) {
            Ok(known) if known.state == NodeState::Registered && known.registration == registration => {}
            _ => drop(self.register_node(permitted, registration.clone()).await?),
        }
        let wanted = self.wanted(&registration, names, key, Warrant::Administrator { replaces: None }, surface);
        match self.issue(permitted, wanted).await {
            Ok(issued) => {
                self.stays_registered(permitted, &node, issued.serial).await?;
                Ok(issued)
            }
            Err(failure) => {
                if matches!(failure, IssueFailure::Refused(_) | IssueFailure::Csr(_)) {
                    self.delete_node(permitted, &node).await?;
                }
                Err(failure.into())
            }
        }
    }

    /// A certificate like the one that is held, for another key or the same; the old one is revoked as
    /// superseded once the new one is there.
    pub async fn supersede(
        &self,
        permitted: &Permitted,
        held: &Certificate,
        key: WantedKey,
        surface: &'static str,
    ) -> Result<Issued, CertifyError> {
        let issued = self.renew(permitted, surface, held.serial, key, Requested::default()).await?;
        let (now, actor) = (self.clock.now(), permitted.actor());
        let superseded = Deed::Revoke { reason: Some(SUPERSEDED), invalidity: None };
        revocation::act(&self.ca, &self.store, &[held.serial], superseded, now, &actor).await.map_err(Failure::from)?;
        self.revocation.wake();
        Ok(issued)
    }

    /// The certificate that whoever asks shows on the connection, if it is one that a profile made.
    pub fn own_certificate(&self, permitted: &Permitted, peer: &Peer) -> Result<Option<Certificate>, Failure> {
        let Some(shown) = peer.certificate.as_ref().filter(|shown| permitted.shows(&shown.fingerprint)) else {
            return Ok(None);
        };
        let Some(serial) = shown.serial else { return Ok(None) };
        self.public_certificate(permitted, serial)
    }

    fn wanted(
        &self,
        registration: &Registration,
        names: Vec<Name>,
        key: WantedKey,
        warrant: Warrant,
        surface: &'static str,
    ) -> Wanted {
        Wanted {
            surface,
            profile: registration.profile.clone(),
            key,
            names: Some(names),
            common_name: self.chosen(&registration.profile, Some(registration.common_name.as_str())),
            requested: Requested::default(),
            warrant,
            completes: Completes::Nothing,
            node: Some(registration.common_name.to_string()),
        }
    }

    /// A common name, where the profile lets it be chosen.
    fn chosen(&self, profile: &str, common_name: Option<&str>) -> Option<String> {
        let profiles = self.profiles.now();
        let profile = profiles.get(profile)?;
        common_name.filter(|_| profile.gives_requested_common_name()).map(str::to_owned)
    }

    /// Whether a request is for what is registered.
    fn asks_for_its_own(&self, request: &Request, registration: &Registration) -> Result<(), Failure> {
        let (node, csr) = (&registration.common_name, &request.csr);
        if let Some(profile) = request.profile.as_ref().filter(|profile| **profile != registration.profile) {
            let why =
                format!("the node `{node}` is registered for the profile `{}`, not `{profile}`", registration.profile);
            return Err(Failure::Refused(why));
        }
        let mut names = csr.names().iter();
        names.try_for_each(|name| registration.allows_name(name)).map_err(|refusal| Failure::Refused(refusal.why))?;
        let of_node = |text: &str| CommonName::parse(text).is_ok_and(|name| name == *node);
        let of_names = |text: &str| csr.names().iter().any(|name| name.to_string() == text.to_ascii_lowercase());
        match csr.common_name() {
            Some(text) if !of_node(text) && !of_names(text) => {
                let text: String = text.chars().take(64).collect();
                Err(Failure::Refused(format!("the node `{node}` is not registered for the common name {text:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The certificate that was made with a seed, for whoever repeats the request with the same key.
    fn made_with_seed(&self, serial: Serial, request: &Request) -> Result<Certified, CertifyError> {
        let used = || CertifyError::Seed("this seed was used: ask an administrator for another".into());
        let row = self.store.get(&CERTIFICATES, serial.as_bytes()).map_err(Failure::from)?.ok_or_else(used)?;
        let profile = row.value.profile.clone();
        let certificate = read(row.value).map_err(Failure::from)?;
        let parsed = policy::tbs::Certificate::from_der(&certificate.der).map_err(|_| used())?;
        if certificate.revoked.is_some() || parsed.key().ok().is_none_or(|key| key != *request.csr.key()) {
            return Err(used());
        }
        let chain = self.chain(&certificate.der)?;
        Ok(Certified { issued: Issued { serial, certificate: certificate.der, chain, private_key: None }, profile })
    }

    /// Revokes what was signed for a node that was deleted meanwhile.
    async fn stays_registered(&self, permitted: &Permitted, node: &CommonName, serial: Serial) -> Result<(), Failure> {
        if self.active_node(node)?.is_some() {
            return Ok(());
        }
        let deed = Deed::Revoke { reason: Some(super::CESSATION_OF_OPERATION), invalidity: None };
        let (now, actor) = (self.clock.now(), permitted.actor());
        revocation::act(&self.ca, &self.store, &[serial], deed, now, &actor).await?;
        self.revocation.wake();
        Err(missing(node))
    }
}

/// superseded, RFC 5280 section 5.3.1.
const SUPERSEDED: u8 = 4;

/// A refusal of a seed is about who asks, not about what.
fn seed_error(failure: Failure) -> CertifyError {
    match failure {
        Failure::Refused(why) => CertifyError::Seed(why),
        other => other.into(),
    }
}
