//! Who administers: authentication by enrolled certificate, and the administrators themselves.

use std::ops::Bound;

use hsm::wire;
use policy::effects::UnixTime;
use policy::rights::{Actor, Scope, Verdict, permits};

pub use policy::rights::Permission;

pub use super::peer::{Peer, PeerCertificate};
use super::{RequestId, Services};
use crate::issuance::ca::CaError;
use crate::store::StoreError;
use crate::store::tables::{ADMINISTRATORS, CERTIFICATES};

/// Somebody who may do one thing. Only [`Services::permit`] makes one, so that a handler which
/// demands it cannot run before the question was asked.
#[derive(Debug)]
pub struct Permitted {
    who: Actor,
    request_id: RequestId,
}

impl Permitted {
    /// Somebody who may do everything, for tests of what lies behind the question.
    #[cfg(test)]
    pub(crate) fn for_tests(services: &Services) -> Self {
        let request_id = RequestId::generate(&services.random).unwrap();
        Self { who: Actor::Administrator("00".repeat(32)), request_id }
    }

    /// Somebody with a certificate of ours, for the same.
    #[cfg(test)]
    pub(crate) fn client_for_tests(services: &Services, fingerprint: String) -> Self {
        Self { who: Actor::Client(fingerprint), ..Self::for_tests(services) }
    }

    /// Who acts, in the words of the journal.
    pub fn actor(&self) -> wire::Actor {
        wire::Actor { who: self.who.to_string(), request_id: self.request_id.to_string() }
    }
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No certificate was shown.
    #[error("administrators are known by their certificates, and none was shown: use the profile of your enrolment")]
    Anonymous,
    /// The certificate's time is over.
    #[error("your certificate has expired, so it opens `status` and `unseal` only: have yourself enrolled again")]
    Expired,
    /// An administrator's rights do not reach that far.
    #[error("an administrator may not do this")]
    Forbidden,
    /// The certificate is revoked.
    #[error("your certificate is revoked: have yourself enrolled again")]
    Revoked,
    /// The administrator was removed.
    #[error("you were removed from the administrators")]
    Removed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate is nobody's whom we know.
    #[error("this certificate is not enrolled: an administrator must be enrolled with `signet-signer admin add`")]
    Unknown,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// When he was enrolled.
    pub enrolled: UnixTime,
    /// SHA-256 of his certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject common name of his certificate.
    pub name: String,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

/// Why an administrator was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The signer or the store did not do it.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Nobody would be left.
    #[error("this is the last administrator: enrol another one first, with `signet-signer admin add`")]
    Last,
    /// There is no such administrator, or no longer.
    #[error("no administrator has this fingerprint")]
    Unknown,
}

impl Services {
    /// Whether the one at the other end of the connection may do this to everything there is.
    pub fn permit(&self, peer: &Peer, request: &RequestId, permission: Permission) -> Result<Permitted, Denied> {
        let (who, short_of) = self.identify(peer, permission)?;
        match permits(&who, permission) {
            Verdict::Granted(Scope::Everything) => Ok(Permitted { who, request_id: request.clone() }),
            Verdict::Granted(Scope::Own) | Verdict::ProveYourself | Verdict::Refused => Err(short_of),
        }
    }

    /// Who is at the other end, and what he lacks if that is not enough. An expired certificate is
    /// good for looking at the state and for unsealing: nobody is locked out of a sealed host.
    fn identify(&self, peer: &Peer, permission: Permission) -> Result<(Actor, Denied), StoreError> {
        let Some(certificate) = &peer.certificate else { return Ok((Actor::Anonymous, Denied::Anonymous)) };
        let fingerprint = certificate.fingerprint.clone();
        let known = certificate.serial.map(|serial| self.store.get(&CERTIFICATES, serial.as_bytes())).transpose()?;
        if known.flatten().is_some_and(|known| known.value.revoked.is_some()) {
            return Ok((Actor::Anonymous, Denied::Revoked));
        }
        let opens_expired = matches!(permission, Permission::ReadStatus | Permission::Unseal);
        if !certificate.validity.contains(self.clock.now()) && !opens_expired {
            return Ok((Actor::Anonymous, Denied::Expired));
        }
        Ok(match self.store.get(&ADMINISTRATORS, &fingerprint)? {
            None => (Actor::Client(fingerprint), Denied::Unknown),
            Some(record) if record.value.removed.is_some() => (Actor::Client(fingerprint), Denied::Removed),
            Some(_) => (Actor::Administrator(fingerprint), Denied::Forbidden),
        })
    }

    /// Every administrator, removed ones included, by fingerprint.
    pub fn administrators(&self, _permitted: &Permitted) -> Result<Vec<Administrator>, StoreError> {
        self.all_administrators()
    }

    /// Removes an administrator; from the next request on he is refused.
    pub async fn remove_administrator(&self, permitted: &Permitted, fingerprint: &str) -> Result<(), RemoveError> {
        // Asked again when it is his turn: two who remove each other at once must not both succeed.
        let allowed = || {
            let all = self.all_administrators().map_err(CaError::from)?;
            let active: Vec<_> = all.iter().filter(|one| one.removed.is_none()).collect();
            match active.iter().any(|one| one.fingerprint == fingerprint) {
                true if active.len() == 1 => Err(RemoveError::Last),
                true => Ok(()),
                false => Err(RemoveError::Unknown),
            }
        };
        allowed()?;
        self.ca.remove_administrator(fingerprint, permitted.actor(), allowed).await?;
        tracing::info!(who = permitted.actor().who, fingerprint, "administrator removed");
        Ok(())
    }

    fn all_administrators(&self) -> Result<Vec<Administrator>, StoreError> {
        let rows = self.store.scan(&ADMINISTRATORS, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
        let read = rows.into_iter().map(|(key, record)| Administrator {
            enrolled: record.value.enrolled,
            fingerprint: String::from_utf8_lossy(&key).into_owned(),
            name: record.value.name,
            removed: record.value.removed,
        });
        Ok(read.collect())
    }
}

/// Administrators in one list: far more than a CA has, removed ones included.
const MOST: usize = 10_000;
