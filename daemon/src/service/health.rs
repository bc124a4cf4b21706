//! Live and ready, kept apart: live means that restarting would not help; ready means that a
//! certificate can be issued now.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::Serialize;

pub use hsm::wire::{KeyStatus, Measure, SealStatus, Status};

use super::Services;
use super::peer::hex;
use crate::issuance::INACTIVE;
use crate::store::tables::JOURNALS;

/// How each signer was when it was last asked, by its name. Boot keeps it fresh.
#[derive(Default)]
pub struct Vitals(RwLock<BTreeMap<&'static str, Vital>>);

/// What a signer said, or a sentence that says why it said nothing.
pub type Vital = Result<Status, String>;

impl Vitals {
    /// Notes what came of asking.
    pub fn note(&self, signer: &'static str, vital: Vital) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(signer, vital);
    }

    /// What was noted last.
    pub fn all(&self) -> BTreeMap<&'static str, Vital> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The process works.
    pub live: bool,
    /// Certificates can be issued.
    pub ready: bool,
    /// `sealed`, `unsealed`, `faulted` or `unreachable`.
    pub seal: &'static str,
    /// Why it is not ready: a sentence each, without anything that only administrators may know.
    pub reasons: Vec<String>,
    /// What relying parties are served that is not right, or cannot be renewed: a sentence each.
    /// Certificates can be issued all the same.
    pub revocation: Vec<String>,
}

impl Services {
    /// How the daemon is. Asks no signer, so that it answers at once whatever else hangs.
    pub fn health(&self) -> Health {
        let mut reasons = Vec::new();
        let usable = self.key_usable();
        match usable {
            Err(why) => reasons.push(why.to_string()),
            Ok(()) if self.ca.is_active(&self.issuer_key).is_ok_and(|active| !active) => {
                reasons.push(INACTIVE.to_owned());
            }
            Ok(()) => {}
        }
        if self.store.fault().is_some() || self.store.get(&JOURNALS, b"").is_err() {
            reasons.push("the store failed: its administrators see how in the log".to_owned());
        }
        for (signer, vital) in self.vitals.all() {
            match vital {
                Ok(status) if status.journal_fault.is_some() => {
                    reasons.push(format!("the journal of signer `{signer}` cannot be written, so nothing is signed"));
                }
                Err(_) if signer != CA => reasons.push(format!("the signer `{signer}` cannot be reached")),
                Ok(_) | Err(_) => {}
            }
        }
        reasons.extend(self.different_profile().map(|name| {
            format!("signetd and the signer have read different files of the profile `{name}`: reload both")
        }));
        Health {
            live: true,
            ready: reasons.is_empty(),
            seal: usable.map_or_else(|why| why.word(), |()| "unsealed"),
            reasons,
            revocation: self.revocation.faults(),
        }
    }
}

impl Services {
    /// A profile that orders may name and that is not the same here and in the CA's signer.
    fn different_profile(&self) -> Option<String> {
        let vitals = self.vitals.all();
        let theirs = &vitals.get(CA)?.as_ref().ok()?.profiles;
        let profiles = self.profiles.now();
        let differs = |name: &&String| {
            let ours = profiles.get(*name).map(|profile| hex(&profile.digest()));
            theirs
                .iter()
                .find(|status| status.name == **name)
                .is_none_or(|status| Some(&status.sha256) != ours.as_ref())
        };
        // One without an issuing key, or of a test, says nothing of profiles.
        self.acme.profiles.iter().filter(|_| !theirs.is_empty()).find(differs).cloned()
    }
}

/// The name under which the CA's signer is noted.
pub const CA: &str = "ca";

/// The name under which the TLS signer is noted.
pub const TLS: &str = "tls";

#[cfg(test)]
mod tests {
    use policy::key::KeyAlgorithm;

    use super::*;
    use crate::testing::{Authority, KeyPair, Signer, services};

    #[tokio::test]
    async fn health_says_why_it_is_not_ready_and_metrics_agree() {
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer::start(directory.path(), KeyPair::generate(KeyAlgorithm::P256));
        let services = services(directory.path(), &Authority::new(), signer.path.clone());

        let health = services.health();
        assert!(health.live && !health.ready);
        assert_eq!(health.seal, "unreachable");

        let sealed = services.ca.status().await.unwrap();
        services.vitals.note(CA, Ok(sealed.clone()));
        services.vitals.note(TLS, Err("/run/secret/path is not there".to_owned()));
        let health = services.health();
        assert_eq!((health.ready, health.seal), (false, "sealed"));
        assert_eq!(health.reasons, ["strongbox sealed", "the signer `tls` cannot be reached"]);
        let metrics = services.render_metrics();
        for line in [
            "signet_seal_state{state=\"sealed\"} 1\n",
            "signet_seal_state{state=\"unsealed\"} 0\n",
            "signet_signer_up{signer=\"ca\"} 1\n",
            "signet_signer_up{signer=\"tls\"} 0\n",
        ] {
            assert!(metrics.contains(line), "{line}{metrics}");
        }

        signer.state.lock().unwrap().seal = SealStatus::Unsealed;
        services.ca.status().await.unwrap();
        services.vitals.note(TLS, Ok(sealed.clone()));
        assert_eq!(
            services.health(),
            Health { live: true, ready: true, seal: "unsealed", reasons: Vec::new(), revocation: Vec::new() }
        );

        services.vitals.note(CA, Ok(Status { journal_fault: Some("disk full".to_owned()), ..sealed }));
        let health = services.health();
        assert!(!health.ready && health.live && health.reasons[0].contains("journal"), "{health:?}");
    }
}
