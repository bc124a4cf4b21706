//! Sessions: an anchor that keeps the login, and a bounded pool that signs.
//!
//! PKCS#11 logs in a whole application, until its last session is closed: the anchor is that
//! session, and is never lent. Everything that a login makes valid (sessions, object handles)
//! belongs to a *generation*; a new generation forgets all of the old one at once. A session that
//! saw an error is closed, never lent again.
//!
//! Lock order: `access`, then `pool`. No call into the module is made while `pool` is locked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use super::module::Module;
use super::{ErrorClass, LoginError, Pin, TokenError};

/// Logins in a row that may be made without a good signature between them. A token that loses
/// every login is broken, and must not be asked for ever.
const MAX_RELOGINS: u32 = 3;

/// The sessions of one token. It owns the module, because every session must be closed before the
/// module is finalised.
pub(super) struct Sessions {
    module: Module,
    slot: Slot,
    size: usize,
    deadline: Duration,
    access: Mutex<Access>,
    pool: Mutex<Pool>,
    returned: Condvar,
    relogins: AtomicU32,
}

/// The login. Locked for as long as one is made or ended.
#[derive(Default)]
struct Access {
    anchor: Option<Session>,
    /// Present while unsealed: what a lost login is made good with.
    pin: Option<Pin>,
}

struct Pool {
    generation: u64,
    state: State,
    idle: Vec<Session>,
    /// Sessions that exist, lent or idle; the anchor is not counted.
    open: usize,
    /// How many may exist: the configured size, or what the token was willing to give.
    limit: usize,
    handles: HashMap<String, ObjectHandle>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    LoggedIn,
    LoggedOut,
    /// A lost login is being made good: nothing is lent until it is.
    Recovering,
}

/// A session on loan. It goes back to the pool by [`Lease::keep`]; dropped otherwise, it is closed.
pub(super) struct Lease<'a> {
    sessions: &'a Sessions,
    session: Option<Session>,
    generation: u64,
}

impl Sessions {
    pub(super) fn new(module: Module, slot: Slot, size: usize, deadline: Duration) -> Self {
        let size = size.max(1);
        let pool = Pool {
            generation: 0,
            state: State::LoggedOut,
            idle: Vec::new(),
            open: 0,
            limit: size,
            handles: HashMap::new(),
        };
        Self {
            module,
            slot,
            size,
            deadline,
            access: Mutex::default(),
            pool: Mutex::new(pool),
            returned: Condvar::new(),
            relogins: AtomicU32::new(0),
        }
    }

    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    pub(super) fn generation(&self) -> u64 {
        self.pool().generation
    }

    /// Logs in with a PIN that may be wrong: exactly one C_Login. Without success nobody is logged in.
    pub(super) fn login(&self, pin: &Pin) -> Result<(), LoginError> {
        let mut access = self.access();
        self.end(&mut access);
        self.log_in(&mut access, pin)?;
        access.pin = Some(Pin(Zeroizing::new(pin.0.to_vec())));
        self.proven();
        self.next_generation(State::LoggedIn);
        Ok(())
    }

    /// Forgets the PIN, logs out, closes every session that is not lent.
    pub(super) fn logout(&self) {
        self.end(&mut self.access());
    }

    pub(super) fn is_logged_out(&self) -> bool {
        self.pool().state == State::LoggedOut
    }

    /// Waits for a session, at most for the deadline.
    pub(super) fn lease(&self) -> Result<Lease<'_>, TokenError> {
        let until = Instant::now() + self.deadline;
        let mut pool = self.pool();
        loop {
            if pool.state == State::LoggedOut {
                return Err(logged_out());
            }
            let may_lend = pool.state == State::LoggedIn;
            let generation = pool.generation;
            let idle = if may_lend { pool.idle.pop() } else { None };
            if let Some(session) = idle {
                return Ok(Lease { sessions: self, session: Some(session), generation });
            }
            if may_lend && pool.open < pool.limit {
                pool.open += 1;
                drop(pool);
                // From here on the lease answers for the count: dropped without a session, it gives
                // the place back.
                let mut lease = Lease { sessions: self, session: None, generation };
                if let Some(session) = self.module.open_session(self.slot)? {
                    lease.session = Some(session);
                    return Ok(lease);
                }
                drop(lease);
                pool = self.pool();
                if pool.open == 0 {
                    return Err(TokenError::new("C_OpenSession", ErrorClass::Transient, "the token gives no session"));
                }
                tracing::warn!(sessions = pool.open, "the token gives no more sessions, using fewer");
                pool.limit = pool.open;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what =
                    format!("no session became free within {:?}: raise `sessions`, or ask for less", self.deadline);
                return Err(TokenError::new("C_OpenSession", ErrorClass::Transient, what));
            }
            pool = self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// After a session or a handle of generation `seen` turned out to be lost: forgets that
    /// generation, and logs in again if the login went with it.
    pub(super) fn reopen(&self, seen: u64) -> Result<(), TokenError> {
        let mut access = self.access();
        if self.generation() != seen {
            return Ok(());
        }
        let state =
            access.anchor.as_ref().map(|anchor| self.module.call("C_GetSessionInfo", |_| anchor.get_session_info()));
        match state {
            Some(Ok(info)) if matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser) => {
                self.next_generation(State::LoggedIn);
                Ok(())
            }
            _ => self.log_in_again(&mut access),
        }
    }

    /// After the login of generation `seen` turned out to be lost.
    pub(super) fn relogin(&self, seen: u64) -> Result<(), TokenError> {
        let mut access = self.access();
        if self.generation() != seen { Ok(()) } else { self.log_in_again(&mut access) }
    }

    /// The login does what it is for: logins that are made from now on are counted anew.
    pub(super) fn proven(&self) {
        self.relogins.store(0, Ordering::Relaxed);
    }

    fn log_in_again(&self, access: &mut Access) -> Result<(), TokenError> {
        let Some(pin) = access.pin.take() else {
            return Err(logged_out());
        };
        let relogins = self.relogins.fetch_add(1, Ordering::Relaxed) + 1;
        if relogins > MAX_RELOGINS {
            access.pin = Some(pin);
            let what = format!("the login was lost {MAX_RELOGINS} times in a row: a fresh start is needed");
            return Err(TokenError::new("C_Login", ErrorClass::Restart, what));
        }
        tracing::warn!(relogins, "the token lost the login, logging in again");
        if let Err(error) = self.quiesce() {
            access.pin = Some(pin);
            return Err(error);
        }
        self.close_anchor(access);
        let answer = self.log_in(access, &pin);
        let (state, answer) = match answer {
            // The PIN is dropped: it is not the token's any more, and must never be tried again.
            Err(refused @ (LoginError::Locked | LoginError::WrongPin)) => {
                let what = format!("{refused}, which it took before: unseal with the new one");
                (State::LoggedOut, Err(TokenError::new("C_Login", ErrorClass::Operator, what)))
            }
            Err(LoginError::Token(error)) => {
                access.pin = Some(pin);
                (State::LoggedIn, Err(error))
            }
            Ok(()) => {
                access.pin = Some(pin);
                (State::LoggedIn, Ok(()))
            }
        };
        self.next_generation(state);
        answer
    }

    /// Lends nothing more, and waits for what is lent: SoftHSM answers CKR_GENERAL_ERROR to a call
    /// that a logout overtakes, which would look like a broken token.
    fn quiesce(&self) -> Result<(), TokenError> {
        let mut pool = self.pool();
        pool.state = State::Recovering;
        let busy = |pool: &mut Pool| pool.open > pool.idle.len();
        let waited = self.returned.wait_timeout_while(pool, self.deadline, busy);
        let (mut pool, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            pool.state = State::LoggedIn;
            let what = format!("calls in progress did not end within {:?}: a fresh start is needed", self.deadline);
            return Err(TokenError::new("C_Login", ErrorClass::Restart, what));
        }
        Ok(())
    }

    /// A new anchor and one C_Login on it.
    fn log_in(&self, access: &mut Access, pin: &Pin) -> Result<(), LoginError> {
        let anchor = self.module.open_session(self.slot)?.ok_or_else(|| {
            TokenError::new("C_OpenSession", ErrorClass::Transient, "the token gives no session, not even the first")
        })?;
        // A login that outlived its anchor would be taken for a proof of this PIN.
        let _ = self.module.call("C_Logout", |_| anchor.logout());
        let raw = RawAuthPin::new(Box::new(pin.0.to_vec()));
        let refusal = self.module.call("C_Login", |_| match anchor.login_with_raw(UserType::User, &raw) {
            Ok(()) => Ok(None),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Ok(Some(LoginError::WrongPin))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Ok(Some(LoginError::Locked)),
            Err(other) => Err(other),
        });
        match refusal {
            Ok(None) => {
                access.anchor = Some(anchor);
                Ok(())
            }
            Ok(Some(refused)) => {
                self.module.close_session(anchor);
                Err(refused)
            }
            Err(error) => {
                self.module.close_session(anchor);
                Err(error.into())
            }
        }
    }

    fn end(&self, access: &mut Access) {
        access.pin = None;
        self.next_generation(State::LoggedOut);
        self.close_anchor(access);
    }

    /// Logs out explicitly: sessions on loan would keep the login alive otherwise.
    fn close_anchor(&self, access: &mut Access) {
        if let Some(anchor) = access.anchor.take() {
            if let Err(error) = self.module.call("C_Logout", |_| anchor.logout()) {
                tracing::debug!(%error, "the token did not log out");
            }
            self.module.close_session(anchor);
        }
    }

    fn next_generation(&self, state: State) {
        let mut pool = self.pool();
        pool.generation += 1;
        pool.state = state;
        pool.limit = self.size;
        pool.handles.clear();
        let idle = std::mem::take(&mut pool.idle);
        pool.open -= idle.len();
        drop(pool);
        self.returned.notify_all();
        for session in idle {
            self.module.close_session(session);
        }
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        // No lease is left, they borrow: this closes every session, and the module goes next.
        self.logout();
    }
}

impl Lease<'_> {
    /// The session. For one PKCS#11 operation at a time, like the lease itself.
    pub(super) fn session(&self) -> &Session {
        self.session.as_ref().expect("a lease that is handed out has a session")
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The cached handle of the private key labelled `label`.
    pub(super) fn handle(&self, label: &str) -> Option<ObjectHandle> {
        let pool = self.sessions.pool();
        if pool.generation == self.generation { pool.handles.get(label).copied() } else { None }
    }

    /// Caches a handle for as long as the generation lasts.
    pub(super) fn remember(&self, label: &str, handle: ObjectHandle) {
        let mut pool = self.sessions.pool();
        if pool.generation == self.generation {
            pool.handles.insert(label.to_owned(), handle);
        }
    }

    /// Gives the session back for others to use: nothing went wrong on it.
    pub(super) fn keep(mut self) {
        let mut pool = self.sessions.pool();
        if pool.generation == self.generation
            && let Some(session) = self.session.take()
        {
            pool.idle.push(session);
            // The place stays taken, by the idle session.
            pool.open += 1;
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.sessions.module.close_session(session);
        }
        let mut pool = self.sessions.pool();
        pool.open -= 1;
        match pool.state {
            State::Recovering => self.sessions.returned.notify_all(),
            State::LoggedIn | State::LoggedOut => self.sessions.returned.notify_one(),
        }
    }
}

fn logged_out() -> TokenError {
    TokenError::new("C_Login", ErrorClass::Operator, "nobody is logged in to the token: unseal the signer")
}
