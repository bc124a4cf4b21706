//! Certificate serial numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::effects::{Entropy, EntropyError};

/// Certificate serial number, RFC 5280 section 4.1.2.2: positive and of at most 20 octets. Those that
/// Signet draws have all 20, of which the first is fixed to `0x01..=0x7f` by construction and 152 bits
/// are random; those of another CA whose key moved here may be shorter. They are ordered as numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; 20]);

/// The text or bytes are not a serial number of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is 1 to 40 hexadecimal digits, greater than 0 and less than 80 followed by 38 zeros")]
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

    /// Reads the content octets of a DER INTEGER, or [`Serial::as_bytes`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SerialError> {
        let padding = 20usize.checked_sub(bytes.len()).ok_or(SerialError)?;
        let is_negative = bytes.first().is_none_or(|first| *first >= 0x80);
        if is_negative || bytes.iter().all(|byte| *byte == 0) {
            return Err(SerialError);
        }
        let mut padded = [0; 20];
        padded[padding..].copy_from_slice(bytes);
        Ok(Self(padded))
    }

    /// 20 octets, big-endian, with zeros before a shorter number.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The content octets of the DER INTEGER, as they stand in the certificate.
    pub fn der_octets(&self) -> &[u8] {
        let number = self.magnitude();
        // A leading zero keeps the number positive.
        if number[0] < 0x80 { number } else { &self.0[19 - number.len()..] }
    }

    /// Decimal digits, as some systems write it.
    pub fn to_decimal(&self) -> String {
        let mut rest = self.0;
        let mut digits = Vec::with_capacity(49);
        while rest.iter().any(|octet| *octet != 0) {
            let mut remainder = 0u16;
            for octet in &mut rest {
                let value = remainder << 8 | u16::from(*octet);
                (*octet, remainder) = ((value / 10) as u8, value % 10);
            }
            digits.push(b'0' + remainder as u8);
        }
        digits.iter().rev().map(|digit| char::from(*digit)).collect()
    }

    /// Reads decimal digits.
    pub fn from_decimal(text: &str) -> Result<Self, SerialError> {
        let mut bytes = [0u8; 20];
        for digit in text.bytes() {
            let mut carry = u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10).ok_or(SerialError)?);
            for octet in bytes.iter_mut().rev() {
                let value = u16::from(*octet) * 10 + carry;
                (*octet, carry) = (value as u8, value >> 8);
            }
            if carry != 0 {
                return Err(SerialError);
            }
        }
        Self::from_slice(&bytes)
    }

    /// Without zeros before it.
    fn magnitude(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        &self.0[zeros..]
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.magnitude().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8).ok_or(SerialError);
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').map(digit).collect::<Result<_, _>>()?;
        if digits.len() > 40 {
            return Err(SerialError);
        }
        let mut bytes = [0u8; 20];
        for (byte, pair) in bytes.iter_mut().rev().zip(digits.rchunks(2)) {
            *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
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
    fn only_positive_numbers_of_at_most_twenty_octets_are_a_serial() {
        for bytes in [&[1; 20][..], &[1], &[0x7f; 20], &[0, 0x80], &[0; 20].map(|_| 1)] {
            assert!(Serial::from_slice(bytes).is_ok());
        }
        for bytes in [&[1; 21][..], &[0; 20], &[0], &[0x80; 20], &[0x80], &[]] {
            assert_eq!(Serial::from_slice(bytes), Err(SerialError));
        }
        let text = "01".repeat(20);
        for bad in [
            "80".repeat(20).as_str(),
            "0x",
            "",
            "0",
            &format!("{text}00"),
            &text.replacen("01", "+1", 1),
            &text.replacen("01", "\u{e9}", 1),
        ] {
            assert_eq!(bad.parse::<Serial>(), Err(SerialError), "{bad}");
        }
    }

    #[test]
    fn a_short_number_is_written_as_der_and_people_write_it() {
        for (octets, text) in [(&[1][..], "01"), (&[0, 0x80], "80"), (&[0x7f, 0xff], "7fff"), (&[0, 0xff, 0], "ff00")] {
            let serial = Serial::from_slice(octets).unwrap();
            assert_eq!(serial.der_octets(), octets);
            assert_eq!(serial.to_string(), text);
            assert_eq!(text.parse(), Ok(serial));
            assert_eq!(Serial::from_slice(serial.as_bytes()), Ok(serial));
        }
        assert_eq!("F:F:0".parse::<Serial>().unwrap().to_string(), "0ff0");
        let long = Serial::from_slice(&[1; 20]).unwrap();
        assert_eq!(long.der_octets(), [1; 20]);
        assert!(Serial::from_slice(&[0x7f]).unwrap() < Serial::from_slice(&[1, 0]).unwrap());
    }

    #[test]
    fn decimal_digits_are_the_same_number() {
        for (text, decimal) in
            [("01", "1"), ("ff00", "65280"), (&"7f".repeat(20), "727885129180488904360266563744972327436484050815")]
        {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.to_decimal(), decimal);
            assert_eq!(Serial::from_decimal(decimal), Ok(serial));
        }
        let huge = "9".repeat(60);
        for bad in ["", "0", "1a", "-1", "+1", "1 ", "1461501637330902918203684832716283019655932542976", &huge] {
            assert_eq!(Serial::from_decimal(bad), Err(SerialError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_serial_survives_decimal_digits(seed: u64) {
            let serial = Serial::generate(&mut SplitMix(seed)).unwrap();
            prop_assert_eq!(Serial::from_decimal(&serial.to_decimal()), Ok(serial));
        }

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
