//! Which certificates a CRL speaks of.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serial::Serial;

/// The certificates that a CRL speaks of, by issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// All of the issuer's.
    All,
    /// Those of one shard.
    Shard(Shard),
}

/// One part of an issuer's certificates: a pure function of the serial number and the number of
/// parts. A serial lies in one shard of each division, so that both are published when the number
/// changes, until the last certificate that names the old one has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    count: NonZeroU16,
    /// From 0.
    index: u16,
}

/// The text names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is `all`, or a shard such as `3-of-16` (of at most {} shards)", Shard::MOST)]
pub struct ScopeError;

impl Shard {
    /// Most shards of one issuer: at a million certificates, a thousand in each.
    pub const MOST: u16 = 1024;

    /// The shard of `count` in which `serial` lies; `count` is at least 1.
    pub fn of(serial: Serial, count: NonZeroU16) -> Self {
        let low: [u8; 8] = serial.as_bytes()[12..].try_into().expect("they are 20 octets");
        let index = (u64::from_be_bytes(low) % u64::from(count.get())) as u16;
        Self { count, index }
    }

    /// Every shard of `count`, in order.
    pub fn all(count: NonZeroU16) -> impl Iterator<Item = Self> {
        (0..count.get()).map(move |index| Self { count, index })
    }

    /// The shards that a URL names, wherever the profile had them stand.
    pub fn named_in(url: &str) -> impl Iterator<Item = Self> {
        url.match_indices(OF).filter_map(|(at, _)| {
            let digit = |letter: char| letter.is_ascii_digit();
            let (before, after) = (&url[..at], &url[at + OF.len()..]);
            let begin = before.trim_end_matches(digit).len();
            let end = url.len() - after.trim_start_matches(digit).len();
            url[begin..end].parse().ok()
        })
    }

    /// Whether a URL names this shard and no other.
    pub fn is_all_of(self, url: &str) -> bool {
        let mut named = Self::named_in(url).peekable();
        named.peek().is_some() && named.all(|shard| shard == self)
    }

    /// How many shards there are.
    pub fn count(self) -> NonZeroU16 {
        self.count
    }

    /// Whether `serial` lies in it.
    pub fn holds(self, serial: Serial) -> bool {
        Self::of(serial, self.count) == self
    }
}

impl Scope {
    /// The scope of the CRL that the certificate with `serial` names by `url`.
    pub fn named_in(url: &str, serial: Serial) -> Self {
        Shard::named_in(url).find(|shard| shard.holds(serial)).map_or(Self::All, Self::Shard)
    }

    /// Whether a CRL of this scope lists `serial` when it is revoked.
    pub fn holds(self, serial: Serial) -> bool {
        match self {
            Self::All => true,
            Self::Shard(shard) => shard.holds(serial),
        }
    }
}

/// `3-of-16`: what stands in a URL.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", u32::from(self.index) + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (number, count) = text.split_once(OF).ok_or(ScopeError)?;
        let read = |digits: &str| digits.parse::<NonZeroU16>().map_err(|_| ScopeError);
        let (number, count) = (read(number)?, read(count)?);
        let shard = Self { count, index: number.get() - 1 };
        // One text for each shard: no `+3-of-016`.
        if number > count || count.get() > Self::MOST || shard.to_string() != text {
            return Err(ScopeError);
        }
        Ok(shard)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Shard(shard) => shard.fmt(f),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::Shard) }
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// Between the number of a shard and how many there are.
const OF: &str = "-of-";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::CountingEntropy;

    fn count(count: u16) -> NonZeroU16 {
        NonZeroU16::new(count).unwrap()
    }

    #[test]
    fn a_shard_is_found_wherever_the_profile_had_it_stand() {
        let serial = Serial::from_slice(&[5; 20]).unwrap();
        let shard = Shard::of(serial, count(16));
        for (url, alone) in [
            ("http://a.test/crl/x/{}.crl", true),
            ("http://a.test/crl-{}", true),
            ("http://1-of-3.test/c?part={}&x=1-of-a", false),
        ] {
            let url = url.replace("{}", &shard.to_string());
            assert_eq!(Scope::named_in(&url, serial), Scope::Shard(shard), "{url}");
            assert_eq!(shard.is_all_of(&url), alone, "{url}");
        }
        let none = "http://a.test/all-of-them.crl";
        assert_eq!(Scope::named_in(none, serial), Scope::All);
        assert!(!shard.is_all_of(none));
    }

    #[test]
    fn a_serial_lies_in_exactly_one_shard_of_each_division() {
        for seed in 0..50 {
            let serial = Serial::generate(&mut CountingEntropy(seed)).unwrap();
            for parts in [1, 2, 7, 16, Shard::MOST] {
                assert_eq!(Shard::all(count(parts)).filter(|shard| shard.holds(serial)).count(), 1);
                assert!(Shard::of(serial, count(parts)).holds(serial));
            }
            assert!(Scope::All.holds(serial));
        }
    }

    #[test]
    fn a_scope_survives_its_text_and_has_one_text_only() {
        for shard in Shard::all(count(16)) {
            assert_eq!(shard.to_string().parse(), Ok(shard));
            assert_eq!(shard.to_string().parse(), Ok(Scope::Shard(shard)));
        }
        assert_eq!("all".parse(), Ok(Scope::All));
        assert_eq!(Shard::all(count(16)).next().unwrap().to_string(), "1-of-16");
        for text in
            ["", "0-of-16", "17-of-16", "+1-of-16", "01-of-16", "1-of-016", "1-of-0", "1-of-1025", "1of16", "All"]
        {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<Scope>();
        }
    }
}
