//! Certificate serial numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::effects::{Entropy, EntropyError};

/// Certificate serial number, RFC 5280 section 4.1.2.2: positive, 20 octets, of which the first
/// is fixed to `0x01..=0x7f` by construction and 152 bits are random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; 20]);

/// The text or bytes are not a serial number of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is 40 hexadecimal digits, the first octet between 01 and 7f")]
pub struct SerialError;

impl Serial {
    /// Draws a fresh serial number. Fails only when the generator does.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = [0u8; 20];
        loop {
            entropy.fill(&mut bytes)?;
            bytes[0] &= 0x7f;
            // A leading zero octet would not be minimal DER; drawing again keeps the bits unbiased.
            if bytes[0] != 0 {
                return Ok(Self(bytes));
            }
        }
    }

    /// Reads the content octets of a DER INTEGER.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SerialError> {
        let bytes: [u8; 20] = bytes.try_into().map_err(|_| SerialError)?;
        if (0x01..=0x7f).contains(&bytes[0]) { Ok(Self(bytes)) } else { Err(SerialError) }
    }

    /// The 20 octets, big-endian, as they stand in the certificate.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    /// Reads hexadecimal, with or without colons, in either case.
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 40 {
            return Err(SerialError);
        }
        let mut bytes = [0u8; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| SerialError)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(SerialError);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| SerialError)?;
        }
        Self::from_slice(&bytes)
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;

    fn try_from(text: String) -> Result<Self, SerialError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}
