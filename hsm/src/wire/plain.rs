//! A secret between the two programs.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Octets of a secret: wiped when dropped, and shown to nobody. That it can be serialised is for the
/// frames alone, whose buffers are wiped too.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain({} octets)", self.0.len())
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Octets)
    }
}

struct Octets;

impl Visitor<'_> for Octets {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("octets")
    }

    fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Plain, E> {
        Ok(Plain(Zeroizing::new(octets.to_vec())))
    }
}
