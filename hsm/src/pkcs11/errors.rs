//! The one table that says what to do about each CK_RV.

use cryptoki::error::{Error, RvError};

use super::{ErrorClass, TokenError};

/// The class of an answer, and what the administrator is told.
///
/// Rows of classes that recover were put there by what tokens do, not by what the name promises:
/// after a new login SoftHSM answers CKR_OBJECT_HANDLE_INVALID for handles of the old one.
pub(super) fn row(rv: RvError) -> (ErrorClass, &'static str) {
    use ErrorClass::{Operator, Permanent, Relogin, Reopen, Restart, Transient};
    match rv {
        RvError::Cancel
        | RvError::ExceededMaxIterations
        | RvError::FunctionCanceled
        | RvError::FunctionFailed
        | RvError::FunctionRejected
        | RvError::NoEvent => (Transient, "try again"),
        RvError::DeviceMemory | RvError::HostMemory => (Transient, "out of memory for now, try again"),
        RvError::SessionCount => (Transient, "the token gives no more sessions: lower `sessions`"),

        RvError::UserAlreadyLoggedIn | RvError::UserNotLoggedIn => (Relogin, "the login was lost"),
        RvError::UserAnotherAlreadyLoggedIn | RvError::UserTooManyTypes => {
            (Relogin, "another user of the token is logged in")
        }

        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => (Reopen, "the key's handle was lost"),
        RvError::OperationActive | RvError::OperationNotInitialized => (Reopen, "the session is in disorder"),
        RvError::SessionClosed | RvError::SessionHandleInvalid => (Reopen, "the session was lost"),
        RvError::SessionExists | RvError::SessionReadOnlyExists | RvError::SessionReadWriteSoExists => {
            (Reopen, "other sessions are in the way")
        }

        RvError::CryptokiNotInitialized
        | RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::GeneralError
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::SlotIdInvalid
        | RvError::TokenNotPresent => (Restart, "the token or its module is gone or broken: a fresh start is needed"),
        RvError::FipsSelfTestFailed => (Restart, "the module failed its own test: a fresh start is needed"),

        RvError::LibraryLoadFailed => (Operator, "a library that the module needs is missing: install it"),
        RvError::NewPinMode | RvError::NextOtp | RvError::PinExpired => {
            (Operator, "the PIN has to be changed: use the token's own tools")
        }
        RvError::PinIncorrect => {
            (Operator, "the token refused the PIN: make sure that it is the user PIN of this token, then try again")
        }
        RvError::PinInvalid | RvError::PinLenRange | RvError::PinTooWeak => {
            (Operator, "the token does not accept such a PIN: choose another")
        }
        RvError::PinLocked => (Operator, "the PIN is locked: reset it with the security officer's PIN"),
        RvError::RandomNoRng => (Operator, "the token has no random generator: use another token"),
        RvError::TokenNotRecognized => (Operator, "the token is not initialised, or not one of this module's"),
        RvError::TokenWriteProtected => (Operator, "the token is write-protected: lift that"),
        RvError::UserPinNotInitialized => (Operator, "the token has no user PIN: initialise it"),

        RvError::ActionProhibited
        | RvError::ArgumentsBad
        | RvError::AttributeReadOnly
        | RvError::AttributeSensitive
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::BufferTooSmall
        | RvError::CantLock
        | RvError::CryptokiAlreadyInitialized
        | RvError::CurveNotSupported
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::DomainParamsInvalid
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::FunctionNotParallel
        | RvError::FunctionNotSupported
        | RvError::InformationSensitive
        | RvError::KeyChanged
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyIndigestible
        | RvError::KeyNeeded
        | RvError::KeyNotNeeded
        | RvError::KeyNotWrappable
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::KeyUnextractable
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::NeedToCreateThreads
        | RvError::PublicKeyInvalid
        | RvError::RandomSeedNotSupported
        | RvError::SavedStateInvalid
        | RvError::SessionParallelNotSupported
        | RvError::SessionReadOnly
        | RvError::SignatureInvalid
        | RvError::SignatureLenRange
        | RvError::StateUnsaveable
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::UnwrappingKeySizeRange
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::UserTypeInvalid
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::WrappingKeyHandleInvalid
        | RvError::WrappingKeySizeRange
        | RvError::WrappingKeyTypeInconsistent => (Permanent, "the token cannot do this"),

        // Nobody knows what a vendor's code means: one more try, on a new session, and no more.
        RvError::UnknownErrorCode(_) | RvError::VendorDefined(_) => {
            (Transient, "a code of the vendor's own: see the token's manual")
        }
    }
}

/// The name of a code in the specification: `CKR_SESSION_HANDLE_INVALID`.
pub(super) fn name(rv: RvError) -> String {
    match rv {
        RvError::UnknownErrorCode(code) | RvError::VendorDefined(code) => format!("CK_RV {code:#010x}"),
        known => {
            let mut name = String::from("CKR");
            for letter in format!("{known:?}").chars() {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

impl TokenError {
    /// An error of ours about what the token said or holds.
    pub(super) fn new(function: &'static str, class: ErrorClass, what: impl Into<String>) -> Self {
        Self { function, what: what.into(), class }
    }

    /// What cryptoki reports about a call that was made as `function`.
    pub(super) fn from_cryptoki(function: &'static str, error: Error) -> Self {
        match error {
            Error::Pkcs11(rv, inner) => {
                let (class, advice) = row(rv);
                let inner = format!("C_{inner:?}");
                let from = if inner == function { String::new() } else { format!(" from {inner}") };
                Self::new(function, class, format!("{}{from}: {advice}", name(rv)))
            }
            Error::LibraryLoading(e) => {
                Self::new(function, ErrorClass::Operator, format!("the module cannot be loaded, correct `module`: {e}"))
            }
            Error::MissingSymbol(symbol) => Self::new(
                function,
                ErrorClass::Operator,
                format!("the library has no {symbol}, so it is no PKCS#11 module: correct `module`"),
            ),
            Error::NotSupported | Error::NullFunctionPointer => {
                Self::new(function, ErrorClass::Permanent, "the module cannot do this: use another module")
            }
            // One wrong answer is an error for its request only.
            other => Self::new(function, ErrorClass::Transient, format!("the module answered with nonsense: {other}")),
        }
    }

    /// The same trouble, after what its class asks for was done and did not help.
    pub(super) fn beyond_recovery(self) -> Self {
        match self.class {
            ErrorClass::Relogin | ErrorClass::Reopen => Self { class: ErrorClass::Restart, ..self },
            _ => self,
        }
    }
}
