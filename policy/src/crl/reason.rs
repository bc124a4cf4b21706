//! Why a certificate was revoked.

use std::fmt;
use std::str::FromStr;

/// CRLReason, RFC 5280 section 5.3.1, without the codes that revoke nothing: 7 is not used, and
/// removeFromCRL (8) stands in delta CRLs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// 0; the extension is left out of a CRL instead.
    Unspecified,
    /// 1
    KeyCompromise,
    /// 2
    CaCompromise,
    /// 3
    AffiliationChanged,
    /// 4
    Superseded,
    /// 5
    CessationOfOperation,
    /// 6, which can be taken back.
    CertificateHold,
    /// 9
    PrivilegeWithdrawn,
    /// 10
    AaCompromise,
}

/// The number or word is no reason to revoke for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no reason to revoke for: RFC 5280 section 5.3.1 has unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold, privilegeWithdrawn and aACompromise (0 to 6, 9 and 10)"
)]
pub struct ReasonError;

impl Reason {
    /// All of them, by code.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// Its name in RFC 5280.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// Whether a subscriber may give it (BR 4.9.1.1): the others are for the CA to know, and a hold
    /// is for administrators.
    pub fn subscriber_may_use(self) -> bool {
        matches!(
            self,
            Self::Unspecified
                | Self::KeyCompromise
                | Self::AffiliationChanged
                | Self::Superseded
                | Self::CessationOfOperation
        )
    }
}

impl TryFrom<u8> for Reason {
    type Error = ReasonError;

    fn try_from(code: u8) -> Result<Self, ReasonError> {
        Self::ALL.into_iter().find(|reason| reason.code() == code).ok_or(ReasonError)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    /// Reads a name in any case and with or without hyphens (`keyCompromise`, `key-compromise`), or
    /// a number.
    fn from_str(text: &str) -> Result<Self, ReasonError> {
        if let Ok(code) = text.parse::<u8>() {
            return Self::try_from(code);
        }
        let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
        Self::ALL.into_iter().find(|reason| plain(reason.as_str()) == plain(text)).ok_or(ReasonError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_number_and_its_names() {
        for reason in Reason::ALL {
            assert_eq!(Reason::try_from(reason.code()), Ok(reason));
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(reason.code().to_string().parse(), Ok(reason));
        }
        assert_eq!("key-compromise".parse(), Ok(Reason::KeyCompromise));
    }

    #[test]
    fn what_revokes_nothing_is_no_reason() {
        for code in [7, 8, 11, 255] {
            assert_eq!(Reason::try_from(code), Err(ReasonError));
        }
        for text in ["", "removeFromCRL", "key compromise", "8", "-1"] {
            assert_eq!(text.parse::<Reason>(), Err(ReasonError), "{text}");
        }
    }
}
