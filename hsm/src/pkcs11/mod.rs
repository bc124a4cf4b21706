//! One PKCS#11 token: module, slot, logins, sessions, keys, error classes. All unsafe of the crate.

use std::path::Path;
use std::time::Duration;

use policy::key::{KeyAlgorithm, PublicKey, SignatureScheme};
use zeroize::Zeroizing;

/// A token's PIN. Read by the login call alone.
pub(crate) struct Pin(pub(crate) Zeroizing<Vec<u8>>);

/// What to load and where to look.
pub(crate) struct TokenConfig<'a> {
    pub(crate) module: &'a Path,
    pub(crate) arguments: Option<&'a str>,
    pub(crate) environment: &'a std::collections::BTreeMap<String, String>,
    pub(crate) uri: &'a str,
    pub(crate) sessions: usize,
    pub(crate) deadline: Duration,
}

/// A loaded module and the slot that holds the token. Shared between threads.
pub(crate) struct Token {
    _private: (),
}

/// One key in the token, found once and cached until a session is lost.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey {
    pub(crate) label: String,
    pub(crate) public: PublicKey,
}

/// Classes of trouble with a token: what to do about a CK_RV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The same call may succeed at once or soon.
    Transient,
    /// Log in again, then try again.
    Relogin,
    /// Open a new session and find the keys again, then try again.
    Reopen,
    /// The module or token is gone or broken: end this process, a fresh one loads the module anew.
    Restart,
    /// This request can never succeed.
    Permanent,
    /// Somebody must act (PIN locked, token full, not initialised).
    Operator,
}

/// Trouble with the token: which function, what it said, what class that is.
#[derive(Debug, thiserror::Error)]
#[error("{function}: {what}")]
pub(crate) struct TokenError {
    pub(crate) function: &'static str,
    pub(crate) what: String,
    pub(crate) class: ErrorClass,
}

/// What came of a login.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("the token refused the PIN")]
    WrongPin,
    #[error("the token has locked the PIN: reset it with the security officer's PIN")]
    Locked,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Token {
    /// Loads the module and finds the token by its URI, retrying for a bounded time.
    pub(crate) fn open(config: &TokenConfig<'_>) -> Result<Self, TokenError> {
        let _ = config;
        unimplemented!()
    }

    /// Logs in: exactly one C_Login reaches the token. The anchor session keeps the login.
    pub(crate) fn login(&self, pin: &Pin) -> Result<(), LoginError> {
        let _ = pin;
        unimplemented!()
    }

    /// Logs out and closes every session.
    pub(crate) fn logout(&self) {
        unimplemented!()
    }

    /// Finds a private key by label and reads its public half; checks that it is sensitive, not
    /// extractable, and able to sign.
    pub(crate) fn key(&self, label: &str) -> Result<TokenKey, TokenError> {
        let _ = label;
        unimplemented!()
    }

    /// Signs in the token and verifies with the public key. Recovers by itself from what its class
    /// says can be recovered from within this process; ECDSA comes back as DER Ecdsa-Sig-Value.
    pub(crate) fn sign(&self, key: &TokenKey, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let _ = (key, scheme, message);
        unimplemented!()
    }

    /// Generates a key pair in the token: sensitive, not extractable, sign only; reads the
    /// attributes back and refuses what differs. Fails if the label is taken.
    pub(crate) fn generate(&self, label: &str, algorithm: KeyAlgorithm, bits: u16) -> Result<TokenKey, TokenError> {
        let _ = (label, algorithm, bits);
        unimplemented!()
    }

    /// How long the oldest call in progress has taken, for the watchdog.
    pub(crate) fn oldest_call(&self) -> Option<Duration> {
        unimplemented!()
    }
}
