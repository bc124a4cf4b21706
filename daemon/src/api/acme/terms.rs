//! The page that says how to agree to the terms of service: the `instance` of userActionRequired
//! (RFC 8555 section 7.3.3).

use std::sync::Arc;

use axum::extract::State;

use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;

pub(super) async fn show(State(acme): State<Arc<Acme>>) -> Result<String, AcmeError> {
    let terms = acme.services().acme.terms_of_service.as_ref();
    let terms = terms.ok_or(AcmeError::NotFound("resource: this CA has no terms of service"))?;
    Ok(format!(
        "The terms of service of this certificate authority are at\n\n    {terms}\n\n\
         Read them. If you agree, have your ACME client say so for its account: it sends\n\
         {{\"termsOfServiceAgreed\": true}} to the URL of the account (RFC 8555 section 7.3.2).\n\n\
         Afterwards your orders go on. Revoking certificates, changing the key of the account and\n\
         ending the account are possible without agreeing.\n"
    ))
}
