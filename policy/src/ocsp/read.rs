//! What requests and responses have in common: extensions, and elements that must be there.

use super::OcspError;
use crate::tlv;

/// An element that may be there: its contents, and what follows.
pub(super) fn optional(input: &[u8], tag: u8) -> Result<(Option<&[u8]>, &[u8]), OcspError> {
    match input.first() {
        Some(first) if *first == tag => {
            let (contents, rest) = required(input, tag, "an element does not decode")?;
            Ok((Some(contents), rest))
        }
        _ => Ok((None, input)),
    }
}

/// An element that must be there: its contents, and what follows.
pub(super) fn required<'a>(input: &'a [u8], tag: u8, why: &'static str) -> Result<(&'a [u8], &'a [u8]), OcspError> {
    match tlv::split(input) {
        Some((found, contents, rest)) if found == tag => Ok((contents, rest)),
        _ => Err(OcspError::Der(why)),
    }
}

/// The only element of `input`.
pub(super) fn only<'a>(input: &'a [u8], tag: u8, why: &'static str) -> Result<&'a [u8], OcspError> {
    match required(input, tag, why)? {
        (contents, []) => Ok(contents),
        _ => Err(OcspError::Der(why)),
    }
}

/// One extension.
pub(super) struct Extension<'a> {
    pub(super) oid: &'a [u8],
    pub(super) is_critical: bool,
    /// Contents of the OCTET STRING.
    pub(super) value: &'a [u8],
}

/// The extensions in the contents of an explicit tag, each once.
pub(super) fn extensions(contents: &[u8]) -> Result<Vec<Extension<'_>>, OcspError> {
    const WHY: &str = "an extension does not decode";
    let mut rest = only(contents, tlv::SEQUENCE, WHY)?;
    let mut list: Vec<Extension<'_>> = Vec::new();
    while !rest.is_empty() {
        let (extension, next) = required(rest, tlv::SEQUENCE, WHY)?;
        let (oid, after) = required(extension, tlv::OBJECT_IDENTIFIER, WHY)?;
        let (critical, after) = optional(after, tlv::BOOLEAN)?;
        let value = only(after, tlv::OCTET_STRING, WHY)?;
        if list.iter().any(|other| other.oid == oid) {
            return Err(OcspError::Der("an extension stands twice"));
        }
        list.push(Extension { oid, is_critical: critical.is_some_and(|value| value != [0]), value });
        rest = next;
    }
    Ok(list)
}
