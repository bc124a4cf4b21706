//! Revocation: journalled before it takes effect, then recorded in the store, which learns of it
//! from the journal alone (J3). CRL and OCSP objects follow from the store.

use hsm::wire::{Act, Actor};
use policy::effects::UnixTime;
use policy::serial::Serial;

use crate::issuance::ca::{Ca, CaError, Done};
use crate::store::Store;
use crate::store::tables::CERTIFICATES;

/// Revokes a certificate as of `at`; `reason` is an RFC 5280 section 5.3.1 code. When it returns,
/// the journal and the store have it. A certificate that is revoked already stays as it is, with
/// the reason that it has. Works while sealed; [`CaError::Unknown`] for a serial never issued.
pub async fn revoke(
    ca: &Ca,
    store: &Store,
    serial: Serial,
    reason: Option<u8>,
    at: UnixTime,
    actor: Actor,
) -> Result<Done, CaError> {
    let revoked = || match store.get(&CERTIFICATES, serial.as_bytes())? {
        Some(record) => Ok(record.value.revoked.is_some()),
        None => Err(CaError::Unknown("certificate")),
    };
    ca.act_once(Act::Revoke { serials: vec![serial], reason, at, invalidity_date: None }, actor, revoked).await
}
