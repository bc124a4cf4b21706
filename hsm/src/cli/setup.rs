//! `signet-signer setup`: the guided first run. It asks what the ceremony has to know, holds it, writes
//! the daemon's configuration, and says what comes next.

mod ask;
mod modules;

use std::path::PathBuf;

use clap::Args;
use policy::name::Name;

use super::init::{self, AdminKeySource, Places, Secrets};
use super::{Effects, Outcome};
use crate::ceremony;
use ask::Ask;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    secrets: Secrets,
    /// PKCS#11 module; default: one that is found on this host
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Name of the organization, in the subject of the CA certificates
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// DNS name or IP address of this appliance; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Plain HTTP base under which CA certificates, CRLs and OCSP are published; `none` for none
    #[arg(long, value_name = "URL")]
    pki_url: Option<String>,
    /// Name of the first administrator
    #[arg(long, value_name = "NAME")]
    admin: Option<String>,
    /// CSR of the first administrator, who keeps his key; `none` makes one in software
    #[arg(long, value_name = "FILE")]
    admin_csr: Option<String>,
    /// Network that validation may reach, such as 10.0.0.0/8; may be repeated; `none` for every public and private one
    #[arg(long = "validation-network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Take the default for everything that is not given, and ask for PINs only
    #[arg(long)]
    yes: bool,
}

pub(super) fn main(arguments: Arguments, effects: Effects) -> Outcome {
    let Arguments { places, secrets, module, organization, hosts, pki_url, admin, admin_csr, networks, yes } =
        arguments;
    let directory = std::path::absolute(&places.config_dir)?;
    if directory == std::path::Path::new("/etc/signet") && !nix::unistd::geteuid().is_root() {
        return Err("the first run writes to /etc/signet and makes tokens for the signers: run it as root".into());
    }
    let mut ask = Ask::new(yes);
    ask.say("Signet's first run. What is in brackets is taken when you type nothing; Ctrl-C leaves the host as it is.");

    let module = match module {
        Some(module) => module,
        None => modules::choose(&mut ask)?,
    };
    let hosts = ask.list(hosts, "host", "Names or addresses of this appliance, with commas", &host_name())?;
    let first = hosts
        .first()
        .map(|host| Name::parse(host))
        .transpose()?
        .ok_or("an appliance needs a name: give one with --host")?;
    let organization = ask.text(organization, "organization", "Organization, in the CA's certificates", "Signet")?;
    let admin = ask.text(admin, "admin", "Name of the first administrator", &administrator())?;
    let admin_csr = ask.text(admin_csr, "admin-csr", "File with his CSR; without one his key is made here", "none")?;
    let published = format!("http://{first}");
    let pki_url = ask.text(pki_url, "pki-url", "URL under which CRLs and OCSP are published", &published)?;
    let networks =
        ask.list(networks, "validation-network", "Networks that validation may reach, with commas", "none")?;

    let settings = directory.join("signetd.toml");
    let bundle = places.bundle.clone().unwrap_or_else(|| directory.join("bundle"));
    let admin_key = match given(admin_csr) {
        Some(csr) => AdminKeySource { admin_csr: Some(csr.into()), software_admin_key: false },
        None => AdminKeySource { admin_csr: None, software_admin_key: true },
    };
    let decided = init::Arguments {
        places,
        secrets,
        module,
        organization,
        hosts,
        pki_url: given(pki_url),
        public_url: None,
        algorithm: ceremony::Algorithm::P256,
        root_algorithm: ceremony::Algorithm::P384,
        admin,
        admin_key,
    };
    init::main(&decided, effects)?;

    if settings.exists() {
        println!("{} was there already, and was left alone.", settings.display());
    } else {
        let networks: Vec<String> = networks.into_iter().filter(|network| network != NONE).collect();
        ceremony::write_public(&settings, ceremony::signetd(&first, &networks).as_bytes())?;
        println!("Wrote {}: read it, and narrow the profiles beside it to your own names.", settings.display());
    }
    println!(
        "\nNext:\n    signetd check --config {settings}\n    systemctl enable --now signet-signer@tls signet-signer@ca signetd\n\
         and from an administrator's machine, with the bundle in ~/.config/signet (or here, with --profile {bundle}/profile.toml):\n    \
         signetctl status\n    signetctl unseal",
        settings = settings.display(),
        bundle = bundle.display()
    );
    Ok(())
}

fn given(answer: String) -> Option<String> {
    (answer != NONE).then_some(answer)
}

/// The host's own name, if it is one that can be certified.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    if Name::parse(&name).is_ok() { name } else { String::new() }
}

/// Whoever became root.
fn administrator() -> String {
    std::env::var("SUDO_USER").unwrap_or_else(|_| "admin".to_owned())
}

/// What is typed for nothing.
const NONE: &str = "none";
