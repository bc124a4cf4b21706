//! The module: loading, C_Initialize, finding a token by its URI, making one, C_Finalize.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::calls::Calls;
use super::uri::Uri;
use super::{ErrorClass, Pin, TokenConfig, TokenError};

/// For how long a token that is not there is looked for. SoftHSM rewrites a file at every login, so
/// a process that starts while another one logs in does not see the token.
const DISCOVERY: Duration = Duration::from_secs(3);
const DISCOVERY_PAUSE: Duration = Duration::from_millis(100);

/// Length of a token's label in CK_TOKEN_INFO.
const MAX_LABEL: usize = 32;

/// What a slot's token says about itself, or why that cannot be read.
type Readable = Result<TokenInfo, TokenError>;

/// A loaded and initialised module. Dropping it is C_Finalize, after which another one can be
/// made, with another environment; every session must be closed before.
pub(super) struct Module {
    pkcs11: Pkcs11,
    calls: Calls,
}

impl Module {
    /// Initialises a library.
    pub(super) fn start(library: &Pkcs11, arguments: Option<&str>) -> Result<Self, TokenError> {
        let module = Self { pkcs11: library.clone(), calls: Calls::default() };
        module.initialize(arguments)?;
        Ok(module)
    }

    /// Loads the module and finds the token, for at most [`DISCOVERY`].
    pub(super) fn find(config: &TokenConfig<'_>) -> Result<(Self, Slot), TokenError> {
        let wanted = token_uri(config.uri)?;
        let library = load(config)?;
        let started = Instant::now();
        loop {
            // A module may read the list of tokens in C_Initialize alone, so each try is a new one.
            let found = Self::start(&library, config.arguments)
                .and_then(|module| Ok((module.slot(config.uri, &wanted)?, module)));
            let error = match found {
                Ok((slot, module)) => return Ok((module, slot)),
                Err(error) => error,
            };
            let may_pass = matches!(error.class, ErrorClass::Restart | ErrorClass::Transient);
            if !may_pass || started.elapsed() >= DISCOVERY {
                return Err(error);
            }
            sleep(DISCOVERY_PAUSE);
        }
    }

    /// Makes one bracketed call.
    pub(super) fn call<T>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Pkcs11) -> cryptoki::error::Result<T>,
    ) -> Result<T, TokenError> {
        self.calls.make(function, || call(&self.pkcs11))
    }

    /// Opens a read-only session; `None` when the token gives no more.
    pub(super) fn open_session(&self, slot: Slot) -> Result<Option<Session>, TokenError> {
        self.call("C_OpenSession", |pkcs11| match pkcs11.open_ro_session_no_drop(slot) {
            Err(Error::Pkcs11(RvError::SessionCount, _)) => Ok(None),
            answer => answer.map(Some),
        })
    }

    /// Closes a session. What the token says to that changes nothing.
    pub(super) fn close_session(&self, session: Session) {
        if let Err(error) = self.call("C_CloseSession", |_| session.close()) {
            tracing::debug!(%error, "a session of the token was not closed");
        }
    }

    /// How long the oldest call in progress has taken.
    pub(super) fn oldest_call(&self) -> Option<Duration> {
        self.calls.oldest()
    }

    fn initialize(&self, arguments: Option<&str>) -> Result<(), TokenError> {
        let flags = CInitializeFlags::OS_LOCKING_OK;
        let Some(arguments) = arguments else {
            return self.call("C_Initialize", |pkcs11| pkcs11.initialize(CInitializeArgs::new(flags)));
        };
        let text = CString::new(arguments).map_err(|_| {
            TokenError::new("C_Initialize", ErrorClass::Operator, "`module_arguments` holds a NUL: remove it")
        })?;
        let reserved = NonNull::from(text.as_c_str()).cast::<c_void>();
        #[allow(unsafe_code, reason = "CK_C_INITIALIZE_ARGS.pReserved is a raw pointer")]
        // SAFETY: the pointer is to a NUL-terminated string, which is what modules that take an
        // argument expect there, and `text` lives until C_Initialize has returned.
        let arguments = unsafe { CInitializeArgs::new_with_reserved(flags, reserved) };
        self.call("C_Initialize", |pkcs11| pkcs11.initialize(arguments))
    }

    /// Every slot with a token.
    pub(super) fn tokens(&self) -> Result<Vec<(Slot, Readable)>, TokenError> {
        let slots = self.call("C_GetSlotList", Pkcs11::get_slots_with_token)?;
        Ok(slots.into_iter().map(|slot| (slot, self.call("C_GetTokenInfo", |p| p.get_token_info(slot)))).collect())
    }

    /// The one slot whose token is meant. A slot that cannot be read hides no other.
    pub(super) fn slot(&self, uri: &str, wanted: &Uri) -> Result<Slot, TokenError> {
        let mut found = Vec::new();
        let mut seen = Vec::new();
        for (slot, info) in self.tokens()? {
            match info {
                Ok(info) if matches(wanted, &info) => found.push(slot),
                Ok(info) if info.token_initialized() => seen.push(format!("`{}`", info.label())),
                Ok(_) => {}
                Err(error) => seen.push(format!("slot {slot}, which cannot be read ({error})")),
            }
        }
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] => {
                let seen = if seen.is_empty() { "no token".to_owned() } else { seen.join(", ") };
                let what = format!("no token is {uri}, the module shows {seen}: connect the token or correct `token`");
                // Like CKR_TOKEN_NOT_PRESENT: it may come back, and only a fresh start will see it.
                Err(TokenError::new("C_GetSlotList", ErrorClass::Restart, what))
            }
            _ => {
                let what = format!("{} tokens are {uri}: add `;serial=` to say which", found.len());
                Err(TokenError::new("C_GetSlotList", ErrorClass::Operator, what))
            }
        }
    }

    /// Gives the slot's token a user PIN: the one thing that the security officer does.
    fn init_pin(&self, slot: Slot, so_pin: &AuthPin, user_pin: &AuthPin) -> Result<(), TokenError> {
        let session = self.call("C_OpenSession", |pkcs11| pkcs11.open_rw_session_no_drop(slot))?;
        let done = self
            .call("C_Login", |_| session.login(UserType::So, Some(so_pin)))
            .and_then(|()| self.call("C_InitPIN", |_| session.init_pin(user_pin)))
            .and_then(|()| self.call("C_Logout", |_| session.logout()));
        self.close_session(session);
        done
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let pkcs11 = self.pkcs11.clone();
        if let Err(error) = self.calls.make("C_Finalize", || pkcs11.finalize()) {
            tracing::debug!(%error, "the module was not finalised");
        }
    }
}

/// Makes a token labelled `label` on a free slot, with a user PIN. Refuses when a token of that
/// label exists, or a slot cannot be read and might hold it.
pub(crate) fn create_token(
    config: &TokenConfig<'_>,
    so_pin: &Pin,
    user_pin: &Pin,
    label: &str,
) -> Result<(), TokenError> {
    let operator = |what: String| TokenError::new("C_InitToken", ErrorClass::Operator, what);
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err(operator(format!("the label `{label}` must have 1 to {MAX_LABEL} octets: choose another")));
    }
    let (so_pin, user_pin) = (auth_pin(so_pin)?, auth_pin(user_pin)?);
    let module = Module::start(&load(config)?, config.arguments)?;
    let mut free = None;
    for (slot, info) in module.tokens()? {
        let info = info?;
        if info.token_initialized() && info.label() == label {
            return Err(operator(format!("a token labelled `{label}` exists: nothing was changed")));
        }
        if !info.token_initialized() {
            free = free.or(Some(slot));
        }
    }
    let free =
        free.ok_or_else(|| operator("the module has no slot with an uninitialised token: add one".to_owned()))?;
    module.call("C_InitToken", |pkcs11| pkcs11.init_token(free, &so_pin, label))?;
    // Modules may move a new token to another slot.
    let wanted = Uri { token: Some(label.to_owned()), ..Uri::default() };
    let slot = module.slot(label, &wanted)?;
    module.init_pin(slot, &so_pin, &user_pin)
}

/// What the setting `token` names.
pub(super) fn token_uri(text: &str) -> Result<Uri, TokenError> {
    let operator = |what: String| TokenError::new("token URI", ErrorClass::Operator, what);
    let uri = Uri::parse(text).map_err(|e| operator(e.to_string()))?;
    if !uri.names_a_token() {
        return Err(operator(format!("{text} names no token: write it as `pkcs11:token=NAME`")));
    }
    if uri.names_an_object() {
        return Err(operator(format!("{text} names an object: name keys by their labels, and the token alone here")));
    }
    Ok(uri)
}

fn matches(wanted: &Uri, info: &TokenInfo) -> bool {
    let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    info.token_initialized()
        && same(&wanted.token, info.label())
        && same(&wanted.serial, info.serial_number())
        && same(&wanted.manufacturer, info.manufacturer_id())
        && same(&wanted.model, info.model())
}

fn auth_pin(pin: &Pin) -> Result<AuthPin, TokenError> {
    let text = std::str::from_utf8(&pin.0)
        .map_err(|_| TokenError::new("C_InitPIN", ErrorClass::Operator, "the PIN is not UTF-8: choose another"))?;
    Ok(AuthPin::from(text))
}

/// Sets the variables that the module reads while it is loaded and initialised, and loads it.
pub(super) fn load(config: &TokenConfig<'_>) -> Result<Pkcs11, TokenError> {
    for (name, value) in config.environment {
        #[allow(unsafe_code, reason = "modules such as SoftHSM are configured by the environment alone")]
        // SAFETY: nothing else may read the environment of C at the same time. A signer opens its
        // token before it starts threads but one that reads no environment, the ceremony has one thread, and the tests open tokens
        // one at a time; Rust's own reads are behind a lock of the standard library.
        unsafe {
            std::env::set_var(name, value);
        }
    }
    Calls::default().make("dlopen", || Pkcs11::new(config.module))
}
