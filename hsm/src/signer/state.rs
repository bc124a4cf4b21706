//! Seal states, and what each one holds.

use std::sync::Arc;

use super::keys::Keys;
use super::table::StateKind;
use crate::seal::Invitation;
use crate::wire::SealStatus;

/// The seal state of a signer.
pub(super) enum SealState {
    /// The token cannot be used; only a restart leaves this state.
    Faulted {
        /// One sentence that says what to do.
        why: String,
    },
    /// No PIN is known. The invitation tells how to bring it.
    Sealed(Box<Invitation>),
    /// A PIN is on its way to the token.
    Unsealing,
    /// The token is logged in.
    Unsealed(Arc<Keys>),
}

impl SealState {
    pub(super) fn kind(&self) -> StateKind {
        match self {
            Self::Faulted { .. } => StateKind::Faulted,
            Self::Sealed(_) => StateKind::Sealed,
            Self::Unsealing => StateKind::Unsealing,
            Self::Unsealed(_) => StateKind::Unsealed,
        }
    }

    pub(super) fn status(&self) -> SealStatus {
        match self {
            Self::Faulted { why } => SealStatus::Faulted { why: why.clone() },
            Self::Sealed(_) => SealStatus::Sealed,
            Self::Unsealing => SealStatus::Unsealing { threshold: 1, received: 1 },
            Self::Unsealed(_) => SealStatus::Unsealed,
        }
    }

    /// Why the token cannot be used, if it cannot.
    pub(super) fn fault(&self) -> Option<&str> {
        match self {
            Self::Faulted { why } => Some(why),
            _ => None,
        }
    }

    /// What systemd shows beside the unit's name.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Faulted { why } => format!("Faulted: {why}"),
            Self::Sealed(_) | Self::Unsealing => "Sealed".to_owned(),
            Self::Unsealed(_) => "Unsealed".to_owned(),
        }
    }
}
