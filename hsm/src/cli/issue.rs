//! `signet-signer issue`: one certificate, signed on the console.

use std::path::PathBuf;

use clap::Args;
use policy::name::Name;

use super::{Effects, Outcome};
use crate::ceremony::{self, read_csr};

#[derive(Args)]
pub(super) struct Arguments {
    /// Configuration file of the CA signer
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Name of the profile
    #[arg(long)]
    profile: String,
    /// CSR, of which only the key is used
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// DNS name or IP address that you vouch for; may be repeated
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Common name, if the profile allows one
    #[arg(long, value_name = "TEXT")]
    common_name: Option<String>,
    /// Where the certificate and its chain go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// File with the PIN of the CA token; default: ask
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments, mut effects: Effects) -> Outcome {
    let csr = read_csr(&arguments.csr)?;
    let names: Vec<Name> = arguments.names.iter().map(|name| Name::parse(name)).collect::<Result<_, _>>()?;
    ceremony::free([&arguments.out])?;
    let mut console = super::console(&arguments.config, arguments.pin_file.as_deref(), &mut effects)?;
    let issued = console.issue(
        &arguments.profile,
        csr.key(),
        &names,
        arguments.common_name.as_deref(),
        effects.entropy.as_mut(),
    )?;
    drop(console);
    ceremony::write_public(&arguments.out, issued.chain.as_bytes())?;
    println!("issued {}, SHA-256 {}", arguments.out.display(), issued.fingerprint);
    Ok(())
}
