//! Why an ACME request is refused. `api::acme::problem` turns it into a problem document.

use policy::effects::EntropyError;
use policy::name::Name;
use policy::profile::Refusal;

use super::accounts::TermsRequired;
use super::identifiers::identifier;
use super::nonce::NonceError;
use crate::issuance::IssueError;
use crate::issuance::ca::CaError;
use crate::service::limits::{LimitError, TooMuch};
use crate::store::{CommitError, StoreError};
use crate::validation::Failure;

/// Why a request is refused. The texts are for the client.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// No account has this key or URL.
    #[error("{0}")]
    AccountDoesNotExist(&'static str),
    /// The certificate has a replacement already (RFC 9773 section 7.4).
    #[error("the certificate was replaced already: an order that is valid or may become so names it in `replaces`")]
    AlreadyReplaced,
    /// It is revoked already.
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    /// The CSR is refused.
    #[error("{0}")]
    BadCsr(String),
    /// The nonce is missing, used or unknown.
    #[error("{0}")]
    BadNonce(String),
    /// The key is refused.
    #[error("{0}")]
    BadPublicKey(String),
    /// The reason code is not one that a subscriber can give.
    #[error("reason {0} is not one that can be given: use one of 0, 1, 3, 4, 5, or none")]
    BadRevocationReason(String),
    /// The JWS algorithm is not accepted.
    #[error("{0}")]
    BadSignatureAlgorithm(String),
    /// A new account must be bound to an external account key.
    #[error("a new account must be bound to an external account key: ask the administrators of this CA for one")]
    ExternalAccountRequired,
    /// The order has its certificate: an earlier attempt that seemed to have failed had not.
    #[error("the order is valid already: fetch its certificate")]
    Completed,
    /// Names whose checks failed, each for its reason.
    #[error("this CA may not issue for some of the names, each for the reason in its subproblem")]
    Failures(Vec<(Name, Failure)>),
    /// Our own fault; the text goes to the log, not to the client.
    #[error("{0}")]
    Internal(String),
    /// A contact is not an address.
    #[error("{0}")]
    InvalidContact(String),
    /// The profile does not exist or is not offered.
    #[error("{0}")]
    InvalidProfile(String),
    /// The key belongs to the account of this id.
    #[error("the key belongs to an account already: make another")]
    KeyInUse(String),
    /// The request is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The resource does not take this method.
    #[error("this resource takes {0} only")]
    MethodNotAllowed(&'static str),
    /// None of the media types that the client accepts is offered.
    #[error("the certificate is served as application/pem-certificate-chain only")]
    NotAcceptable,
    /// There is nothing at this URL.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The order is not ready to be finalized.
    #[error("{0}")]
    OrderNotReady(String),
    /// Somebody asks for too much.
    #[error(transparent)]
    RateLimited(#[from] TooMuch),
    /// Names that are refused, each for its reason.
    #[error("the order has names that are refused, each for the reason in its subproblem")]
    RejectedIdentifiers(Vec<Rejected>),
    /// The CA is sealed.
    #[error("strongbox sealed")]
    Sealed,
    /// The account is not valid any more.
    #[error("the account is deactivated")]
    AccountDeactivated,
    /// The body is too large.
    #[error("the request is too large")]
    TooLarge,
    /// The one who asks may not.
    #[error("{0}")]
    Unauthorized(String),
    /// Nothing can be signed now.
    #[error("{0}")]
    Unavailable(String),
    /// Only mailto contacts are supported.
    #[error("{0}")]
    UnsupportedContact(String),
    /// The content type is another.
    #[error("send the request as application/jose+json")]
    UnsupportedMediaType,
    /// The terms of service must be agreed to.
    #[error("agree to the terms of service at {}: send `termsOfServiceAgreed`: true", .0.terms)]
    UserActionRequired(TermsRequired),
}

/// A name that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Identifier type, as it was sent.
    pub kind: String,
    /// Identifier value, as it was sent.
    pub value: String,
    /// What is wrong with it.
    pub why: Rejection,
    /// One sentence.
    pub detail: String,
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is not a name.
    Malformed,
    /// Policy, or the lack of a method, forbids it.
    Rejected,
    /// Its type is not supported.
    Unsupported,
}

impl AcmeError {
    /// All that it says to the client, in one text without subproblems.
    pub(super) fn in_full(&self) -> String {
        let parts: Vec<String> = match self {
            Self::Failures(failures) => {
                failures.iter().map(|(name, failure)| format!("{name}: {}", failure.detail)).collect()
            }
            Self::RejectedIdentifiers(rejected) => {
                rejected.iter().map(|one| format!("{}: {}", one.value, one.detail)).collect()
            }
            other => vec![other.to_string()],
        };
        parts.join("; ")
    }
}

impl From<NonceError> for AcmeError {
    fn from(error: NonceError) -> Self {
        match error {
            NonceError::Malformed => Self::Malformed(error.to_string()),
            NonceError::Stale => Self::BadNonce(error.to_string()),
            NonceError::Unavailable(why) => Self::Internal(why),
        }
    }
}

impl From<StoreError> for AcmeError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<CommitError> for AcmeError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => {
                Self::Unavailable("another request changed the same object at the same time: try again".into())
            }
            CommitError::Store(error) => error.into(),
        }
    }
}

impl From<LimitError> for AcmeError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::TooMuch(error) => error.into(),
            LimitError::Store(error) => error.into(),
        }
    }
}

impl From<EntropyError> for AcmeError {
    fn from(error: EntropyError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<IssueError> for AcmeError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::AskHuman => Self::BadCsr(error.to_string()),
            IssueError::Completed => Self::Completed,
            IssueError::Faulted(why) => Self::Internal(why),
            IssueError::Refused(Refusal { name: Some(name), why, .. }) => {
                let (kind, value) = identifier(&name);
                let kind = kind.to_owned();
                Self::RejectedIdentifiers(vec![Rejected { kind, value, why: Rejection::Rejected, detail: why }])
            }
            IssueError::Refused(Refusal { name: None, why, .. }) => Self::BadCsr(why),
            IssueError::Sealed => Self::Sealed,
            IssueError::Store(error) => error.into(),
            IssueError::Tbs(error) => Self::Internal(error.to_string()),
            IssueError::Unavailable(why) => Self::Unavailable(why),
            IssueError::UnknownProfile(name) => {
                Self::InvalidProfile(format!("the profile `{name}` is no longer offered: make a new order"))
            }
        }
    }
}

impl From<CaError> for AcmeError {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Sealed => Self::Sealed,
            error @ (CaError::Faulted(_) | CaError::Signer(_)) => {
                tracing::warn!(%error, "the CA signer did not do it");
                Self::Unavailable("this CA cannot do it at the moment: try again soon".into())
            }
            CaError::Store(error) => error.into(),
            CaError::Commit(error) => error.into(),
            CaError::Unknown(what) => Self::NotFound(what),
        }
    }
}
