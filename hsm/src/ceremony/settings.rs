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
    let url = init.public_url.clone().unwrap_or_else(|| admin_url(init));
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

/// `signetd.toml` as it is shipped, with what the first run decided in the place of the examples. An empty list of
/// `networks` leaves validation as it comes.
pub(crate) fn signetd(host: &policy::name::Name, networks: &[String]) -> String {
    let networks: Vec<String> = networks.iter().map(quoted).collect();
    let own = [
        (PUBLIC_URL, format!("public_url = {}", quoted(format!("https://{}", authority(host))))),
        (ROOT_CRL, "root_crl = \"ca/root.crl\"".to_owned()),
    ];
    let allowed = (ALLOWED_NETWORKS, format!("allowed_networks = [{}]", networks.join(", ")));
    own.into_iter()
        .chain((!networks.is_empty()).then_some(allowed))
        .fold(SIGNETD.to_owned(), |text, (shipped, own)| text.replace(shipped, &own))
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

/// Where administrators reach the appliance if nothing else is said.
fn admin_url(init: &Init) -> String {
    let host = init.hosts.first().map_or_else(|| "localhost".to_owned(), authority);
    format!("https://{host}:8443")
}

/// A host as it stands in a URL.
fn authority(host: &policy::name::Name) -> String {
    match host {
        policy::name::Name::Ip(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        name => name.to_string(),
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

const PROFILES: [(&str, &str); 5] = [
    ("certmaker.toml", include_str!("../../../packaging/profiles/certmaker.toml")),
    ("client.toml", include_str!("../../../packaging/profiles/client.toml")),
    ("node.toml", include_str!("../../../packaging/profiles/node.toml")),
    ("server.toml", include_str!("../../../packaging/profiles/server.toml")),
    ("shortlived.toml", include_str!("../../../packaging/profiles/shortlived.toml")),
];

const SIGNETD: &str = include_str!("../../../packaging/signetd.toml");

/// Lines of the file as shipped that the first run writes anew.
const PUBLIC_URL: &str = "public_url = \"https://ca.example.com\"";
const ROOT_CRL: &str = "# root_crl = \"ca/root.crl\"";
const ALLOWED_NETWORKS: &str = "# allowed_networks = [\"10.0.0.0/8\", \"fd00::/8\"]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_the_first_run_writes_anew_is_shipped_once() {
        for line in [PUBLIC_URL, ROOT_CRL, ALLOWED_NETWORKS] {
            assert_eq!(SIGNETD.matches(line).count(), 1, "{line}");
        }
    }

    #[test]
    fn the_first_run_leaves_the_comments_and_writes_what_was_decided() {
        let host = policy::name::Name::parse("2001:db8::1").unwrap();
        let text = signetd(&host, &["10.1.0.0/16".to_owned()]);
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["public_url"].as_str(), Some("https://[2001:db8::1]"));
        assert_eq!(table["ca"]["root_crl"].as_str(), Some("ca/root.crl"));
        assert_eq!(table["validation"]["allowed_networks"][0].as_str(), Some("10.1.0.0/16"));
        assert!(text.contains("# Configuration of signetd."));
    }
}
