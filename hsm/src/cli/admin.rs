//! `signet-signer admin`: the break-glass that enrols an administrator, and the list of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Effects, OfConfig, Outcome};
use crate::ceremony::{self, AdminKey, SoftwareKey, read_csr};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Enrol an administrator: sign his certificate, with the CA signer stopped
    Add(Add),
    /// List administrators, as the journal knows them
    List(OfConfig),
}

#[derive(Args)]
pub(super) struct Add {
    /// Configuration file of the CA signer
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Name of the administrator
    #[arg(long)]
    name: String,
    /// His CSR; he keeps his key
    #[arg(long, value_name = "FILE", required_unless_present = "software_key", conflicts_with = "software_key")]
    csr: Option<PathBuf>,
    /// Make his key in software
    #[arg(long, requires = "key_out")]
    software_key: bool,
    /// Where the software key goes
    #[arg(long, value_name = "FILE", requires = "software_key")]
    key_out: Option<PathBuf>,
    /// Where the certificate and its chain go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File with the PIN of the CA token; default: ask
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

pub(super) fn main(verb: Verb, effects: Effects) -> Outcome {
    match verb {
        Verb::Add(arguments) => add(&arguments, effects),
        Verb::List(of) => list(&of),
    }
}

fn add(arguments: &Add, mut effects: Effects) -> Outcome {
    let key = match &arguments.csr {
        Some(csr) => AdminKey::Csr(read_csr(csr)?),
        None => AdminKey::Software(SoftwareKey::generate()?),
    };
    ceremony::free(arguments.key_out.iter().chain([&arguments.out]))?;
    let mut console = super::console(&arguments.config, arguments.pin_file.as_deref(), &mut effects)?;
    let enrolled = console.add_administrator(&arguments.name, &key, effects.entropy.as_mut())?;
    drop(console);
    if let (Some(path), Some(pem)) = (&arguments.key_out, key.private_pem()) {
        ceremony::write_secret(path, pem.as_bytes())?;
    }
    ceremony::write_public(&arguments.out, enrolled.chain.as_bytes())?;
    println!("enrolled {} with {}, SHA-256 {}", arguments.name, arguments.out.display(), enrolled.fingerprint);
    Ok(())
}

fn list(of: &OfConfig) -> Outcome {
    let config = Config::read(&of.config)?;
    for administrator in ceremony::administrators(&config)? {
        println!("{administrator}");
    }
    Ok(())
}
