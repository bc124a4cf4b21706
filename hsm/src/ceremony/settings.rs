//! The text of the files that the ceremony leaves for the programs.

use std::fmt::Write as _;
use std::path::Path;

use super::layout::Layout;
use super::{AdminKey, Init, Standing};

/// Configuration of the signer that owns `signet-ca`.
pub(super) fn signer_ca(init: &Init, environment: &Environment, standing: Standing) -> String {
    let layout = &init.layout;
    let mut text = head("ca", init, environment);
    let _ = writeln!(text, "profiles = {}", quoted(layout.profiles()));
    let _ = writeln!(text, "identity = {}", quoted(layout.socket("identity")));
    text.push_str("# pin = \"…\"   # unattended unseal: who has the host then has the CA\n");
    listen(&mut text, &layout.socket("ca"), "daemon", standing.daemon_uid());
    key(&mut text, "issuing-1", "issue", Some(&layout.ca("issuing-1.pem")));
    key(&mut text, "ocsp-1", "ocsp", Some(&layout.ca("ocsp-1.pem")));
    key(&mut text, "checkpoint-1", "checkpoint", None);
    text
}

/// Configuration of the signer that owns `signet-tls`.
pub(super) fn signer_tls(init: &Init, environment: &Environment, standing: Standing) -> String {
    let layout = &init.layout;
    let mut text = head("tls", init, environment);
    let pin = match standing {
        Standing::Installed { .. } => Path::new(TLS_CREDENTIAL).to_owned(),
        Standing::Private => layout.tls_pin(),
    };
    let _ = writeln!(text, "pin = {}", quoted(&pin));
    listen(&mut text, &layout.socket("tls"), "daemon", standing.daemon_uid());
    listen(&mut text, &layout.socket("identity"), "signer", None);
    key(&mut text, "tls-1", "tls", Some(&layout.ca("tls-1.pem")));
    key(&mut text, "identity-1", "identity", None);
    text
}

/// The administrator's profile for signetctl; paths are relative to it, so that the folder can be
/// carried away.
pub(super) fn profile(init: &Init, identity: &str, admin: &AdminKey) -> String {
    let url = init.public_url.clone().unwrap_or_else(|| format!("https://{}:8443", authority(init)));
    let mut text = format!(
        "# Copy this folder to ~/.config/signet and keep it: `identity` is how you know the appliance.\n\
         version = 1\n\
         url = {}\n\
         identity = {}\n\
         ca = \"root.pem\"\n\
         certificate = \"admin.pem\"\n",
        quoted(url),
        quoted(identity),
    );
    text.push_str(match admin {
        AdminKey::Csr(_) => "key = \"admin.key\"   # put the key of your CSR there, mode 0600\n",
        AdminKey::Software(_) => "key = \"admin.key\"\n",
    });
    text
}

/// What the module needs in its environment.
pub(super) type Environment = std::collections::BTreeMap<String, String>;

fn head(name: &str, init: &Init, environment: &Environment) -> String {
    let layout: &Layout = &init.layout;
    let mut text = format!(
        "# Written by the key ceremony. Check changes with `signet-signer check --config <this file>`.\n\
         version = 1\n\
         name = {}\n\
         token = {}\n\
         module = {}\n",
        quoted(name),
        quoted(format!("pkcs11:token={}", super::custody::label(name))),
        quoted(&init.module),
    );
    if !environment.is_empty() {
        let pairs: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
        let _ = writeln!(text, "environment = {{ {} }}", pairs.join(", "));
        let _ = writeln!(text, "module_writes = [{}]", quoted(layout.tokens(name)));
    }
    let _ = writeln!(text, "state = {}", quoted(layout.state_of(name)));
    text
}

fn listen(text: &mut String, path: &Path, peer: &str, uid: Option<u32>) {
    let _ = writeln!(text, "\n[[listen]]\npath = {}\npeer = {}", quoted(path), quoted(peer));
    if let Some(uid) = uid {
        let _ = writeln!(text, "uid = {uid}");
    }
}

fn key(text: &mut String, label: &str, purpose: &str, certificate: Option<&Path>) {
    let _ = writeln!(text, "\n[[key]]\nlabel = {}\npurpose = {}", quoted(label), quoted(purpose));
    if let Some(certificate) = certificate {
        let _ = writeln!(text, "certificate = {}", quoted(certificate));
    }
}

/// The first host as it stands in a URL.
fn authority(init: &Init) -> String {
    match init.hosts.first() {
        Some(policy::name::Name::Ip(std::net::IpAddr::V6(address))) => format!("[{address}]"),
        Some(name) => name.to_string(),
        None => "localhost".to_owned(),
    }
}

fn quoted(value: impl AsRef<std::ffi::OsStr>) -> String {
    toml::Value::String(value.as_ref().to_string_lossy().into_owned()).to_string()
}

/// Where systemd puts the TLS token's PIN for the signer: `LoadCredential=` in its unit.
const TLS_CREDENTIAL: &str = "/run/credentials/signet-signer@tls.service/pin";

/// The profiles that are shipped; where the ceremony knows where things are published, their
/// certificates name it.
pub(super) fn profiles(init: &Init) -> Vec<(&'static str, String)> {
    let filled = |(name, text): (&'static str, &'static str)| {
        let (Some(base), Some((rest, _))) = (&init.pki_url, text.split_once("# [urls]\n")) else {
            return (name, text.to_owned());
        };
        let url = |path: &str| quoted(format!("{base}/{path}"));
        let (crl, ocsp, ca_issuers) = (url("crl/{issuer}.crl"), url("ocsp"), url("ca/{issuer}.crt"));
        (name, format!("{rest}[urls]\ncrl = {crl}\nocsp = {ocsp}\nca_issuers = {ca_issuers}\n"))
    };
    PROFILES.into_iter().map(filled).collect()
}

const PROFILES: [(&str, &str); 4] = [
    ("client.toml", include_str!("../../../packaging/profiles/client.toml")),
    ("node.toml", include_str!("../../../packaging/profiles/node.toml")),
    ("server.toml", include_str!("../../../packaging/profiles/server.toml")),
    ("shortlived.toml", include_str!("../../../packaging/profiles/shortlived.toml")),
];
