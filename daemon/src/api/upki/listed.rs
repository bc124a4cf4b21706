//! Certificates and nodes as lists have them.

use policy::serial::Serial;
use serde::Serialize;

use super::answer::Number;
use super::{Upki, name, profile};
use crate::service::certificates::Certificate;
use crate::service::named::Standing;
use crate::service::nodes::Node;

#[derive(Serialize)]
pub(super) struct Listed {
    dn: String,
    cn: Option<String>,
    profile: String,
    state: &'static str,
    serial: Option<Number>,
}

impl Listed {
    pub(super) fn certificate(upki: &Upki, certificate: &Certificate) -> Self {
        Self {
            dn: dn(certificate),
            cn: certificate.called(),
            profile: profile::theirs(upki, &certificate.profile),
            state: match upki.standing(certificate) {
                Standing::Expired => "expired",
                Standing::Good => "valid",
                Standing::Revoked(..) => "revoked",
            },
            serial: Some(Number(certificate.serial)),
        }
    }

    pub(super) fn node(upki: &Upki, node: &Node) -> Self {
        let registration = &node.registration;
        Self {
            dn: name::of_node(&registration.common_name),
            cn: Some(registration.common_name.to_string()),
            profile: profile::theirs(upki, &registration.profile),
            state: node.state.as_str(),
            serial: node.certificate.map(Number),
        }
    }
}

/// One page of a list; `next` is there when another one follows.
#[derive(Serialize)]
pub(super) struct Next {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl From<Option<Serial>> for Next {
    fn from(next: Option<Serial>) -> Self {
        Self { next: next.map(|serial| serial.to_string()) }
    }
}

/// The DN of a certificate.
pub(super) fn dn(certificate: &Certificate) -> String {
    let parsed = policy::tbs::Certificate::from_der(&certificate.der);
    parsed.map(|parsed| name::of_subject(&parsed)).unwrap_or_default()
}
