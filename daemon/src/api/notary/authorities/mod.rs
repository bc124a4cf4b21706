//! `/api/v1/certificate_authorities`: issuing CAs. Retired ones are not shown, unless they were revoked.

pub(super) mod certificate;
pub(super) mod create;
pub(super) mod crl;
pub(super) mod list;
pub(super) mod remove;
pub(super) mod revoke;
pub(super) mod set;
pub(super) mod show;
pub(super) mod sign;

use policy::effects::UnixTime;
use serde::Serialize;

use super::Notary;
use super::error::Error;
use crate::service::Failure;
use crate::service::authorities::{Authority, Standing};
use crate::service::rights::Permitted;

/// A CA, as both generations of the dialect write it.
#[derive(Serialize)]
pub(super) struct View {
    id: u32,
    enabled: bool,
    /// Of the older generation.
    status: &'static str,
    certificate: String,
    csr: String,
    crl: String,
}

impl View {
    async fn new(notary: &Notary, authority: Authority) -> Result<Self, Error> {
        let crl = match notary.authority_crl(authority.number).await {
            Ok(crl) => crl,
            // It has none yet.
            Err(Failure::Missing(_)) => String::new(),
            Err(failure) => return Err(failure.into()),
        };
        Ok(Self {
            id: authority.number,
            enabled: authority.standing == Standing::Enabled,
            status: status(&authority, notary.clock.now()),
            certificate: authority.chain.concat(),
            csr: authority.csr.unwrap_or_default(),
            crl,
        })
    }
}

fn status(authority: &Authority, now: UnixTime) -> &'static str {
    match authority.standing {
        Standing::Pending | Standing::Planned => "pending",
        _ if authority.not_after.is_some_and(|end| end < now) => "expired",
        Standing::Enabled => "active",
        _ => "legacy",
    }
}

fn is_shown(authority: &Authority) -> bool {
    authority.standing != Standing::Retired || authority.revoked.is_some()
}

/// The CA of this number, if the dialect shows it.
fn shown(notary: &Notary, permitted: &Permitted, id: u64) -> Result<Authority, Error> {
    let number = u32::try_from(id).map_err(|_| Error::missing())?;
    let authority = notary.authority(permitted, number)?;
    if is_shown(&authority) { Ok(authority) } else { Err(Error::missing()) }
}
