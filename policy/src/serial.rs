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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A generator of known quality (SplitMix64), so that the test of balance never fails by chance.
    struct SplitMix(u64);

    impl Entropy for SplitMix {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            for chunk in out.chunks_mut(8) {
                self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut word = self.0;
                word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.copy_from_slice(&(word ^ (word >> 31)).to_be_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    struct Broken;

    impl Entropy for Broken {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    #[test]
    fn every_bit_below_the_first_octet_is_balanced() {
        const SERIALS: u32 = 100_000;
        let mut entropy = SplitMix(2);
        let mut ones = [0u32; 160];
        for _ in 0..SERIALS {
            let serial = Serial::generate(&mut entropy).unwrap();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(serial.as_bytes()[bit / 8] >> (7 - bit % 8) & 1);
            }
        }
        assert_eq!(ones[0], 0, "a serial was negative");
        // Six standard deviations of a fair coin; the first octet leans by 1/254 because it is not zero.
        for (bit, count) in ones.iter().enumerate().skip(1) {
            let bias = if bit < 8 { f64::from(SERIALS) / 254.0 } else { 0.0 };
            let distance = (f64::from(*count) - f64::from(SERIALS) / 2.0 - bias).abs();
            assert!(distance < 6.0 * (f64::from(SERIALS) / 4.0).sqrt(), "bit {bit} was set {count} times");
        }
    }

    #[test]
    fn a_broken_generator_gives_no_serial() {
        assert!(Serial::generate(&mut Broken).is_err());
    }

    #[test]
    fn a_first_octet_of_zero_is_drawn_again() {
        struct ZeroFirst(u8);
        impl Entropy for ZeroFirst {
            fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
                out.fill(self.0);
                self.0 += 1;
                Ok(())
            }
        }
        assert_eq!(Serial::generate(&mut ZeroFirst(0)).unwrap().as_bytes(), &[1; 20]);
        assert_eq!(Serial::generate(&mut ZeroFirst(0x80)).unwrap().as_bytes()[..2], [0x01, 0x81]);
    }

    #[test]
    fn only_twenty_positive_octets_are_a_serial() {
        assert!(Serial::from_slice(&[1; 20]).is_ok());
        for bytes in [&[1; 19][..], &[1; 21], &[0; 20], &[0x80; 20], &[]] {
            assert_eq!(Serial::from_slice(bytes), Err(SerialError));
        }
        let text = "01".repeat(20);
        for bad in [
            &text[2..],
            "0x",
            "",
            &format!("{text}00"),
            &text.replacen("01", "+1", 1),
            &text.replacen("01", "\u{e9}", 1),
        ] {
            assert_eq!(bad.parse::<Serial>(), Err(SerialError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_serial_survives_its_text_with_and_without_colons(seed: u64) {
            let serial = Serial::generate(&mut SplitMix(seed)).unwrap();
            let text = serial.to_string();
            prop_assert_eq!(text.parse(), Ok(serial));
            let colons: Vec<&str> = (0..20).map(|i| &text[2 * i..2 * i + 2]).collect();
            prop_assert_eq!(colons.join(":").to_uppercase().parse(), Ok(serial));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<Serial>();
        }
    }
}
