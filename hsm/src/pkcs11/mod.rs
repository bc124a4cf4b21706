//! One PKCS#11 token: module, slot, logins, sessions, keys, error classes. All unsafe of the crate.

mod calls;
mod errors;
mod key;
mod meter;
mod module;
mod secret;
mod session;
mod sign;
mod survey;
mod uri;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use policy::key::{Hashed, KeyAlgorithm, PublicKey, SignatureScheme};
use zeroize::Zeroizing;

pub(crate) use module::create_token;
pub(crate) use secret::IV;
pub(crate) use survey::{Library, PinState, Seen, Survey};

use crate::wire::Operations;
use key::Objects;
use meter::Meter;
use module::Module;
use session::{Lease, Sessions};
use sign::Job;

/// Before the one more try after an error that may pass.
const PAUSE: Duration = Duration::from_millis(5);

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
///
/// Dropping it logs out, closes every session and finalises the module, in this order. Then
/// another token can be opened; there is one at a time in a process.
pub(crate) struct Token {
    sessions: Sessions,
    bad_signatures: AtomicU64,
    meter: Meter,
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
    #[error("the token refused the PIN: make sure that it is the user PIN of this token, then try again")]
    WrongPin,
    #[error("the token has locked the PIN: reset it with the security officer's PIN")]
    Locked,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Token {
    /// Loads the module and finds the token by its URI, retrying for a bounded time.
    ///
    /// It sets the environment that the configuration names, so no other thread may be running
    /// that reads it.
    pub(crate) fn open(config: &TokenConfig<'_>) -> Result<Self, TokenError> {
        let (module, slot) = Module::find(config)?;
        let sessions = Sessions::new(module, slot, config.sessions, config.deadline);
        Ok(Self { sessions, bad_signatures: AtomicU64::new(0), meter: Meter::default() })
    }

    /// Logs in: exactly one C_Login reaches the token. The anchor session keeps the login, and the
    /// PIN is kept, to log in again when the token loses the login, until [`Token::logout`] or
    /// until the token refuses it.
    pub(crate) fn login(&self, pin: &Pin) -> Result<(), LoginError> {
        self.sessions.login(pin)
    }

    /// Logs out, forgets the PIN and closes every session.
    pub(crate) fn logout(&self) {
        self.sessions.logout();
    }

    /// Whether nobody is logged in: before a login, after a logout, and when the token refused a PIN
    /// that it had taken before.
    pub(crate) fn is_logged_out(&self) -> bool {
        self.sessions.is_logged_out()
    }

    /// Finds a private key by label and reads its public half; checks that it is sensitive, not
    /// extractable, and able to sign.
    pub(crate) fn key(&self, label: &str) -> Result<TokenKey, TokenError> {
        self.key_if_there(label)?.ok_or_else(|| {
            let what =
                format!("the token has no private key labelled `{label}`: correct the label, or run the ceremony");
            TokenError::new("C_FindObjects", ErrorClass::Operator, what)
        })
    }

    /// The same for a key that may not be there.
    pub(crate) fn key_if_there(&self, label: &str) -> Result<Option<TokenKey>, TokenError> {
        self.recovering(|lease| {
            let objects = self.objects(lease);
            let Some(private) = objects.private(label)? else { return Ok(None) };
            let key = objects.read(label, private)?;
            lease.remember(label, private);
            Ok(Some(key))
        })
    }

    /// Signs in the token and verifies with the public key. Recovers by itself from what its class
    /// says can be recovered from within this process; ECDSA comes back as DER Ecdsa-Sig-Value.
    pub(crate) fn sign(&self, key: &TokenKey, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let hashed = Hashed::of(scheme, message)
            .map_err(|error| TokenError::new("C_Sign", ErrorClass::Permanent, error.to_string()))?;
        self.sign_hashed(key, &hashed)
    }

    /// The same for a message that was hashed piece by piece.
    pub(crate) fn sign_hashed(&self, key: &TokenKey, hashed: &Hashed) -> Result<Vec<u8>, TokenError> {
        let scheme = hashed.scheme();
        if sign::algorithm(scheme) != key.public.algorithm() {
            let what = format!("the key `{}` does not sign {scheme:?}", key.label);
            return Err(TokenError::new("C_SignInit", ErrorClass::Permanent, what));
        }
        let job = Job::new(hashed);
        let started = Instant::now();
        let signed = self.recovering(|lease| {
            let handle = match lease.handle(&key.label) {
                Some(handle) => handle,
                None => {
                    // It was there before. A login that the token lost without saying so looks the same.
                    let handle = self.objects(lease).private(&key.label)?.ok_or_else(|| {
                        let what = format!("the key `{}` is gone from the token", key.label);
                        TokenError::new("C_FindObjects", ErrorClass::Relogin, what)
                    })?;
                    lease.remember(&key.label, handle);
                    handle
                }
            };
            let sign = |_: &_| lease.session().sign(&job.mechanism, handle, &job.input);
            let answer = self.sessions.module().call("C_Sign", sign)?;
            let signature = job.signature(answer);
            match signature.filter(|signature| key.public.verify_hashed(hashed, signature).is_ok()) {
                Some(good) => {
                    self.sessions.proven();
                    Ok(good)
                }
                None => Err(self.bad_signature(&key.label)),
            }
        });
        self.meter.note(&key.label, scheme, started.elapsed(), signed.is_ok());
        signed
    }

    /// What was asked of each key since the process started.
    pub(crate) fn operations(&self) -> Vec<Operations> {
        self.meter.read()
    }

    /// Generates a key pair in the token: sensitive, not extractable, sign only; reads the
    /// attributes back and refuses what differs. Fails if the label is taken. `bits` is for RSA.
    pub(crate) fn generate(&self, label: &str, algorithm: KeyAlgorithm, bits: u16) -> Result<TokenKey, TokenError> {
        self.with_writing(|objects| objects.generate(label, algorithm, bits))
    }

    /// Does what takes a session that may write.
    fn with_writing<T>(&self, make: impl FnOnce(&Objects<'_>) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let module = self.sessions.module();
        // The lease proves the login, and keeps it.
        let lease = self.sessions.lease()?;
        let session = module.call("C_OpenSession", |pkcs11| pkcs11.open_rw_session_no_drop(self.sessions.slot()))?;
        let made = make(&Objects { module, session: &session });
        module.close_session(session);
        if made.is_ok() {
            lease.keep();
        }
        made
    }

    /// How long the oldest call in progress has taken, for the watchdog.
    pub(crate) fn oldest_call(&self) -> Option<Duration> {
        self.sessions.module().oldest_call()
    }

    fn objects<'a>(&'a self, lease: &'a Lease<'_>) -> Objects<'a> {
        Objects { module: self.sessions.module(), session: lease.session() }
    }

    fn bad_signature(&self, label: &str) -> TokenError {
        let so_far = self.bad_signatures.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(label, so_far, "the token made a signature that does not verify");
        let what = format!("the token made a signature that `{label}` does not verify: it was thrown away");
        TokenError::new("C_Sign", ErrorClass::Transient, what)
    }

    /// Runs `attempt` with a session. After an error it does what the error's class says, once for
    /// each class, and attempts again; what this process cannot heal, a fresh one may.
    fn recovering<T>(&self, mut attempt: impl FnMut(&Lease<'_>) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut tried = Vec::new();
        loop {
            let seen = self.sessions.generation();
            let (seen, error) = match self.sessions.lease() {
                Ok(lease) => match attempt(&lease) {
                    Ok(done) => {
                        lease.keep();
                        return Ok(done);
                    }
                    Err(error) => (lease.generation(), error),
                },
                // It has waited for long enough.
                Err(error) if error.class == ErrorClass::Transient => return Err(error),
                Err(error) => (seen, error),
            };
            if tried.contains(&error.class) {
                return Err(error.beyond_recovery());
            }
            tried.push(error.class);
            tracing::warn!(event = "token_failed", %error, class = ?error.class, "the token failed");
            match error.class {
                ErrorClass::Transient => sleep(PAUSE),
                ErrorClass::Relogin => self.sessions.relogin(seen).map_err(TokenError::beyond_recovery)?,
                ErrorClass::Reopen => self.sessions.reopen(seen).map_err(TokenError::beyond_recovery)?,
                ErrorClass::Operator | ErrorClass::Permanent | ErrorClass::Restart => return Err(error),
            }
        }
    }
}
