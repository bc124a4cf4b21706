//! What the holder of a certificate may do with it.

pub(super) mod certificate;
pub(super) mod renew;
pub(super) mod revoke;
pub(super) mod status;

use super::Upki;
use super::error::Error;
use crate::service::certificates::Certificate;
use crate::service::peer::Peer;
use crate::service::rights::Permitted;

/// The certificate that was shown.
fn shown(upki: &Upki, permitted: &Permitted, peer: &Peer) -> Result<Certificate, Error> {
    let found = upki.own_certificate(permitted, peer)?;
    found.ok_or_else(|| Error::new(http::StatusCode::BAD_REQUEST, "INVALID_CERT", NOT_OURS))
}

const NOT_OURS: &str = "the certificate that you show is not one that this CA issued from a profile";
