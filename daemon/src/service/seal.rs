//! The seal: whether anything can be signed, and how an administrator changes that. `signetd` only
//! forwards: what is in the box it cannot read.

use hsm::wire::SealStatus;

pub use hsm::wire::{Challenge, UnsealBox};

use super::administrators::Permitted;
use super::{Services, health};
use crate::issuance::ca::CaError;

/// The words that every sealed answer carries.
pub const SEALED: &str = "strongbox sealed";

/// Why the CA's key cannot be used now, in words for any client; administrators see more in the
/// status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The token cannot be used, or the store does not go together with the signer's journal.
    #[error("the CA's key cannot be used: its administrators see why in the status")]
    Faulted,
    /// The signer knows no PIN.
    #[error("{SEALED}")]
    Sealed,
    /// The signer does not answer, or the store has not caught up with it.
    #[error("the CA's signer cannot be reached: try again later")]
    Unreachable,
}

impl Unusable {
    /// One word for health and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Faulted => "faulted",
            Self::Sealed => "sealed",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Services {
    /// Whether the CA's key can be used, as last seen; asks nobody and never waits.
    pub fn key_usable(&self) -> Result<(), Unusable> {
        match self.ca.seal() {
            Ok(SealStatus::Unsealed) => Ok(()),
            Ok(SealStatus::Sealed | SealStatus::Unsealing { .. }) => Err(Unusable::Sealed),
            Ok(SealStatus::Faulted { .. }) => Err(Unusable::Faulted),
            Err(_) => Err(Unusable::Unreachable),
        }
    }

    /// Why the CA's key cannot be used although its signer answers; for administrators.
    pub fn fault(&self) -> Option<String> {
        match self.ca.seal() {
            Ok(SealStatus::Faulted { why }) => Some(why),
            _ => None,
        }
    }

    /// A single-use challenge to encrypt the PIN to.
    pub async fn unseal_challenge(&self, _permitted: &Permitted) -> Result<Challenge, CaError> {
        self.ca.challenge().await
    }

    /// Forwards the encrypted PIN: one attempt on the token.
    pub async fn unseal(&self, permitted: &Permitted, boxed: UnsealBox) -> Result<(), CaError> {
        self.ca.unseal(boxed, permitted.actor()).await?;
        tracing::info!(who = permitted.actor().who, "unsealed");
        // Whoever looks at the status next sees what he did.
        self.vitals.note(health::CA, self.ca.status().await.map_err(|error| error.to_string()));
        // What could not be signed while it was sealed.
        self.revocation.wake();
        Ok(())
    }

    /// Seals: the signer forgets the PIN and starts afresh.
    pub async fn seal(&self, permitted: &Permitted) -> Result<(), CaError> {
        let actor = permitted.actor();
        tracing::info!(who = actor.who, "sealing");
        self.ca.seal_now(actor).await
    }
}
