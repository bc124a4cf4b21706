//! DER by hand, for what is written or read as a stream: one tag octet, a length, contents (X.690
//! sections 8.1 and 10.1).

use std::io::{self, Read};

pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const UTC_TIME: u8 = 0x17;

/// Context-specific, constructed.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Octets of tag and length before `length` octets of contents.
pub(crate) fn header_len(length: u64) -> usize {
    if length < 128 { 2 } else { 2 + length_octets(length) }
}

/// Most octets of tag and length that are read or written: contents of less than 2^32 octets.
pub(crate) const MAX_HEADER: usize = 6;

fn length_octets(length: u64) -> usize {
    8 - length.leading_zeros() as usize / 8
}

/// Writes tag and length.
pub(crate) fn header(out: &mut Vec<u8>, tag: u8, length: u64) {
    out.push(tag);
    if length < 128 {
        out.push(length as u8);
        return;
    }
    let octets = length_octets(length);
    out.push(0x80 | octets as u8);
    out.extend_from_slice(&length.to_be_bytes()[8 - octets..]);
}

/// Writes an element.
pub(crate) fn element(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    header(out, tag, contents.len() as u64);
    out.extend_from_slice(contents);
}

/// Writes an element whose contents `write` appends.
pub(crate) fn nested(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    // Room for the usual short length; what is longer is moved.
    out.extend_from_slice(&[tag, 0]);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    if length < 128 {
        out[start - 1] = length as u8;
        return;
    }
    let mut head = Vec::with_capacity(MAX_HEADER);
    header(&mut head, tag, length as u64);
    out.splice(start - 2..start, head);
}

/// Reads tag and length in their one DER form: the shortest, definite, below 2^32.
pub(crate) fn read_header(input: &mut impl Read) -> io::Result<(u8, u64)> {
    let malformed = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut two = [0; 2];
    input.read_exact(&mut two)?;
    let [tag, first] = two;
    if tag & 0x1f == 0x1f {
        return Err(malformed("a tag has more than one octet"));
    }
    if first < 128 {
        return Ok((tag, first.into()));
    }
    let octets = usize::from(first & 0x7f);
    if !(1..=4).contains(&octets) {
        return Err(malformed("a length is indefinite or too long"));
    }
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes[8 - octets..])?;
    let length = u64::from_be_bytes(bytes);
    if length < 128 || length_octets(length) != octets {
        return Err(malformed("a length is not in its shortest form"));
    }
    Ok((tag, length))
}

/// The element at the start of `input`: its tag, its contents, and what follows.
pub(crate) fn split(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let mut rest = input;
    let (tag, length) = read_header(&mut rest).ok()?;
    let (contents, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for (bytes, expected) in [
            (&[0x30, 0x00][..], Some(0)),
            (&[0x30, 0x7f], Some(127)),
            (&[0x30, 0x81, 0x80], Some(128)),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], Some(0xffff_ffff)),
            (&[0x30, 0x81, 0x7f], None),
            (&[0x30, 0x82, 0x00, 0xff], None),
            (&[0x30, 0x80], None),
            (&[0x30, 0x85, 1, 0, 0, 0, 0], None),
            (&[0x3f, 0x81, 0x00], None),
            (&[0x30], None),
        ] {
            let read = read_header(&mut { bytes }).ok().map(|(_, length)| length);
            assert_eq!(read, expected, "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_survives_and_has_the_length_that_was_said(tag in 0u8..0x1f, length in 0u64..=0xffff_ffff) {
            let mut out = Vec::new();
            header(&mut out, tag, length);
            prop_assert_eq!(out.len(), header_len(length));
            prop_assert!(out.len() <= MAX_HEADER);
            prop_assert_eq!(read_header(&mut out.as_slice()).unwrap(), (tag, length));
        }

        #[test]
        fn an_element_is_split_off(contents in prop::collection::vec(any::<u8>(), 0..400), rest: Vec<u8>) {
            let (mut plain, mut inside) = (Vec::new(), Vec::new());
            element(&mut plain, SEQUENCE, &contents);
            nested(&mut inside, SEQUENCE, |out| out.extend_from_slice(&contents));
            prop_assert_eq!(&plain, &inside);
            plain.extend_from_slice(&rest);
            prop_assert_eq!(split(&plain), Some((SEQUENCE, contents.as_slice(), rest.as_slice())));
        }
    }
}
