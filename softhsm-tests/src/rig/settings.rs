//! What the daemons are told: `signetd.toml`, and the services that the supervisor runs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Layout, Record, Watchdog};
use crate::supervisor::Service;

/// The issuing key and its certificate, as the ceremony names them.
pub(super) const ISSUING: &str = "issuing-1";
/// The TLS server's key and its certificate.
const TLS: &str = "tls-1";
/// WatchdogSec= of the signers. Short, so that a test of a hang is short; long enough for a machine
/// that builds something at the same time.
const WATCHDOG_MS: u64 = 3000;

/// Text of `signetd.toml`: validation may reach loopback, and asks the rig's own resolver.
pub(super) fn signetd(layout: &Layout, record: &Record) -> String {
    let Record { engine, listen, admin, pki, http01_port, dns, profile, .. } = record;
    let path = |path: &Path| toml::Value::String(path.display().to_string());
    let store = path(&record.store(layout));
    let default_profile = match profile {
        Some(profile) => format!("default_profile = {}\n", toml::Value::String(profile.clone())),
        None => String::new(),
    };
    format!(
        "# Written by `rig up`, every time.\n\
         version = 1\n\
         public_url = \"https://{listen}\"\n\
         health_socket = {health}\n\
         \n\
         [acme]\n\
         {default_profile}\
         \n\
         [ca]\n\
         issuer = {issuer}\n\
         key = \"{ISSUING}\"\n\
         profiles = {profiles}\n\
         root = {root}\n\
         {root_crl}\
         \n\
         [signers]\n\
         ca = {ca}\n\
         tls = {tls}\n\
         \n\
         [store]\n\
         engine = \"{engine}\"\n\
         path = {store}\n\
         \n\
         [tls]\n\
         chain = {chain}\n\
         key = \"{TLS}\"\n\
         \n\
         [validation]\n\
         allowed_networks = [\"127.0.0.0/8\"]\n\
         http01_port = {http01_port}\n\
         resolvers = [\"{dns}\"]\n\
         retry_after = \"200ms\"\n\
         \n\
         [[listener]]\n\
         address = \"{listen}\"\n\
         tls = true\n\
         surfaces = [\"acme\", \"health\", \"pki\"]\n\
         \n\
         [[listener]]\n\
         address = \"{admin}\"\n\
         tls = true\n\
         client_certificates = \"required\"\n\
         surfaces = [\"admin\", \"health\"]\n\
         \n\
         [[listener]]\n\
         address = \"{pki}\"\n\
         tls = false\n\
         surfaces = [\"health\", \"pki\"]\n",
        health = path(&layout.health()),
        issuer = path(&layout.certificate(&format!("{ISSUING}.pem"))),
        profiles = path(&layout.config().join("profiles")),
        root = path(&layout.certificate("root.pem")),
        // Made by the ceremony, if it makes one.
        root_crl = match layout.certificate("root.crl") {
            crl if crl.exists() => format!("root_crl = {}\n", path(&crl)),
            _ => String::new(),
        },
        ca = path(&layout.run().join("ca.sock")),
        tls = path(&layout.run().join("tls.sock")),
        chain = path(&layout.certificate(&format!("{TLS}.pem"))),
    )
}

/// The services in the order in which they start.
pub(super) fn services(layout: &Layout, record: &Record, programs: &Path) -> Vec<Service> {
    let service = |name: &str, program: &str, config: &Path, watchdog_ms, descriptors| Service {
        name: name.to_owned(),
        program: programs.join(program),
        arguments: ["run", "--config"].map(String::from).into_iter().chain([config.display().to_string()]).collect(),
        environment: BTreeMap::from([("RUST_BACKTRACE".to_owned(), "1".to_owned())]),
        log: layout.log(name),
        pid_file: layout.pid_file(name),
        watchdog_ms,
        descriptors,
    };
    let watchdog = (record.watchdog == Watchdog::On).then_some(WATCHDOG_MS);
    vec![
        service("signer-tls", "signet-signer", &layout.signer("tls"), watchdog, 0),
        service("signer-ca", "signet-signer", &layout.signer("ca"), watchdog, 1),
        service("signetd", "signetd", &layout.signetd(), None, 0),
    ]
}
