//! Orders: what the pipeline completes, and the journal completes again after a crash (J3).

use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::serial::Serial;
use policy::validity::Requested;
use serde::{Deserialize, Serialize};

use crate::store::Table;
use crate::store::tables::base64_bytes;

/// Orders. Key: the order's id as text, which authorization records carry as `order`.
pub const ORDERS: Table<OrderRecord> = Table::new("orders");

/// What an order that is `processing` waits for, so that it is completed after a crash. Key: the
/// order's id.
pub const UNDERWAY: Table<Underway> = Table::new("orders_underway");

/// An order (RFC 8555 section 7.1.3). Written when it is made, when it is completed, and in between
/// only if it must be seen to be `processing` or has failed: the rest follows from its
/// authorizations and the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Who ordered: the account's id as text.
    pub account: String,
    /// When.
    pub created: UnixTime,
    /// Last second in which it can be finalized.
    pub expires: UnixTime,
    /// Name of the profile.
    pub profile: String,
    /// The names, in the order in which they were asked for. Never changes.
    pub names: Vec<Name>,
    /// The ends of the validity that were asked for.
    #[serde(default)]
    pub requested: Requested,
    /// The certificate that it replaces: its identifier of RFC 9773 section 4.1, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Common name of the node that some of the names are registered for, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Ids of the authorizations, one a name, in the same order. Never changes.
    pub authorizations: Vec<String>,
    /// The certificate that completed it.
    pub certificate: Option<Serial>,
    /// Why it can never be completed, if that does not follow from anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<OrderFailure>,
    /// Since when it is seen to be `processing`: it was finalized, and the token is slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing: Option<UnixTime>,
}

/// Why an order can never be completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFailure {
    /// Error type of RFC 8555 section 6.7, without its prefix.
    pub kind: String,
    /// One sentence for the client.
    pub detail: String,
}

/// An issuance that goes on although nobody waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// SubjectPublicKeyInfo of the key to be certified, DER; base64 in JSON.
    #[serde(with = "base64_bytes")]
    pub key: Vec<u8>,
    /// Why it may be signed.
    pub record: AuthorizationRecord,
}

impl OrderRecord {
    /// Notes that `certificate` completes the order, whose id is `order`; says whether that is new.
    ///
    /// One that is completed by another certificate stays as it is. Nothing is known that leads
    /// there, so the log says it.
    pub(super) fn complete(&mut self, order: &str, certificate: Serial) -> bool {
        match self.certificate {
            None => {
                self.certificate = Some(certificate);
                self.processing = None;
                self.failed = None;
                true
            }
            Some(first) if first != certificate => {
                tracing::error!(order, %first, second = %certificate, "two certificates were signed for one order: revoke the second");
                false
            }
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_keeps_the_certificate_that_completed_it_first() {
        let serial = |octet| Serial::from_slice(&[octet; 20]).unwrap();
        let mut order = OrderRecord {
            account: String::new(),
            created: UnixTime(0),
            expires: UnixTime(0),
            profile: String::new(),
            names: Vec::new(),
            requested: Requested::default(),
            replaces: None,
            node: None,
            authorizations: Vec::new(),
            certificate: None,
            failed: None,
            processing: Some(UnixTime(1)),
        };
        let completed = [1, 1, 2].map(|octet| order.complete("order", serial(octet)));
        assert_eq!((completed, order.certificate), ([true, false, false], Some(serial(1))));
        assert_eq!(order.processing, None);
    }
}
