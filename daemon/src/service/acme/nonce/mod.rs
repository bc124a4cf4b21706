//! Nonces (RFC 8555 section 6.5): authenticated, each good once, in bounded space.
//!
//! [`Memory`] is for one daemon and writes nothing for a nonce; [`Stored`] is for several over one
//! store, where a use is one unique insert. The configuration chooses.

mod memory;
mod stored;
#[cfg(test)]
mod tests;

use std::pin::Pin;

pub use memory::{Memory, Part};
pub use stored::Stored;

/// Makes nonces, and takes each back once.
pub trait Nonces: Send + Sync {
    /// A fresh nonce: 43 characters of base64url.
    fn make(&self) -> Result<String, NonceError>;

    /// Takes a nonce back. Of any number of simultaneous uses of one nonce exactly one succeeds.
    fn take<'a>(&'a self, nonce: &'a str) -> Taking<'a>;

    /// What an orderly stop must write down, so that nonces stay good; afterwards none is taken.
    fn export(&self) -> Vec<Part>;
}

/// A nonce that is being taken back.
pub type Taking<'a> = Pin<Box<dyn Future<Output = Result<(), NonceError>> + Send + 'a>>;

/// Why a nonce is refused, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Not base64url (RFC 8555 section 6.5.2).
    #[error("the nonce is not base64url")]
    Malformed,
    /// Not one of ours, too old, or used before.
    #[error("the nonce is unknown, too old or was used before: repeat the request with the one of this answer")]
    Stale,
    /// The store or the system's generator failed.
    #[error("{0}")]
    Unavailable(String),
}
