//! The bytes of a value: what it is, which version, and whether it is still what was written.
//!
//! ```text
//! offset  0      1                9              13
//!         format version (u64 BE) CRC-32 (u32 BE) JSON ...
//! ```
//!
//! The checksum covers the tree, the key, the version and the JSON, so a value that lies at another
//! key's place is damage too. The format octet stands outside it, so that a newer format may have
//! another checksum and is still refused with the right sentence.

use super::{StoreError, Tree};

/// The format of the envelopes written here.
pub const FORMAT: u8 = 1;

const HEAD: usize = 13;

/// Wraps `json` for the place `key` in `tree`.
pub fn encode(tree: Tree, key: &[u8], version: u64, json: &[u8]) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(HEAD + json.len());
    envelope.push(FORMAT);
    envelope.extend_from_slice(&version.to_be_bytes());
    envelope.extend_from_slice(&checksum(tree, key, version, json).to_be_bytes());
    envelope.extend_from_slice(json);
    envelope
}

/// The version and the JSON of the envelope that was read at `key` in `tree`; an error when it is
/// of a newer format or not what was written there. Total: any bytes give an answer.
pub fn decode<'a>(tree: Tree, key: &[u8], envelope: &'a [u8]) -> Result<(u64, &'a [u8]), StoreError> {
    let damaged = || StoreError::Damaged { tree: tree.0, key: readable(key) };
    if let Some(format) = envelope.first().filter(|format| **format > FORMAT) {
        return Err(StoreError::Newer(*format));
    }
    let (head, json) = envelope.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
    let [FORMAT, v0, v1, v2, v3, v4, v5, v6, v7, c0, c1, c2, c3] = *head else {
        return Err(damaged());
    };
    let version = u64::from_be_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
    if u32::from_be_bytes([c0, c1, c2, c3]) != checksum(tree, key, version, json) {
        return Err(damaged());
    }
    Ok((version, json))
}

/// The version that an envelope claims, its checksum not verified: what preconditions compare.
pub fn version(envelope: &[u8]) -> Option<u64> {
    let [FORMAT, rest @ ..] = envelope else { return None };
    rest.first_chunk().map(|version| u64::from_be_bytes(*version))
}

/// A key for a human: as text if it is printable, else in hexadecimal.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => format!("`{text}`"),
        _ => key.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn checksum(tree: Tree, key: &[u8], version: u64, json: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    // Lengths first, so that no two places have the same bytes.
    for part in [tree.0.as_bytes(), key] {
        crc.update(&(part.len() as u64).to_be_bytes());
        crc.update(part);
    }
    crc.update(&version.to_be_bytes());
    crc.update(json);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TREE: Tree = Tree("orders");

    #[test]
    fn a_value_comes_back_with_its_version() {
        let envelope = encode(TREE, b"k", 7, b"{}");
        assert_eq!(decode(TREE, b"k", &envelope).unwrap(), (7, b"{}".as_slice()));
        assert_eq!(version(&envelope), Some(7));
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let mut envelope = encode(TREE, b"k", 1, b"{}");
        envelope[0] = FORMAT + 1;
        assert!(matches!(decode(TREE, b"k", &envelope), Err(StoreError::Newer(2))));
    }

    #[test]
    fn a_value_at_another_place_is_damaged() {
        let envelope = encode(TREE, b"k", 1, b"{}");
        assert!(matches!(decode(TREE, b"l", &envelope), Err(StoreError::Damaged { .. })));
        assert!(matches!(decode(Tree("order"), b"sk", &envelope), Err(StoreError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = version(&bytes);
            let _ = decode(TREE, b"k", &bytes);
        }

        #[test]
        fn every_flipped_bit_is_found(json in "[ -~]{0,40}", bit in any::<prop::sample::Index>()) {
            let mut envelope = encode(TREE, b"k", 3, json.as_bytes());
            let bit = bit.index(envelope.len() * 8);
            envelope[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(TREE, b"k", &envelope).is_err());
        }
    }
}
