//! `POST /api/v1/certificate_authorities`

use axum::extract::State;
use serde::Deserialize;

use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Created;
use crate::api::notary::body::Body;
use crate::api::notary::error::{Error, invalid};
use crate::api::time;
use crate::service::authorities::{Kind, NewAuthority, SubjectFields};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::api::notary) struct Wish {
    self_signed: bool,
    common_name: String,
    /// Names, with commas between them.
    sans_dns: String,
    country_name: String,
    state_or_province_name: String,
    locality_name: String,
    organization_name: String,
    organizational_unit_name: String,
    /// RFC 3339, section 5.6.
    not_valid_after: String,
}

pub(in crate::api::notary) async fn create(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Body(wish): Body<Wish>,
) -> Result<Created, Error> {
    if wish.common_name.is_empty() {
        return Err(Error::bad("invalid request: common_name is required"));
    }
    let not_after = match wish.not_valid_after.as_str() {
        "" => None,
        text => Some(time::parse(text).ok_or_else(|| Error::bad("invalid request: not_valid_after is not RFC 3339"))?),
    };
    let Some((profile, key)) = notary.notary.authorities.clone() else {
        return Err(Error::unavailable(
            "this CA makes no authorities: its administrators name a profile for them in [notary]",
        ));
    };
    let field = |text: String| Some(text).filter(|text| !text.is_empty());
    let new = NewAuthority {
        profile,
        kind: if wish.self_signed { Kind::SelfSigned } else { Kind::Intermediate },
        key,
        subject: SubjectFields {
            common_name: wish.common_name,
            country: field(wish.country_name),
            state: field(wish.state_or_province_name),
            locality: field(wish.locality_name),
            organization: field(wish.organization_name),
            organizational_unit: field(wish.organizational_unit_name),
        },
        names: wish.sans_dns.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
        not_after,
    };
    let authority = notary.create_authority(&permitted, new).await.map_err(invalid)?;
    Ok(Created(authority.number.into()))
}
