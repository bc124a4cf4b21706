//! The administrators themselves: enrolled, listed, given roles, removed.

use std::ops::Bound;

use hsm::wire::EnrolmentRequest;
use policy::csr::{Csr, CsrError};
use policy::effects::UnixTime;
use policy::rights::Actor;

pub use super::peer::{Peer, PeerCertificate};
pub use super::rights::{Caller, Denied, Permission, Permitted, Role, Scope};

use super::{Services, peer::hex};
use crate::issuance::ca::CaError;
use crate::store::StoreError;
use crate::store::tables::{ADMINISTRATORS, AdministratorRecord};

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// When he was enrolled.
    pub enrolled: UnixTime,
    /// SHA-256 of his certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject common name of his certificate.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

/// An administrator who was enrolled, and his certificate, DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Who.
    pub administrator: Administrator,
    /// His certificate.
    pub certificate: Vec<u8>,
}

/// A CSR that can be read and whose proof of possession holds, DER. The signer checks it again.
pub struct SoundCsr(Vec<u8>);

impl SoundCsr {
    /// Checks it.
    pub fn new(der: Vec<u8>) -> Result<Self, CsrError> {
        Csr::from_der(&der).map(|_| Self(der))
    }
}

/// Why an administrator is not as he was to be.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// The signer or the store did not do it.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// He shows no administrator's certificate.
    #[error("only an administrator's own certificate is renewed here: connect with it")]
    NobodysOwn,
    /// Nobody would be left who enrols others.
    #[error("this is the last administrator: enrol another one first, with `signetctl admin add`")]
    Last,
    /// He was removed, and what is over stays as it was.
    #[error("this administrator was removed: enrol him again with `signetctl admin add`")]
    Removed,
    /// There is no such administrator, or no longer.
    #[error("no administrator has this fingerprint")]
    Unknown,
}

impl Services {
    /// Has the holder of the CSR's key certified and enrolled.
    pub async fn enrol_administrator(
        &self,
        permitted: &Permitted,
        name: &str,
        role: Role,
        csr: &SoundCsr,
    ) -> Result<Enrolled, AdministratorError> {
        let request = EnrolmentRequest {
            issuer: self.issuer_key.clone(),
            name: name.to_owned(),
            role,
            csr: csr.0.clone(),
            actor: permitted.actor(),
        };
        let certificate = self.ca.enrol(request).await?;
        let fingerprint = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate).as_ref());
        let row = self.store.get(&ADMINISTRATORS, &fingerprint).map_err(CaError::from)?;
        let record = row.ok_or(AdministratorError::Unknown)?.value;
        tracing::info!(who = permitted.actor().who, fingerprint, %role, "administrator enrolled");
        Ok(Enrolled { administrator: administrator(fingerprint, record), certificate })
    }

    /// Gives an administrator a certificate for another key, with his name and role. The one that he
    /// has stays good until it ends or is removed, so that a lost answer locks nobody out.
    pub async fn renew_administrator(
        &self,
        permitted: &Permitted,
        csr: &SoundCsr,
    ) -> Result<Enrolled, AdministratorError> {
        let Actor::Administrator(role, fingerprint) = permitted.who() else {
            return Err(AdministratorError::NobodysOwn);
        };
        let before = self.store.get(&ADMINISTRATORS, fingerprint).map_err(CaError::from)?;
        let name = before.ok_or(AdministratorError::Unknown)?.value.name;
        self.enrol_administrator(permitted, &name, *role, csr).await
    }

    /// Every administrator, removed ones included, by fingerprint.
    pub fn administrators(&self, _permitted: &Permitted) -> Result<Vec<Administrator>, StoreError> {
        self.all_administrators()
    }

    /// The administrator with this fingerprint, if there is one.
    pub fn administrator(
        &self,
        _permitted: &Permitted,
        fingerprint: &str,
    ) -> Result<Option<Administrator>, StoreError> {
        let row = self.store.get(&ADMINISTRATORS, fingerprint)?;
        Ok(row.map(|row| administrator(fingerprint.to_owned(), row.value)))
    }

    /// Gives an administrator another role, from the next request on.
    pub async fn set_role(
        &self,
        permitted: &Permitted,
        fingerprint: &str,
        role: Role,
    ) -> Result<(), AdministratorError> {
        let allowed = || match role {
            Role::Administrator => self.active(fingerprint).map(drop),
            Role::Auditor | Role::Operator => self.dispensable(fingerprint),
        };
        allowed()?;
        self.ca.set_role(fingerprint, role, permitted.actor(), allowed).await?;
        tracing::info!(who = permitted.actor().who, fingerprint, %role, "administrator given a role");
        Ok(())
    }

    /// Removes an administrator; from the next request on he is refused, and what he holds open is cut.
    pub async fn remove_administrator(
        &self,
        permitted: &Permitted,
        fingerprint: &str,
    ) -> Result<(), AdministratorError> {
        // Asked again when it is his turn: two who remove each other at once must not both succeed.
        let allowed = || match self.dispensable(fingerprint) {
            Err(AdministratorError::Removed) => Err(AdministratorError::Unknown),
            other => other,
        };
        allowed()?;
        self.ca.remove_administrator(fingerprint, permitted.actor(), allowed).await?;
        tracing::info!(who = permitted.actor().who, fingerprint, "administrator removed");
        Ok(())
    }

    /// Whether somebody is left who enrols others without him.
    fn dispensable(&self, fingerprint: &str) -> Result<(), AdministratorError> {
        let one = self.active(fingerprint)?;
        let all = self.all_administrators().map_err(CaError::from)?;
        let enrols = |one: &&Administrator| one.removed.is_none() && one.role == Role::Administrator;
        match all.iter().filter(enrols).count() {
            1 if one.role == Role::Administrator => Err(AdministratorError::Last),
            _ => Ok(()),
        }
    }

    /// The administrator with this fingerprint, who was not removed.
    fn active(&self, fingerprint: &str) -> Result<Administrator, AdministratorError> {
        match self.store.get(&ADMINISTRATORS, fingerprint).map_err(CaError::from)? {
            None => Err(AdministratorError::Unknown),
            Some(row) if row.value.removed.is_some() => Err(AdministratorError::Removed),
            Some(row) => Ok(administrator(fingerprint.to_owned(), row.value)),
        }
    }

    fn all_administrators(&self) -> Result<Vec<Administrator>, StoreError> {
        let rows = self.store.scan(&ADMINISTRATORS, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
        let read =
            rows.into_iter().map(|(key, row)| administrator(String::from_utf8_lossy(&key).into_owned(), row.value));
        Ok(read.collect())
    }
}

fn administrator(fingerprint: String, record: AdministratorRecord) -> Administrator {
    let AdministratorRecord { name, role, enrolled, removed } = record;
    Administrator { enrolled, fingerprint, name, role, removed }
}

/// Administrators in one list: far more than a CA has, removed ones included.
const MOST: usize = 10_000;
