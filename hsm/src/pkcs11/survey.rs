//! What a module shows to everybody, looked at one call after the other: for the first run, and for
//! whoever asks why a token does not work. No PIN is involved.

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::slot::{Slot, TokenInfo};
use policy::key::KeyAlgorithm;

use super::module::{Module, load, token_uri};
use super::{ErrorClass, TokenConfig, TokenError};

/// A module that was loaded, and not yet called.
pub(crate) struct Library(Pkcs11);

/// An initialised module.
pub(crate) struct Survey(Module);

/// The slot with the token that was looked for.
pub(crate) struct Found<'a> {
    module: &'a Module,
    slot: Slot,
    info: TokenInfo,
}

/// What the token says of its user PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinState {
    /// Nothing is to be said.
    Good,
    /// It has to be changed before it opens anything.
    ToBeChanged,
    /// A wrong one was tried since the last right one.
    CountLow,
    /// The next wrong one locks it.
    FinalTry,
    /// It is locked.
    Locked,
    /// There is none.
    Missing,
}

/// One token of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its label; `None` when it is not initialised.
    pub(crate) label: Option<String>,
    /// Maker and model.
    pub(crate) model: String,
}

impl Library {
    /// Sets the environment that the configuration names, and loads the module. No other thread may
    /// be running that reads the environment.
    pub(crate) fn load(config: &TokenConfig<'_>) -> Result<Self, TokenError> {
        Ok(Self(load(config)?))
    }

    /// C_Initialize.
    pub(crate) fn start(&self, arguments: Option<&str>) -> Result<Survey, TokenError> {
        Ok(Survey(Module::start(&self.0, arguments)?))
    }
}

impl Survey {
    /// What the module says of itself.
    pub(crate) fn about(&self) -> Result<String, TokenError> {
        let info = self.0.call("C_GetInfo", Pkcs11::get_library_info)?;
        let (description, maker) = (info.library_description(), info.manufacturer_id());
        Ok(format!("{description} {} ({maker}), PKCS#11 {}", info.library_version(), info.cryptoki_version()))
    }

    /// Every token. One that cannot be read is an error.
    pub(crate) fn tokens(&self) -> Result<Vec<Seen>, TokenError> {
        let seen = |info: TokenInfo| Seen {
            label: info.token_initialized().then(|| info.label().to_owned()),
            model: format!("{} {}", info.manufacturer_id(), info.model()),
        };
        self.0.tokens()?.into_iter().map(|(_, info)| info.map(seen)).collect()
    }

    /// The token that a URI names.
    pub(crate) fn find(&self, uri: &str) -> Result<Found<'_>, TokenError> {
        let slot = self.0.slot(uri, &token_uri(uri)?)?;
        let info = self.0.call("C_GetTokenInfo", |pkcs11| pkcs11.get_token_info(slot))?;
        Ok(Found { module: &self.0, slot, info })
    }
}

impl Found<'_> {
    /// Slot, label, serial number, maker, model, firmware.
    pub(crate) fn about(&self) -> String {
        let (info, slot) = (&self.info, self.slot);
        let (label, serial, maker) = (info.label(), info.serial_number(), info.manufacturer_id());
        let (model, firmware) = (info.model(), info.firmware_version());
        format!("`{label}` in slot {slot}, serial number {serial}, {maker} {model}, firmware {firmware}")
    }

    /// The worst that its flags say of the user PIN.
    pub(crate) fn pin(&self) -> PinState {
        let info = &self.info;
        match () {
            () if info.user_pin_locked() => PinState::Locked,
            () if !info.user_pin_initialized() => PinState::Missing,
            () if info.user_pin_final_try() => PinState::FinalTry,
            () if info.user_pin_to_be_changed() => PinState::ToBeChanged,
            () if info.user_pin_count_low() => PinState::CountLow,
            () => PinState::Good,
        }
    }

    /// Whether the token signs with a key of this kind and size: the names of its mechanisms, or what
    /// is missing.
    pub(crate) fn signs(&self, algorithm: KeyAlgorithm, bits: usize) -> Result<String, TokenError> {
        let (mechanism, name) = match algorithm {
            KeyAlgorithm::Ed25519 => (MechanismType::EDDSA, "CKM_EDDSA"),
            KeyAlgorithm::P256 | KeyAlgorithm::P384 => (MechanismType::ECDSA, "CKM_ECDSA"),
            KeyAlgorithm::Rsa => (MechanismType::RSA_PKCS, "CKM_RSA_PKCS"),
        };
        let lacks = |why: String| TokenError::new("C_GetMechanismInfo", ErrorClass::Operator, why);
        let info = self
            .module
            .call("C_GetMechanismInfo", |pkcs11| pkcs11.get_mechanism_info(self.slot, mechanism))
            .map_err(|error| lacks(format!("the token has no {name}: use keys of another kind ({})", error.what)))?;
        if !info.sign() {
            return Err(lacks(format!("the token's {name} does not sign: use keys of another kind")));
        }
        // Zeros are said by modules that do not say.
        let (least, most) = (info.min_key_size(), info.max_key_size());
        if most != 0 && !(least..=most).contains(&bits) {
            return Err(lacks(format!(
                "the token's {name} takes {least} to {most} bits, not {bits}: use another size"
            )));
        }
        Ok(name.to_owned())
    }
}
