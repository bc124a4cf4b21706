//! A signer without its sockets and threads, for one command on the console while the service is
//! stopped: the same token, keys, profiles, count of attempts and checks.

use std::sync::Mutex;

use policy::effects::{Entropy, UnixTime};
use policy::evidence::AuthorizationRecord;
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::{Decision, Profile};
use policy::tbs::{self, Issuer};

use super::issue::{Bench, NotIssued};
use super::keys::{self, Configured, Keys};
use super::profiles::Profiles;
use super::serials::Serials;
use super::unseal::{self, NotOpen};
use super::{StartError, token_config};
use crate::config::Config;
use crate::journal::{Event, Writer};
use crate::pkcs11::{LoginError, Pin, Token, TokenKey};
use crate::seal::Attempts;
use crate::wire::{CertificateRequest, Purpose};

/// An open token and what goes with it.
pub(crate) struct Console {
    token: Token,
    keys: Keys,
    profiles: Profiles,
    issuer: String,
}

/// What one certificate is asked for with.
pub(crate) struct Wish<'a> {
    pub(crate) profile: &'a str,
    pub(crate) key: &'a PublicKey,
    pub(crate) names: &'a [Name],
    pub(crate) common_name: Option<&'a str>,
    pub(crate) record: AuthorizationRecord,
}

impl Console {
    /// Reads profiles and certificates, opens the token, and logs in: one attempt, counted, and
    /// journalled when the token says no.
    pub(crate) fn open(config: &Config, writer: &mut Writer, pin: &Pin) -> Result<Self, StartError> {
        let configured = keys::configured(&config.keys)?;
        let issuer = config.keys.iter().find(|key| key.purpose == Purpose::Issue).ok_or_else(|| {
            let name = &config.name;
            StartError(format!("the signer {name} has no key that issues: name the configuration of the CA signer"))
        })?;
        let profiles = config.profiles.as_deref().map_or_else(|| Ok(Profiles::none()), Profiles::read)?;
        if let Err(error) = profiles.record(&config.state, |event| writer.append(event, "signer", "")) {
            tracing::error!(%error, "a profile could not be journalled");
        }
        let (token, keys) = open_token(config, &configured, writer, pin)?;
        Ok(Self { token, keys, profiles, issuer: issuer.label.clone() })
    }

    /// The token, the issuing key in it, and that key's certificate.
    pub(crate) fn issuing(&self) -> Result<(&Token, &TokenKey, &Issuer), StartError> {
        let key = self.keys.get(&self.issuer).and_then(|key| Some((&self.token, &key.token, key.issuer.as_ref()?)));
        key.ok_or_else(|| StartError(format!("the key `{}` has no certificate to issue under", self.issuer)))
    }

    /// Whether `key` is one of the signer's own.
    pub(crate) fn holds(&self, key: &PublicKey) -> bool {
        self.keys.holds(key)
    }

    /// Decides as `signetd` would, and then asks the signer's own bench, which decides again. The
    /// certificate is in the event, which must be durable before anybody sees it (J1).
    pub(crate) fn issue(
        &self,
        wish: Wish<'_>,
        now: UnixTime,
        latest: UnixTime,
        entropy: &mut dyn Entropy,
    ) -> Result<Event, StartError> {
        let Wish { profile, key, names, common_name, record } = wish;
        let profile = self.profile(profile)?;
        let terms = match profile.decide(key, names, common_name, &record, now) {
            Decision::Issue(terms) => terms,
            Decision::AskHuman(_) => {
                let why = format!(
                    "profile `{}` needs the approval of a second person: use `signetctl request`",
                    profile.name()
                );
                return Err(StartError(why));
            }
            Decision::Refuse(refusal) => return Err(StartError(refusal.to_string())),
        };
        let (_, _, issuer) = self.issuing()?;
        let mut serials = Serials::default();
        let serial = serials.reserve(1, entropy)?[0];
        let tbs =
            tbs::leaf(profile, &terms, issuer, key, serial, now).map_err(|error| StartError(error.to_string()))?;
        let request = CertificateRequest {
            issuer: self.issuer.clone(),
            profile: profile.name().to_owned(),
            profile_sha256: profile.digest(),
            common_name: common_name.map(str::to_owned),
            requested: terms.requested,
            tbs: tbs.as_bytes().to_vec(),
            record,
        };
        let (token, keys, profiles) = (&self.token, &self.keys, &self.profiles);
        let bench = Bench { token, keys, profiles, serials: &Mutex::new(serials), now, latest };
        bench.issue(request).map_err(|error| match error {
            NotIssued::Refused(refusal) => StartError(refusal.to_string()),
            NotIssued::Token(error) => StartError(error.to_string()),
        })
    }

    fn profile(&self, name: &str) -> Result<&Profile, StartError> {
        self.profiles.get(name).ok_or_else(|| {
            let known = self.profiles.names().join(", ");
            StartError(format!("there is no profile `{name}`: there are {known}"))
        })
    }
}

/// Opens the token, and lets each key sign something that means nothing. Says of each what it is.
pub(crate) fn rehearse(config: &Config, writer: &mut Writer, pin: &Pin) -> Result<Vec<String>, StartError> {
    let (token, keys) = open_token(config, &keys::configured(&config.keys)?, writer, pin)?;
    let rehearse = |label: &str| {
        let key = &keys.get(label).ok_or_else(|| StartError(format!("the key `{label}` was not looked for")))?.token;
        let signed = token.sign(key, key.public.certificate_scheme(), REHEARSAL);
        signed.map_err(|error| StartError(format!("the key `{label}`: {error}")))?;
        Ok(format!("{label} ({:?}, {} bits)", key.public.algorithm(), key.public.bits()))
    };
    config.keys.iter().map(|key| rehearse(&key.label)).collect()
}

/// Opens the token: one attempt, counted, and journalled when the token says no.
fn open_token(
    config: &Config,
    configured: &[Configured],
    writer: &mut Writer,
    pin: &Pin,
) -> Result<(Token, Keys), StartError> {
    let attempts = Attempts::open(&config.state).map_err(|error| StartError(error.to_string()))?;
    let token = Token::open(&token_config(config)).map_err(|error| StartError(error.to_string()))?;
    let keys = unseal::open(&token, &attempts, (configured, &writer.memory().authorities), pin).map_err(|error| {
        let why = error.to_string();
        let judged = matches!(error, NotOpen::Login(LoginError::WrongPin | LoginError::Locked));
        match judged.then(|| writer.append(Event::UnsealFailed { why: why.clone() }, ACTOR, "")) {
            Some(Err(error)) => StartError(format!("{why}, and that could not be journalled: {error}")),
            _ => StartError(why),
        }
    })?;
    Ok((token, keys))
}

/// Reads what a configuration names: its module, its profiles, and the certificates of its keys. The
/// module is not loaded: that runs its code.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    std::fs::File::open(&config.module).map_err(|error| {
        let module = config.module.display();
        StartError(format!("`module` is {module}: {error}: install the token's PKCS#11 module, or correct `module`"))
    })?;
    keys::configured(&config.keys)?;
    config.profiles.as_deref().map(Profiles::read).transpose()?;
    Ok(())
}

const ACTOR: &str = "console";

/// Signed by each key of a rehearsal, and nothing that anybody would take for something else.
const REHEARSAL: &[u8] = b"signet-signer doctor: test of a key";
