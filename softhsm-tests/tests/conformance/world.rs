//! One Signet under test, and everything around it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;
use rustls::ClientConfig;
use serde_json::Value;
use softhsm_tests::acme::{Answer, Https, tls_config};
use softhsm_tests::dns::{DEFAULT, Server};
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::wait_until;

use super::jose::Key;
use super::peer::{PATIENCE, Peer};
use super::responders::{Http, Tls};

/// Terms that accounts agree to.
pub(crate) const TERMS: &str = "https://ca.example.test/terms/1";
/// What the directory names as the CA's site.
pub(crate) const WEBSITE: &str = "https://ca.example.test/";

/// What signetd.toml says beside what every rig says.
const SETTINGS: &str = r#"
[acme]
terms_of_service = "https://ca.example.test/terms/1"
website = "https://ca.example.test/"
profiles = ["server", "shortlived"]
default_profile = "server"
pre_authorization = true
challenges = ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"]

[validation]
allowed_networks = ["127.0.0.0/9", "::1/128"]
caa_identities = ["ca.example.test"]
timeout = "3s"

[rate_limits]
exempt_networks = ["127.0.0.0/8"]
"#;

/// An address at which a server listens that validation may not reach.
pub(crate) const FORBIDDEN: Ipv4Addr = Ipv4Addr::new(127, 128, 0, 1);

/// The rig and its surroundings.
pub(crate) struct World {
    pub(crate) rig: Rig,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) directory: Value,
    base: String,
    pub(crate) http: Http,
    pub(crate) alpn: Tls,
    pub(crate) dns: Server,
    names: AtomicU32,
    /// Error types in the ACME name space, each with where it was seen first.
    seen: Mutex<BTreeMap<String, String>>,
    /// What was wrong with answers that no check looked at for it.
    faults: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(SETTINGS)
    }

    /// The same with other settings.
    pub(crate) fn with(settings: &str) -> Self {
        let dns = Server::start(DEFAULT);
        let options = Options { settings: Some(settings.into()), dns: Some(dns.address), ..Options::default() };
        let rig = Rig::start(&options);
        offer_every_method(&rig);
        let get = |name| rig.environment.get(name).to_owned();
        let tls = tls_config(Path::new(&get("SIGNET_CA_FILE"))).expect("a root certificate");
        let base = get("SIGNET_PUBLIC_URL");
        let at = |port: String| {
            let port = port.parse().expect("a port");
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), FORBIDDEN.into()]
                .map(|address: IpAddr| SocketAddr::new(address, port))
        };
        let mut world = Self {
            http: Http::start(&at(get("SIGNET_HTTP01_PORT"))),
            alpn: Tls::start(&at(get("SIGNET_TLS01_PORT"))),
            rig,
            tls,
            dns,
            directory: Value::Null,
            base,
            names: AtomicU32::default(),
            seen: Mutex::default(),
            faults: Mutex::default(),
        };
        world.directory = world.look_up_directory();
        world
    }

    /// The directory as it is now.
    pub(crate) fn look_up_directory(&self) -> Value {
        let answer = self.stranger().plain("GET", self.rig.environment.get("SIGNET_DIRECTORY"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A client without an account.
    pub(crate) fn stranger(&self) -> Peer<'_> {
        Peer::stranger(self, Key::p256())
    }

    /// A client with an account of its own.
    pub(crate) fn account(&self) -> Peer<'_> {
        Peer::account(self)
    }

    /// A name that nobody else uses.
    pub(crate) fn name(&self, hint: &str) -> String {
        format!("{hint}-{}.example.test", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A URL of the directory.
    #[track_caller]
    pub(crate) fn url(&self, member: &str) -> String {
        let url = self.directory[member].as_str();
        url.unwrap_or_else(|| panic!("the directory has no {member}: {}", self.directory)).to_owned()
    }

    /// `host:port` of the ACME surface.
    pub(crate) fn authority(&self) -> &str {
        self.base.strip_prefix("https://").expect("an https URL")
    }

    /// `https://host:port`
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What follows the authority in a URL.
    #[track_caller]
    pub(crate) fn path(&self, url: &str) -> String {
        url.strip_prefix(&self.base).unwrap_or_else(|| panic!("a foreign URL: {url}")).to_owned()
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Https {
        Https::new(self.tls.clone(), self.authority()).expect("an address")
    }

    /// Runs signetctl as the administrator.
    #[track_caller]
    pub(crate) fn signetctl(&self, arguments: &[&str]) -> String {
        let said = self.rig.environment.signetctl(arguments);
        said.unwrap_or_else(|error| panic!("signetctl {arguments:?}: {error}"))
    }

    /// What the administrator is shown as JSON.
    #[track_caller]
    pub(crate) fn signetctl_json(&self, arguments: &[&str]) -> Value {
        let said = self.signetctl(&[&["--json"], arguments].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("signetctl {arguments:?}: {error}: {said}"))
    }

    /// Looks at every answer for what holds everywhere.
    pub(crate) fn look_at(&self, method: &str, url: &str, answer: &Answer) {
        let what = || format!("{method} {url}: {} {}", answer.status, answer.text());
        let mut faults = Vec::new();
        let is_der = answer.header("content-type") == Some("application/pkix-cert");
        if !is_der && std::str::from_utf8(&answer.body).is_err() {
            faults.push(format!("not UTF-8: {}", what()));
        }
        if answer.status >= 500 && answer.status != 503 {
            faults.push(format!("a failure of the server: {}", what()));
        }
        if answer.status >= 400 && method != "HEAD" && answer.header("content-type") != Some("application/problem+json")
        {
            faults.push(format!("no problem document: {}", what()));
        }
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        types(&answer.json(), &mut |kind| {
            seen.entry(kind.to_owned()).or_insert_with(what);
        });
    }

    /// What was found by [`World::look_at`].
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Types of the ACME name space that were seen, and where.
    pub(crate) fn seen(&self) -> BTreeMap<String, String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `work` against a daemon that was started again with `settings` merged into its own.
    /// Everything is as before afterwards, however `work` ends.
    pub(crate) fn with_settings<T>(&self, settings: &str, work: impl FnOnce() -> T) -> T {
        let path = self.rig.layout.signetd();
        let before = std::fs::read_to_string(&path).expect("signetd.toml");
        let mut table: toml::Table = toml::from_str(&before).expect("TOML");
        overlay(&mut table, toml::from_str(settings).expect("TOML"));
        let changed = path.with_file_name("changed.toml");
        std::fs::write(&changed, table.to_string()).expect("changed.toml");
        let program = softhsm_tests::programs::directory().join("signetd");
        let output = Command::new(program).args(["check", "--config"]).arg(&changed).output().expect("signetd");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let _restored = Restored { world: self, before };
        std::fs::rename(&changed, &path).expect("signetd.toml");
        self.restart(Signal::TERM);
        work()
    }

    /// Ends signetd by a signal, and waits until its successor is ready.
    pub(crate) fn restart(&self, signal: Signal) {
        restart(&self.rig, "signetd", signal);
    }
}

/// Lets the profiles accept all challenges, and both daemons read them again.
fn offer_every_method(rig: &Rig) {
    for profile in ["server", "shortlived"] {
        let path = rig.layout.config().join("profiles").join(format!("{profile}.toml"));
        let text = std::fs::read_to_string(&path).expect("a profile");
        let changed = text.replace(
            "\"dns-01\", \"tls-alpn-01\"",
            "\"dns-01\", \"dns-account-01\", \"dns-persist-01\", \"tls-alpn-01\"",
        );
        assert_ne!(changed, text, "{}", path.display());
        std::fs::write(&path, changed).expect("a profile");
    }
    restart(rig, "signer-ca", Signal::TERM);
    restart(rig, "signetd", Signal::TERM);
}

/// Ends a service by a signal, and waits until its successor and the whole rig are ready.
fn restart(rig: &Rig, service: &str, signal: Signal) {
    let before = rig.service(service).pid;
    rig.signal(service, signal);
    let back = || {
        let now = rig.service(service);
        now.pid.is_some() && now.pid != before && now.ready
    };
    wait_until(&format!("{service} is back"), PATIENCE, back).unwrap_or_else(|error| {
        let log = std::fs::read_to_string(rig.layout.log(service)).unwrap_or_default();
        panic!("{error}: {}", log.lines().rev().take(5).collect::<Vec<_>>().join("\n"))
    });
    let ready = || rig::health(&rig.layout).is_ok_and(|health| health["ready"] == true);
    wait_until("the rig is ready", PATIENCE, ready).expect("ready");
}

struct Restored<'w> {
    world: &'w World,
    before: String,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        std::fs::write(self.world.rig.layout.signetd(), &self.before).expect("signetd.toml");
        self.world.restart(Signal::TERM);
    }
}

fn overlay(settings: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (settings.get_mut(&name), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(over)) => overlay(section, over),
            (_, value) => {
                settings.insert(name, value);
            }
        }
    }
}

/// Every `type` in the ACME name space, at any depth.
fn types(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            if let Some(kind) = members.get("type").and_then(Value::as_str).filter(|kind| kind.starts_with("urn:")) {
                found(kind);
            }
            members.values().for_each(|member| types(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| types(item, found)),
        _ => {}
    }
}
