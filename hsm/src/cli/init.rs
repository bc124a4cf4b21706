//! `signet-signer init`

use std::path::PathBuf;

use clap::Args;
use policy::name::Name;

use super::{Effects, Outcome, pin};
use crate::ceremony::{AdminKey, Algorithm, Host, Init, Layout, Pins, SoftwareKey, read_csr};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) places: Places,
    #[command(flatten)]
    pub(super) secrets: Secrets,
    /// PKCS#11 module
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    pub(super) module: PathBuf,
    /// Name of the organization, in the subject of the CA certificates
    #[arg(long, value_name = "NAME")]
    pub(super) organization: String,
    /// DNS name or IP address of this appliance; may be repeated
    #[arg(long = "host", value_name = "NAME", required = true)]
    pub(super) hosts: Vec<String>,
    /// Plain HTTP base under which CA certificates are published
    #[arg(long, value_name = "URL")]
    pub(super) pki_url: Option<String>,
    /// Where administrators reach the appliance; default: https://HOST:8443 with the first host
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Algorithm of the issuing key
    #[arg(long, value_enum, default_value = "p256")]
    pub(super) algorithm: Algorithm,
    /// Algorithm of the root key
    #[arg(long, value_enum, default_value = "p384")]
    pub(super) root_algorithm: Algorithm,
    /// Name of the first administrator
    #[arg(long, value_name = "NAME")]
    pub(super) admin: String,
    #[command(flatten)]
    pub(super) admin_key: AdminKeySource,
}

/// Where the ceremony puts things.
#[derive(Args)]
pub(super) struct Places {
    /// Where configuration, certificates and the transcript go
    #[arg(long, value_name = "DIR", default_value = "/etc/signet")]
    pub(super) config_dir: PathBuf,
    /// Where journals and SoftHSM's tokens go
    #[arg(long, value_name = "DIR", default_value = "/var/lib/signet-signer")]
    state_dir: PathBuf,
    /// Where sockets go
    #[arg(long, value_name = "DIR", default_value = "/run/signet")]
    run_dir: PathBuf,
    /// Where the first administrator's enrolment bundle goes; default: CONFIG-DIR/bundle
    #[arg(long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,
    /// Where the transcript goes; default: CONFIG-DIR/ceremony-transcript.txt
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

/// Files that hold PINs.
#[derive(Args)]
pub(super) struct Secrets {
    /// File with the PIN of the root token; default: ask
    #[arg(long, value_name = "FILE")]
    root_pin_file: Option<PathBuf>,
    /// File with the PIN of the CA token; default: ask
    #[arg(long, value_name = "FILE")]
    ca_pin_file: Option<PathBuf>,
    /// File with the PIN of the TLS token; default: draw one at random
    #[arg(long, value_name = "FILE")]
    tls_pin_file: Option<PathBuf>,
    /// File with the PIN of the security officer of all three tokens; default: ask
    #[arg(long, value_name = "FILE")]
    so_pin_file: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct AdminKeySource {
    /// CSR of the first administrator, who keeps his key
    #[arg(long, value_name = "FILE")]
    pub(super) admin_csr: Option<PathBuf>,
    /// Make the first administrator's key in software, into the bundle
    #[arg(long)]
    pub(super) software_admin_key: bool,
}

pub(super) fn main(arguments: &Arguments, mut effects: Effects) -> Outcome {
    let init = arguments.init()?;
    if let Host::Initialised(sentence) = init.host()? {
        println!("{sentence}");
        return Ok(());
    }
    let admin = match &arguments.admin_key.admin_csr {
        Some(csr) => AdminKey::Csr(read_csr(csr)?),
        None => AdminKey::Software(SoftwareKey::generate()?),
    };
    let pins = arguments.secrets.pins(&mut effects)?;
    let report = init.run(&pins, &admin, effects.clock, effects.entropy.as_mut())?;
    println!("initialised: the transcript is {}", init.layout.transcript.display());
    println!("appliance identity: {}", report.identity);
    println!("root certificate:   {}", report.root);
    println!("Give {} to {}.", init.layout.bundle.display(), init.admin);
    println!("Move {} off this host.", init.layout.state.join("root").display());
    Ok(())
}

impl Arguments {
    fn init(&self) -> Result<Init, Box<dyn std::error::Error>> {
        let absolute = |path: &PathBuf| std::path::absolute(path);
        let places = &self.places;
        let config = absolute(&places.config_dir)?;
        let or = |path: &Option<PathBuf>, name: &str| path.as_ref().map_or(Ok(config.join(name)), absolute);
        Ok(Init {
            layout: Layout {
                state: absolute(&places.state_dir)?,
                run: absolute(&places.run_dir)?,
                bundle: or(&places.bundle, "bundle")?,
                transcript: or(&places.transcript, "ceremony-transcript.txt")?,
                config,
            },
            module: absolute(&self.module)?,
            organization: self.organization.clone(),
            hosts: self.hosts.iter().map(|host| Name::parse(host)).collect::<Result<_, _>>()?,
            pki_url: self.pki_url.as_deref().map(|url| base(url, "http")).transpose()?,
            public_url: self.public_url.as_deref().map(|url| base(url, "https")).transpose()?,
            algorithm: self.algorithm,
            root_algorithm: self.root_algorithm,
            admin: self.admin.clone(),
        })
    }
}

impl Secrets {
    fn pins(&self, effects: &mut Effects) -> Result<Pins, Box<dyn std::error::Error>> {
        let get = |file: &Option<PathBuf>, what| pin::get(file.as_deref(), what, pin::Confirm::Yes);
        let tls = self.tls_pin_file.is_some().then(|| get(&self.tls_pin_file, "PIN of the TLS token")).transpose()?;
        Ok(Pins::new(
            get(&self.root_pin_file, "PIN of the root token")?,
            get(&self.ca_pin_file, "PIN of the CA token")?,
            tls,
            get(&self.so_pin_file, "PIN of the security officer")?,
            effects.entropy.as_mut(),
        )?)
    }
}

/// A URL that others are appended to: its scheme, an authority, no slash at the end.
fn base(url: &str, scheme: &str) -> Result<String, String> {
    let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
    let printable = url.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"<>\\^`{|}?#".contains(&octet));
    match rest {
        Some(rest) if printable && !rest.is_empty() && !rest.starts_with('/') => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("`{url}` is not a base URL: write one such as {scheme}://pki.example.com")),
    }
}
