//! Why a validation failed, in words for the client.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a validation failed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ValidationFailure")]
pub struct Failure {
    /// Which kind.
    pub kind: FailureKind,
    /// One sentence: which name, URL and address, what was found, what was expected.
    pub detail: String,
    /// Whether trying again can help.
    pub retry: Retry,
}

/// Kinds of failures of a validation, named as RFC 8555 section 6.7 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// CAA records forbid it, or could not be had.
    Caa,
    /// The server could not be connected to, or did not answer in time.
    Connection,
    /// The name has no address or record, or DNS failed.
    Dns,
    /// The answer is not what the challenge asks for.
    IncorrectResponse,
    /// A record of dns-persist-01 is not what the draft says.
    Malformed,
    /// The TLS handshake failed.
    Tls,
    /// The answer must not be used: an address or redirect outside what is allowed, or a status
    /// other than 200; or the records are for somebody else.
    Unauthorized,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// The answer was definite.
    No,
    /// Something on the way did not work, or may not be visible everywhere yet.
    Yes,
}

/// Longest detail of a failure, in characters.
const MAX_DETAIL: usize = 600;

/// Longest excerpt of foreign bytes, in octets.
const MAX_EXCERPT: usize = 100;

impl Failure {
    pub(super) fn new(kind: FailureKind, retry: Retry, detail: impl AsRef<str>) -> Self {
        Self { kind, retry, detail: printable(detail.as_ref(), MAX_DETAIL) }
    }
}

impl FailureKind {
    /// Its name, as in the type of a problem document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caa => "caa",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::IncorrectResponse => "incorrectResponse",
            Self::Malformed => "malformed",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// The beginning of a text in printable ASCII, the rest as dots.
pub(super) fn printable(text: &str, length: usize) -> String {
    text.chars().take(length).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '.' }).collect()
}

/// The beginning of foreign bytes, quoted and fit to be shown: printable ASCII, the rest as dots.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text: String = bytes
        .iter()
        .take(MAX_EXCERPT)
        .map(|octet| if octet.is_ascii_graphic() || *octet == b' ' { char::from(*octet) } else { '.' })
        .collect();
    let rest = if bytes.len() > MAX_EXCERPT { " and more" } else { "" };
    format!("\"{text}\"{rest}")
}

/// The first few of several values, each as an [`excerpt`].
pub(super) fn excerpts<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>) -> String {
    const SHOWN: usize = 3;
    let more = values.len().saturating_sub(SHOWN);
    let text = values.take(SHOWN).map(excerpt).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_reads_is_printable_and_short() {
        let failure = Failure::new(FailureKind::Dns, Retry::No, "a\u{1b}[31m\nb\u{202e}".repeat(500));
        assert_eq!(failure.detail.len(), MAX_DETAIL);
        assert!(failure.detail.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{failure:?}");
        assert_eq!(excerpt(b"a\0\xff\"b"), "\"a..\"b\"");
        let many = [&[b'x'; 200][..]; 5];
        assert!(excerpts(many.into_iter()).ends_with("and 2 more"));
    }
}
