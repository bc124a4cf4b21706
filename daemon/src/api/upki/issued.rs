//! A certificate that was issued a moment ago.

use policy::tbs::Certificate;
use serde::{Serialize, Serializer};

use super::answer::Number;
use super::error::Error;
use super::{Upki, name, profile};
use crate::service::issue::{Issued, PrivateKey};

/// `{"certificate", "dn", "serial", "profile"}`, and once the private key, if it was made here.
#[derive(Serialize)]
pub(super) struct View {
    certificate: String,
    dn: String,
    serial: Number,
    profile: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "pem")]
    private_key: Option<PrivateKey>,
}

impl View {
    /// `of_profile` is what we call the profile.
    pub(super) fn new(upki: &Upki, issued: Issued, of_profile: &str) -> Result<Self, Error> {
        let certificate = Certificate::from_der(&issued.certificate)
            .map_err(|error| Error::internal(&format!("a certificate that was just signed is unreadable: {error}")))?;
        Ok(Self {
            dn: name::of_subject(&certificate),
            certificate: certificate.to_pem(),
            serial: Number(issued.serial),
            profile: profile::theirs(upki, of_profile),
            private_key: issued.private_key,
        })
    }
}

fn pem<S: Serializer>(key: &Option<PrivateKey>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.serialize_str(&key.to_pem()),
        None => serializer.serialize_none(),
    }
}
