//! What can be asked of a name and of a serial number.

use policy::name::{DnsName, Name, NameError};
use policy::serial::Serial;

/// Which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// Every name below this one, at any depth: `*.example.test` finds `a.b.example.test` and the
    /// wildcard itself.
    Below(DnsName),
    /// Every name that holds this text.
    Contains(String),
    /// This name.
    Exact(Name),
}

/// The text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamePatternError {
    /// What should be a name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The text between two stars cannot stand in a name.
    #[error("write 2 to 253 characters of a name between the stars, in lower case, as in `*web*`")]
    Text,
}

impl NamePattern {
    /// Reads `www.example.test`, `192.0.2.1`, `*.example.test` (below) or `*text*` (contains).
    pub fn parse(text: &str) -> Result<Self, NamePatternError> {
        if let Some(inner) = text.strip_prefix('*').and_then(|rest| rest.strip_suffix('*')) {
            let fits = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-._:".contains(&octet);
            return match (2..=253).contains(&inner.len()) && inner.bytes().all(fits) {
                true => Ok(Self::Contains(inner.to_owned())),
                false => Err(NamePatternError::Text),
            };
        }
        match text.strip_prefix("*.") {
            Some(base) => Ok(Self::Below(DnsName::parse(base)?)),
            None => Ok(Self::Exact(Name::parse(text)?)),
        }
    }

    /// Whether it fits `name`.
    pub(super) fn fits(&self, name: &Name) -> bool {
        match self {
            Self::Below(base) => {
                let text = name.to_string();
                let above = text.strip_suffix(base.as_str());
                matches!(name, Name::Dns(_)) && above.is_some_and(|labels| labels.ends_with('.'))
            }
            Self::Contains(part) => name.to_string().contains(part.as_str()),
            Self::Exact(exact) => name == exact,
        }
    }
}

/// The first digits of a serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialPrefix(String);

/// The text cannot begin a serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is searched by its first 1 to 40 hexadecimal digits")]
pub struct SerialPrefixError;

impl SerialPrefix {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, SerialPrefixError> {
        let digits: String = text.chars().filter(|letter| *letter != ':').collect::<String>().to_ascii_lowercase();
        let fits = (1..=40).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if fits { Ok(Self(digits)) } else { Err(SerialPrefixError) }
    }

    /// All of them.
    pub(super) fn whole(serial: Serial) -> Self {
        Self(super::super::peer::hex(serial.as_bytes()))
    }

    /// Whether it fits.
    pub(super) fn fits(&self, serial: Serial) -> bool {
        super::super::peer::hex(serial.as_bytes()).starts_with(&self.0)
    }

    /// The least and the greatest serial number that fit, 20 octets each.
    pub(super) fn bounds(&self) -> ([u8; 20], [u8; 20]) {
        let octets = |fill: char| {
            let digits = format!("{}{}", self.0, fill.to_string().repeat(40 - self.0.len()));
            let mut octets = [0; 20];
            for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
                let digit = |digit: u8| char::from(digit).to_digit(16).expect("the constructor checked it") as u8;
                *octet = digit(pair[0]) * 16 + digit(pair[1]);
            }
            octets
        };
        (octets('0'), octets('f'))
    }
}
