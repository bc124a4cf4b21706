//! Issuing CAs that are made while the appliance runs: how they are named, and what a file in the
//! profile directory allows of them.

mod profile;
mod subject;

pub use profile::{AuthorityProfile, Kind};
pub use subject::{Subject, SubjectError, SubjectFields};

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most authorities of one signer, those that are retired included: what its status says of all of them
/// fits a frame.
pub const MOST: usize = 64;

/// The number of an authority that was made while the appliance ran, from 2 on: the first one is the
/// ceremony's. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AuthorityNumber(u32);

/// There is no authority of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authorities that are made here have numbers from 2 to {}", AuthorityNumber::FIRST.0 as usize + MOST - 1)]
pub struct NumberError;

impl AuthorityNumber {
    /// The first one.
    pub const FIRST: Self = Self(2);

    /// The number after this one; an error after the last.
    pub fn next(self) -> Result<Self, NumberError> {
        Self::try_from(self.0 + 1)
    }

    /// Label of its key in the token. Labels with [`PREFIX`] are reserved: a key that is found under one is
    /// an authority's, and never anything else.
    pub fn label(self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// Label of the key that signs OCSP answers for its certificates.
    pub fn responder_label(self) -> String {
        format!("{PREFIX}{}{RESPONDER}", self.0)
    }

    /// The authority whose key has this label.
    pub fn of_label(label: &str) -> Option<Self> {
        let number: u32 = label.strip_prefix(PREFIX)?.parse().ok()?;
        Self::try_from(number).ok().filter(|number| number.label() == label)
    }
}

/// What the labels of authorities' keys begin with.
pub const PREFIX: &str = "authority-";

/// What the label of an authority's OCSP key ends with.
const RESPONDER: &str = "-ocsp";

impl TryFrom<u32> for AuthorityNumber {
    type Error = NumberError;

    fn try_from(number: u32) -> Result<Self, NumberError> {
        let last = Self::FIRST.0 + MOST as u32 - 1;
        if (Self::FIRST.0..=last).contains(&number) { Ok(Self(number)) } else { Err(NumberError) }
    }
}

impl From<AuthorityNumber> for u32 {
    fn from(number: AuthorityNumber) -> Self {
        number.0
    }
}

impl fmt::Display for AuthorityNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_one_authority_and_only_in_one_way() {
        let number = AuthorityNumber::try_from(12).unwrap();
        assert_eq!((number.label().as_str(), number.responder_label().as_str()), ("authority-12", "authority-12-ocsp"));
        assert_eq!(AuthorityNumber::of_label("authority-12"), Some(number));
        for label in ["authority-012", "authority-+12", "authority-1", "authority-66", "authority-12-ocsp", "issuing-1"]
        {
            assert_eq!(AuthorityNumber::of_label(label), None, "{label}");
        }
    }

    #[test]
    fn numbers_end() {
        let mut last = AuthorityNumber::FIRST;
        for _ in 1..MOST {
            last = last.next().unwrap();
        }
        assert_eq!((u32::from(last), last.next()), (65, Err(NumberError)));
    }
}
