//! What the daemons are told: `signetd.toml`, and the services that the supervisor runs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Clock, Failure, Layout, Record, Watchdog};
use crate::supervisor::Service;

/// The issuing key and its certificate, as the ceremony names them.
pub(super) const ISSUING: &str = "issuing-1";
/// The TLS server's key and its certificate.
const TLS: &str = "tls-1";
/// Where Debian has libfaketime.
pub const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// WatchdogSec= of the signers. Short, so that a test of a hang is short; long enough for a machine
/// that builds something at the same time.
const WATCHDOG_MS: u64 = 3000;

/// Text of `signetd.toml`, and what was asked for beside it.
pub(super) fn signetd(layout: &Layout, record: &Record) -> Result<String, Failure> {
    let own = own(layout, record);
    if record.settings.is_empty() {
        return Ok(own);
    }
    let parse = |text: &str| toml::from_str(text).map_err(|error| format!("signetd.toml: {error}"));
    let mut settings: toml::Table = parse(&own)?;
    merge(&mut settings, parse(&record.settings)?);
    Ok(settings.to_string())
}

/// Sections are merged; of everything else, lists included, the later one holds.
fn merge(settings: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (settings.get_mut(&name), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(over)) => merge(section, over),
            (_, value) => {
                settings.insert(name, value);
            }
        }
    }
}

/// What a rig says by itself: validation may reach loopback, and asks the rig's own resolver.
fn own(layout: &Layout, record: &Record) -> String {
    let Record { engine, listen, admin, pki, http01_port, tls01_port, dns, profile, .. } = record;
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
         # Whatever the host lacks that the rig runs on, and whoever runs it.\n\
         [hardening]\n\
         without = [\"landlock\", \"user\"]\n\
         \n\
         [ca]\n\
         issuer = {issuer}\n\
         key = \"{ISSUING}\"\n\
         profiles = {profiles}\n\
         root = {root}\n\
         {root_crl}\
         \n\
         # Every limit is counted, and none is met: a rig's clients share one address.\n\
         [rate_limits]\n\
         accounts = \"1000000 per 1s\"\n\
         accounts_per_address = \"1000000 per 1s\"\n\
         connections_per_address = 1000\n\
         orders = \"1000000 per 1s\"\n\
         orders_per_account = \"1000000 per 1s\"\n\
         orders_per_address = \"1000000 per 1s\"\n\
         orders_per_name = \"1000000 per 1s\"\n\
         requests_per_address = \"1000000 per 1s\"\n\
         validations_per_account = 4000\n\
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
         caa_identities = [\"ca.example.test\"]\n\
         http01_port = {http01_port}\n\
         resolvers = [\"{dns}\"]\n\
         retry_after = \"200ms\"\n\
         tls_alpn01_port = {tls01_port}\n\
         \n\
         [[listener]]\n\
         address = \"{listen}\"\n\
         tls = true\n\
         surfaces = [\"acme\", \"health\", \"pki\"{surfaces}]\n\
         {client_certificates}\
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
        surfaces = record.surfaces.iter().map(|name| format!(", \"{name}\"")).collect::<String>(),
        client_certificates = match record.surfaces.is_empty() {
            true => "",
            false => "client_certificates = \"optional\"\n",
        },
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
    let environment = |name: &str| {
        let mut environment = BTreeMap::from([("RUST_BACKTRACE".to_owned(), "1".to_owned())]);
        if record.clock == Clock::Host {
            return environment;
        }
        let clock = layout.clock(name).display().to_string();
        // Only the clock of the day is another one: deadlines and timers go by the monotonic clock.
        let library = [
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", &clock),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DISABLE_SHM", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        environment.extend(library.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment
    };
    let service = |name: &str, program: &str, config: &Path, watchdog_ms, descriptors| Service {
        name: name.to_owned(),
        program: programs.join(program),
        arguments: ["run", "--config"].map(String::from).into_iter().chain([config.display().to_string()]).collect(),
        environment: environment(name),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Options;

    #[test]
    fn what_is_asked_for_is_merged_into_what_a_rig_says() {
        let place = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(place.path()).expect("a layout");
        let asked = "log = \"debug\"\n[validation]\nattempts = 9\nretry_after = \"1s\"\n";
        let options = Options { settings: Some(asked.to_owned()), ..Options::default() };
        let record = Record::decide(&layout, &options).expect("a record");
        let text = signetd(&layout, &record).expect("signetd.toml");
        let settings: toml::Table = toml::from_str(&text).expect("TOML");
        assert_eq!(settings["log"].as_str(), Some("debug"));
        assert_eq!(settings["validation"]["attempts"].as_integer(), Some(9));
        assert_eq!(settings["validation"]["retry_after"].as_str(), Some("1s"));
        assert_eq!(settings["validation"]["http01_port"].as_integer(), Some(record.http01_port.into()));
        assert_eq!(settings["listener"].as_array().map(Vec::len), Some(3));
    }
}
