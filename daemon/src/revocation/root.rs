//! The root's CRL: signed on the console while the root's token is attached, and served from its file.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hyper::body::Bytes;
use policy::crl::{self, Facts};
use policy::effects::UnixTime;
use policy::tbs::Issuer;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use super::schedule::Last;

/// The file of the root's CRL. It is read again when it has changed.
pub struct RootCrl {
    path: PathBuf,
    issuer: Issuer,
    read: Mutex<Option<(SystemTime, Result<RootList, String>)>>,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootList {
    /// DER.
    pub der: Bytes,
    /// Its number; 0 if it has none.
    pub number: u64,
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its nextUpdate.
    pub next_update: UnixTime,
    /// How many certificates it lists.
    pub entries: u64,
}

impl RootList {
    /// What the schedule needs of it.
    pub fn last(&self) -> Last {
        Last { this_update: self.this_update, next_update: self.next_update }
    }
}

impl RootCrl {
    /// The file at `path`, which the root with this certificate signed.
    pub fn new(path: PathBuf, issuer: Issuer) -> Self {
        Self { path, issuer, read: Mutex::new(None) }
    }

    /// The root.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// What the file holds now, or a sentence that says why it cannot be served. Blocks.
    pub fn current(&self) -> Result<RootList, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", self.path.display());
        let changed = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        let changed = changed.map_err(|error| wrong(&error))?;
        // Whoever panicked while he held it left it whole.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, known)) = &*read
            && *at == changed
        {
            return known.clone();
        }
        let list = std::fs::read(&self.path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| parse(bytes, &self.issuer))
            .map_err(|why| wrong(&why));
        *read = Some((changed, list.clone()));
        list
    }
}

fn parse(bytes: Vec<u8>, issuer: &Issuer) -> Result<RootList, String> {
    let der = match bytes.starts_with(b"-----BEGIN") {
        true => CertificateRevocationListDer::from_pem_slice(&bytes).map_err(|error| error.to_string())?.to_vec(),
        false => bytes,
    };
    let facts = crl::verify(der.as_slice(), issuer, &mut |_| {}).map_err(|error| error.to_string())?;
    let Facts { number, this_update, next_update, entries, .. } = facts;
    Ok(RootList { der: der.into(), number: number.unwrap_or_default(), this_update, next_update, entries })
}
