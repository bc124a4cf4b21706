//! `signet-signer root-crl`: the root's CRL, signed while the root's token is attached.

use std::path::PathBuf;

use clap::Args;
use policy::crl::Reason;

use super::{Effects, Outcome, pin};
use crate::ceremony::{self, Revocation, SigningConsole, read_certificate};
use crate::config::Config;

#[derive(Args)]
pub(super) struct Arguments {
    /// Configuration file of the CA signer, whose journal the CRL goes into
    #[arg(long, value_name = "FILE", default_value = "/etc/signet/signer-ca.toml")]
    config: PathBuf,
    /// PKCS#11 module of the root's token; default: that of the CA signer
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Certificate of a CA that is to be revoked first; needs --reason
    #[arg(long, value_name = "FILE", requires = "reason")]
    revoke: Option<PathBuf>,
    /// Why: keyCompromise, cACompromise, superseded, cessationOfOperation, …
    #[arg(long, value_name = "REASON", requires = "revoke")]
    reason: Option<Reason>,
    /// How long the CRL is valid
    #[arg(long, value_name = "DAYS", default_value_t = ceremony::ROOT_CRL_DAYS, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// Where the CRL goes, which is replaced; default: ca/root.crl beside the configuration file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// File with the PIN of the root's token; default: ask
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments, mut effects: Effects) -> Outcome {
    let config = Config::read(&arguments.config)?;
    let directory = arguments.config.parent().unwrap_or(std::path::Path::new("/")).to_owned();
    let out = arguments.out.clone().unwrap_or_else(|| directory.join("ca/root.crl"));
    let module = arguments.module.clone().unwrap_or_else(|| config.module.clone());
    let revoke = match (&arguments.revoke, arguments.reason) {
        (Some(file), Some(reason)) => Some(Revocation { certificate: read_certificate(file)?, reason }),
        _ => None,
    };
    let pin = pin::get(arguments.pin_file.as_deref(), "PIN of the root token", pin::Confirm::No)?;
    let locked = SigningConsole::lock(config, effects.clock.clone(), effects.entropy.as_mut())?;
    let signed = locked.root_crl(&directory, &module, pin, revoke.as_ref(), arguments.days)?;
    ceremony::replace_public(&out, &signed.der)?;
    println!(
        "signed {}: number {}, {} entries, until {}",
        out.display(),
        signed.number,
        signed.entries,
        ceremony::rfc3339(signed.next_update)
    );
    Ok(())
}
