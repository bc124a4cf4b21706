//! What would go wrong is found before anything is made: a ceremony that stops half-way has to be
//! cleared away by hand.

use policy::effects::{Entropy, UnixTime};
use policy::key::PublicKey;
use policy::profile::Profile;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, Role, TbsCertificate};

use super::admin::SoftwareKey;
use super::certify::{common_name, role, root};
use super::custody::Custody;
use super::{CeremonyError, Init, Standing, settings as texts};
use crate::config::Config;

/// Builds and lints every certificate, with keys in software that are forgotten at once.
pub(super) fn certificates(
    init: &Init,
    admin: &PublicKey,
    now: UnixTime,
    entropy: &mut dyn Entropy,
) -> Result<(), CeremonyError> {
    let (root_key, issuing_key) = (SoftwareKey::generate()?, SoftwareKey::generate()?);
    let (server_key, ocsp_key) = (SoftwareKey::generate()?, SoftwareKey::generate()?);

    let tbs = root(&init.organization, root_key.public(), Serial::generate(entropy)?, now)?;
    let root = Issuer::from_der(signed(tbs, None, &root_key)?.der())?;

    let mut build = |of: Role, issuer: &Issuer, key: &PublicKey| {
        let common_name = common_name(init, &of);
        let serial = Serial::generate(entropy)?;
        Ok::<_, CeremonyError>(tbs::role(&role(init, of, &common_name), issuer, key, serial, now)?)
    };
    let tbs = build(Role::IssuingCa, &root, issuing_key.public())?;
    let issuing = Issuer::from_der(signed(tbs, Some(&root), &root_key)?.der())?;
    for (of, key) in
        [(Role::TlsServer, server_key.public()), (Role::OcspResponder, ocsp_key.public()), (Role::Administrator, admin)]
    {
        build(of, &issuing, key)?.lint(Some(&issuing))?;
    }
    Ok(())
}

/// Reads the configuration files that will be written, as the signers will.
pub(super) fn settings(init: &Init, ca: &Custody<'_>, tls: &Custody<'_>) -> Result<(), CeremonyError> {
    let standing = Standing::of(&init.layout);
    for (file, text) in [
        (init.layout.signer("ca"), texts::signer_ca(init, &ca.environment, standing)),
        (init.layout.signer("tls"), texts::signer_tls(init, &tls.environment, standing)),
    ] {
        Config::from_toml(&file.display().to_string(), &text)
            .map_err(|error| CeremonyError::Refused(format!("nothing was made: {error}")))?;
    }
    for (name, text) in texts::profiles(init) {
        Profile::from_toml(name, &text)
            .map_err(|error| CeremonyError::Refused(format!("nothing was made: {error}")))?;
    }
    Ok(())
}

fn signed(tbs: TbsCertificate, issuer: Option<&Issuer>, key: &SoftwareKey) -> Result<Certificate, CeremonyError> {
    let linted = tbs.lint(issuer)?;
    let signature = key.sign(linted.tbs().as_bytes())?;
    Ok(linted.assemble(key.public(), key.public().certificate_scheme(), &signature)?)
}
