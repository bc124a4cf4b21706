//! `POST client/renew`: a certificate like the one that the client shows, which is revoked as superseded.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;

use super::super::Upki;
use super::super::answer::Data;
use super::super::body::{Optional, Refusal};
use super::super::error::Error;
use super::super::issued::View;
use crate::api::access::{PermittedOwn, RenewOwn};
use crate::service::issue::WantedKey;
use crate::service::peer::Peer;

pub(in super::super) async fn renew(
    permitted: PermittedOwn<RenewOwn>,
    State(upki): State<Upki>,
    Extension(peer): Extension<Arc<Peer>>,
    Optional(mut fields): Optional,
) -> Result<Data<View>, Refusal> {
    // The profile is that of the certificate, whatever is sent: so it is in uPKI, where it is `server`.
    let _ = fields.text("profile");
    let csr = fields.text("csr");
    fields.end()?;
    let certificate = super::shown(&upki, &permitted, &peer)?;
    let key = match csr {
        Some(csr) => WantedKey::csr(csr.as_bytes())?,
        None => {
            let profiles = upki.profiles.now();
            let profile = profiles.get(&certificate.profile);
            let profile = profile.ok_or_else(|| Error::failed("the certificate's profile is no longer offered"))?;
            WantedKey::Generate(profile.cheapest_key())
        }
    };
    let issued = upki.supersede(&permitted, &certificate, key, "upki").await?;
    Ok(Data(View::new(&upki, issued, &certificate.profile)?))
}
