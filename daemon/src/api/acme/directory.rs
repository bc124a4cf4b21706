//! The directory (RFC 8555 section 7.1.1).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::urls;
use crate::config::{ExternalAccounts, Switch};
use crate::service::acme::Acme;

pub(super) async fn show(State(acme): State<Arc<Acme>>) -> Json<Value> {
    let services = acme.services();
    let (base, offer) = (&services.public_url, &services.acme);
    let known = services.profiles.now();
    let profiles: Map<String, Value> =
        offer.profiles.iter().filter_map(|name| Some((name.clone(), known.get(name)?.description().into()))).collect();
    let external = offer.accounts.external == ExternalAccounts::Required;
    let mut meta = json!({"externalAccountRequired": external, "profiles": profiles});
    for (member, value) in [("termsOfService", &offer.terms_of_service), ("website", &offer.website)] {
        if let Some(value) = value {
            meta[member] = value.as_str().into();
        }
    }
    // RFC 8555 section 9.7.6: by what names CAA records call this CA.
    if !services.validation.caa_identities.is_empty() {
        meta["caaIdentities"] = services.validation.caa_identities.as_slice().into();
    }
    let mut directory = json!({
        "newNonce": format!("{base}{}", urls::NEW_NONCE),
        "newAccount": format!("{base}{}", urls::NEW_ACCOUNT),
        "newOrder": format!("{base}{}", urls::NEW_ORDER),
        "revokeCert": format!("{base}{}", urls::REVOKE),
        "keyChange": format!("{base}{}", urls::KEY_CHANGE),
        "renewalInfo": format!("{base}{}", urls::RENEWAL_INFO),
        "meta": meta,
    });
    if offer.orders.pre_authorization == Switch::On {
        directory["newAuthz"] = format!("{base}{}", urls::NEW_AUTHORIZATION).into();
    }
    Json(directory)
}
