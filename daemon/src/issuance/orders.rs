//! Orders: what the pipeline completes, and the journal completes again after a crash (J3).

use policy::effects::UnixTime;
use policy::name::DnsName;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use crate::store::Table;

/// Orders. Key: the order's id as text, which authorization records carry as `order`.
pub const ORDERS: Table<OrderRecord> = Table::new("orders");

/// An order (RFC 8555 section 7.1.3). One row, written when it is made and when it is completed:
/// what lies between follows from its authorizations and the time.
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
    pub names: Vec<DnsName>,
    /// Ids of the authorizations, one a name, in the same order. Never changes.
    pub authorizations: Vec<String>,
    /// The certificate that completed it.
    pub certificate: Option<Serial>,
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
            authorizations: Vec::new(),
            certificate: None,
        };
        let completed = [1, 1, 2].map(|octet| order.complete("order", serial(octet)));
        assert_eq!((completed, order.certificate), ([true, false, false], Some(serial(1))));
    }
}
