//! Time and randomness, passed in as arguments so that every decision can be repeated in a test.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z. Never negative, never a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This time plus `seconds`, or the last representable time.
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This time minus `seconds`, or 1970-01-01T00:00:00Z.
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

/// Where the current time comes from.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> UnixTime;
}

/// The source of random bytes failed; nothing that needs randomness may go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct EntropyError;

/// Where random bytes come from.
pub trait Entropy: Send {
    /// Fills `out` with bytes from a cryptographically secure generator.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
}
