//! What can go wrong in any use case, as the surfaces need to know it.

use hsm::wire::Refusal;

use super::acme::error::AcmeError;
use super::administrators::AdministratorError;
use super::certificates::RevokeError;
use super::issue::IssueFailure;
use super::limits::ReleaseError;
use super::notary::accounts::AccountError;
use crate::issuance::ca::{CaError, ClientError};
use crate::store::{CommitError, StoreError};

/// What went wrong, sorted by whose turn it is. Each but [`Failure::Internal`] carries a sentence
/// for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It contradicts how things are: void challenge, already revoked, already unsealed.
    #[error("{0}")]
    Conflict(String),
    /// Our own fault; the sentence is for the log.
    #[error("{0}")]
    Internal(String),
    /// What was sent cannot be used as it is: no CSR, names that a profile does not take.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// The token or the policy says no.
    #[error("{0}")]
    Refused(String),
    /// Not now: sealed, busy, unreachable.
    #[error("{0}")]
    Unavailable(String),
}

impl From<CaError> for Failure {
    fn from(error: CaError) -> Self {
        let words = error.to_string();
        match error {
            CaError::Sealed | CaError::Faulted(_) => Self::Unavailable(words),
            CaError::Signer(error) => error.into(),
            CaError::Store(error) => error.into(),
            CaError::Commit(CommitError::Store(error)) => error.into(),
            CaError::Commit(CommitError::Conflict(_)) => Self::Conflict(words),
            CaError::Unknown(_) => Self::Missing(words),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let words = error.to_string();
        match error {
            ClientError::Epoch | ClientError::Lost | ClientError::Unreachable { .. } => Self::Unavailable(words),
            ClientError::Version(_) => Self::Internal(words),
            ClientError::Refused(refusal) => match refusal {
                Refusal::Busy | Refusal::Journal(_) | Refusal::Profile(_) | Refusal::Sealed | Refusal::Token(_) => {
                    Self::Unavailable(words)
                }
                Refusal::Challenge | Refusal::Forbidden(_) | Refusal::State(_) => Self::Conflict(words),
                Refusal::Pin { .. } | Refusal::Policy(_) => Self::Refused(words),
                Refusal::Number { .. } | Refusal::Serial => Self::Internal(words),
            },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        let words = error.to_string();
        match error {
            AcmeError::Internal(_) => Self::Internal(words),
            AcmeError::NotFound(_) | AcmeError::AccountDoesNotExist(_) => Self::Missing(words),
            AcmeError::Sealed | AcmeError::Unavailable(_) => Self::Unavailable(words),
            _ => Self::Refused(words),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Conflict(format!("{error}: try again")),
            CommitError::Store(error) => error.into(),
        }
    }
}

impl From<IssueFailure> for Failure {
    fn from(error: IssueFailure) -> Self {
        let words = error.to_string();
        match error {
            IssueFailure::Conflict(_) => Self::Conflict(words),
            IssueFailure::Csr(_) | IssueFailure::Refused(_) => Self::Invalid(words),
            IssueFailure::Internal(_) => Self::Internal(words),
            IssueFailure::Missing(_) => Self::Missing(words),
            IssueFailure::Pending(_) => Self::Conflict(words),
            IssueFailure::Sealed | IssueFailure::Unavailable(_) => Self::Unavailable(words),
        }
    }
}

impl From<AdministratorError> for Failure {
    fn from(error: AdministratorError) -> Self {
        let words = error.to_string();
        match error {
            AdministratorError::Ca(error) => error.into(),
            AdministratorError::Last | AdministratorError::Removed => Self::Conflict(words),
            AdministratorError::NobodysOwn => Self::Refused(words),
            AdministratorError::Unknown => Self::Missing(words),
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let words = error.to_string();
        match error {
            AccountError::Failure(failure) => failure,
            AccountError::Missing => Self::Missing(words),
            AccountError::NotFirst => Self::Refused(words),
            AccountError::Default | AccountError::Exists | AccountError::Last | AccountError::LastAdministrator => {
                Self::Conflict(words)
            }
        }
    }
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        let words = error.to_string();
        match error {
            ReleaseError::Commit(CommitError::Conflict(_)) => Self::Conflict(words),
            ReleaseError::Commit(CommitError::Store(error)) | ReleaseError::Store(error) => error.into(),
            ReleaseError::Nothing(_) => Self::Missing(words),
        }
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        let words = error.to_string();
        match error {
            RevokeError::Already(_)
            | RevokeError::Invalidity
            | RevokeError::NoHold { .. }
            | RevokeError::NotOurs(_) => Self::Conflict(words),
            RevokeError::Ca(error) => error.into(),
        }
    }
}
