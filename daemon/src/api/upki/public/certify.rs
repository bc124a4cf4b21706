//! `POST certify`: a certificate for a CSR, on the strength of a one-time seed, or of nothing where the
//! configuration says `certify = "open"`.

use axum::extract::State;
use zeroize::Zeroizing;

use super::super::access::Unsealed;
use super::super::answer::Data;
use super::super::body::{Fields, Refusal};
use super::super::error::Error;
use super::super::issued::View;
use super::super::{Upki, profile};
use crate::api::access::{Permitted, ReadPublic};
use crate::config::Certify;
use crate::service::issue::WantedKey;
use crate::service::nodes::Request;

pub(in super::super) async fn certify(
    _unsealed: Unsealed,
    permitted: Permitted<ReadPublic>,
    State(upki): State<Upki>,
    mut fields: Fields,
) -> Result<Data<View>, Refusal> {
    let csr = fields.required_of("csr", 100..=10_000);
    let wanted = fields.text("profile");
    let seed = fields.text("seed").map(Zeroizing::new);
    fields.end()?;
    let WantedKey::Csr(csr) = WantedKey::csr(csr.as_bytes())? else {
        return Err(Error::internal("a CSR was read as something else").into());
    };
    if csr.common_name().is_none_or(|name| name.trim().is_empty()) {
        return Err(Error::validation("the CSR has no common name: add one, as in -subj /CN=app.example").into());
    }
    let wanted = wanted.map(|wanted| profile::named(&upki, &wanted)).transpose()?;
    let request = Request { csr: *csr, profile: wanted.map(|profile| profile.name().to_owned()), surface: "upki" };
    let certified = match (seed, upki.upki.certify) {
        (Some(seed), _) => upki.certify_by_seed(&permitted, &seed, request).await?,
        (None, Certify::Open) => {
            let usual = profile::named(&upki, profile::DEFAULT)?.name().to_owned();
            upki.certify_unproven(&permitted, request, usual).await?
        }
        (None, Certify::Seed) => {
            let why = "a certificate is issued for a seed: send the one that an administrator gave you as `seed`";
            return Err(Error::authentication(why).into());
        }
    };
    Ok(Data(View::new(&upki, certified.issued, &certified.profile)?))
}
