//! Accounts of the Notary dialect: what they may do, and what is done to them and to requests.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rights::{Permission, Scope};

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, accounts included.
    Administrator,
    /// The daily work: requests and authorities.
    Manager,
    /// Requests of his own.
    Requestor,
    /// Looks at everything but accounts.
    Reader,
}

impl Role {
    /// Every role, in the order of their numbers.
    pub const ALL: &[Self] = &[Self::Administrator, Self::Manager, Self::Requestor, Self::Reader];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Manager => "manager",
            Self::Requestor => "requestor",
            Self::Reader => "reader",
        }
    }

    /// Its number in the dialect, 0 to 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::Administrator => 0,
            Self::Manager => 1,
            Self::Requestor => 2,
            Self::Reader => 3,
        }
    }

    /// The role of that number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| i64::from(role.number()) == number)
    }

    /// To which objects a permission holds for the role, if it has it.
    pub(crate) fn scope(self, permission: Permission) -> Option<Scope> {
        use Permission::{
            Approve, ManageAuthorities, ManageNotary, OpenNotaryAccount, ReadConfig, ReadNotary, ReadRequests,
            ReadStatus, Revoke, SubmitRequest, UseNotaryAccount,
        };
        let everything = |roles: &[Self]| roles.contains(&self).then_some(Scope::Everything);
        match permission {
            UseNotaryAccount => Some(Scope::Own),
            ReadRequests | SubmitRequest if self == Self::Requestor => Some(Scope::Own),
            ReadConfig | ReadRequests => Some(Scope::Everything),
            Approve | ManageAuthorities | Revoke | SubmitRequest => everything(&[Self::Administrator, Self::Manager]),
            ReadStatus => everything(&[Self::Administrator, Self::Manager, Self::Reader]),
            ManageNotary | OpenNotaryAccount | ReadNotary => everything(&[Self::Administrator]),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// No role is called that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roles are administrator, manager, requestor and reader")]
pub struct UnknownRole;

/// An e-mail address, by which an account is known: `local@domain`, in visible ASCII, at most 254
/// characters (RFC 5321 section 4.5.3.1.3). Upper and lower case are the same account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address is written local@domain, in visible ASCII characters, at most 254 of them")]
pub struct EmailError;

impl Email {
    /// Longest address.
    pub const MAX_LEN: usize = 254;

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let dotted = |part: &str| part.split('.').all(|label| !label.is_empty());
        let local = |part: &str| {
            part.len() <= 64
                && dotted(part)
                && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || LOCAL.contains(&octet))
        };
        let domain = |part: &str| {
            dotted(part) && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'))
        };
        let sound = text.len() <= Self::MAX_LEN
            && text.split_once('@').is_some_and(|(name, place)| local(name) && domain(place));
        if sound { Ok(Self(text.to_owned())) } else { Err(EmailError) }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// What a local part has beside letters and digits (RFC 5322 section 3.2.3, atext), and the dot.
const LOCAL: &[u8] = b"!#$%&'*+-/=?^_`{|}~.";

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is done in the dialect, as the journal has it. That a request is approved or rejected, and what
/// is signed and revoked, are entries of their own, the same for all surfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// An account is made.
    AccountCreated {
        /// Its number.
        account: u64,
        /// Its address.
        email: Email,
        /// What it may do.
        role: Role,
    },
    /// An account is removed, and its sessions with it.
    AccountRemoved {
        /// Its number.
        account: u64,
        /// Its address.
        email: Email,
    },
    /// The certificates that a request shows are taken away from it.
    ChainRemoved {
        /// Its number.
        request: u64,
    },
    /// Certificates of another CA are put to a request.
    ChainUploaded {
        /// Its number.
        request: u64,
        /// SHA-256 of the first certificate; hexadecimal.
        #[serde(with = "hexadecimal")]
        sha256: [u8; 32],
    },
    /// An account gets another password, and loses its sessions.
    PasswordSet {
        /// Its number.
        account: u64,
    },
    /// A request is deleted.
    RequestDeleted {
        /// Its number.
        request: u64,
    },
    /// An account gets another role.
    RoleSet {
        /// Its number.
        account: u64,
        /// Which.
        role: Role,
    },
    /// An ACME server of another CA is deleted.
    ServerRemoved {
        /// Its number.
        server: u64,
    },
    /// An ACME server of another CA is added, changed or made the active one.
    ServerSet {
        /// Its number.
        server: u64,
    },
}

mod hexadecimal {
    use std::fmt::Write as _;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(octets: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for octet in octets {
            write!(text, "{octet:02x}").expect("a String takes everything");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a SHA-256 is 64 hexadecimal digits");
        let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let digits: [u8; 64] = digits.ok_or_else(wrong)?.try_into().map_err(|_| wrong())?;
        Ok(std::array::from_fn(|at| digits[2 * at] << 4 | digits[2 * at + 1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_local_part_and_a_domain_of_labels() {
        for text in ["a@b", "first.last+tag@mail.example.com", "o'neil@example.com"] {
            assert!(Email::parse(text).is_ok(), "{text}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}", "b".repeat(253));
        for text in [
            "",
            "a",
            "a.example.com",
            "@example.com",
            "a@",
            "a@.example.com",
            "a@example..com",
            "a@example.com.",
            ".a@b",
            "a..b@c",
            "a b@c",
            "a@b@c",
            "ä@b",
            "a@b\n",
            &long,
            &longer,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Email::parse("A@B.example").unwrap().folded(), "a@b.example");
    }

    #[test]
    fn roles_are_known_by_their_numbers_and_their_words() {
        for (number, role) in Role::ALL.iter().enumerate() {
            assert_eq!(usize::from(role.number()), number);
            assert_eq!(Role::of_number(number as i64), Some(*role));
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert!(Role::of_number(-1).is_none() && Role::of_number(4).is_none() && "root".parse::<Role>().is_err());
    }
}
