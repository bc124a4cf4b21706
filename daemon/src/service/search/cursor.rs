//! Where a page ends, in a form that callers keep and do not read.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::MAX_KEY;

/// The last key that was looked at, and in which index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) index: u8,
    pub(super) key: Vec<u8>,
}

/// The text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: take it from `next` of the page before, as it stands there")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = std::iter::once(self.index).chain(self.key.iter().copied()).collect();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > MAX_KEY * 2 {
            return Err(CursorError);
        }
        match URL_SAFE_NO_PAD.decode(text).ok().as_deref() {
            Some([index, key @ ..]) if !key.is_empty() => Ok(Self { index: *index, key: key.to_vec() }),
            _ => Err(CursorError),
        }
    }
}
