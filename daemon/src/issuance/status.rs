//! What `revocation` has the CA signer sign, and what it asks of the journal: behind the same gate as
//! certificates (J3).

use hsm::client::Parcel;
use hsm::wire::{Bounds, CrlRequest, KeyStatus, OcspRequest, Request, Response, SealedPaper};

use super::ca::{Ca, CaError, unexpected};
use crate::store::tables::JOURNALS;

/// What a signer says of itself that matters to what it signs about revocation.
#[derive(Clone, Debug)]
pub struct Means {
    /// How far what it signs may reach.
    pub bounds: Bounds,
    /// Its keys.
    pub keys: Vec<KeyStatus>,
    /// How many signatures it makes at once.
    pub sessions: u16,
}

impl Ca {
    /// Has a CRL signed; its signature is durably journalled (J1).
    pub(crate) async fn sign_crl(&self, request: CrlRequest, paper: SealedPaper) -> Result<Vec<u8>, CaError> {
        let ready = self.ready().await?;
        match self.ask(Some(ready.epoch), Parcel::with(Request::Crl(request), paper)).await? {
            Response::Crl { signature, .. } => Ok(signature),
            other => Err(unexpected(&other)),
        }
    }

    /// Has OCSP responses signed, in one entry of the journal; a signature for each.
    pub(crate) async fn sign_ocsp(&self, request: OcspRequest) -> Result<Vec<Vec<u8>>, CaError> {
        let (ready, count) = (self.ready().await?, request.responses.len());
        match self.ask(Some(ready.epoch), Request::Ocsp(request)).await? {
            Response::Ocsp { signatures, .. } if signatures.len() == count => Ok(signatures),
            other => Err(unexpected(&other)),
        }
    }

    /// Has the OCSP key certified once more. When it returns, the store has the certificate.
    pub(crate) async fn renew_responder(&self, key: &str, actor: hsm::wire::Actor) -> Result<Vec<u8>, CaError> {
        let ready = self.ready().await?;
        match self.ask(Some(ready.epoch), Request::OcspCertificate { key: key.to_owned(), actor }).await? {
            Response::Certificate { certificate, .. } => {
                self.catch_up().await?;
                Ok(certificate)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The journal that the store follows, and how far; catches up if it has not yet.
    pub(crate) async fn position(&self) -> Result<(String, u64), CaError> {
        let ready = self.ready().await?;
        let row = self.store().get(&JOURNALS, &ready.journal.0)?;
        Ok((ready.journal.0, row.map_or(0, |row| row.value.seq)))
    }

    /// Asks the signer what it has.
    pub(crate) async fn means(&self) -> Result<Means, CaError> {
        let status = self.status().await?;
        Ok(Means { bounds: status.bounds, keys: status.keys, sessions: status.sessions })
    }
}
