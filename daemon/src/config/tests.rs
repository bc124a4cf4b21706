use std::path::Path;

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../packaging/signetd.toml");

const GOOD: &str = r#"version = 1
public_url = "https://ca.example.com/"
log = "info"

[acme]
profiles = ["server", "shortlived"]
default_profile = "shortlived"

[ca]
issuer = "ca/issuing-1.pem"
key = "issuing-1"
profiles = "profiles"
root = "/etc/ca/root.pem"

[signers]
ca = "/run/signet/ca.sock"
tls = "/run/signet/tls.sock"

[store]
engine = "sqlite"
path = "/var/lib/signet"

[tls]
chain = "ca/tls-1.pem"
key = "tls-1"
versions = ["1.3"]

[[listener]]
address = "0.0.0.0:443"
tls = true
surfaces = ["acme", "admin"]
client_certificates = "optional"

[[listener]]
path = "/run/signet/pki.sock"
tls = false
surfaces = ["pki", "health"]

[limits]
body = 4096

[rate_limits]
orders = "300 per 3h"

[validation]
allowed_networks = ["10.0.0.0/8"]
resolvers = ["192.0.2.53", "[2001:db8::1]:5353"]
timeout = "5s"
"#;

#[test]
fn a_good_file_is_read_with_its_defaults() {
    let config = Config::from_toml("/etc/signet/signetd.toml", GOOD).unwrap();
    assert_eq!(config.public_url, "https://ca.example.com");
    assert_eq!(config.acme.default_profile, "shortlived");
    assert_eq!(config.ca.issuer, Path::new("/etc/signet/ca/issuing-1.pem"));
    assert_eq!(config.ca.root, Path::new("/etc/ca/root.pem"));
    assert_eq!(config.limits.body, 4096);
    assert_eq!(config.limits.connections, 1024);
    assert_eq!(config.rate_limits.orders.map(Rate::burst), Some(300));
    assert_eq!(config.rate_limits.ipv6_prefix, 64);
    assert_eq!(config.tls.oldest, TlsVersion::Tls13);
    assert_eq!(config.listeners[0].client_certificates, ClientCertificates::Optional);
    assert_eq!(config.listeners[1].address, Address::Unix("/run/signet/pki.sock".into()));
    assert_eq!(config.listeners[1].transport, Transport::Plain);
    assert_eq!(config.validation.resolvers[0], "192.0.2.53:53".parse().unwrap());
    assert_eq!(config.validation.resolvers[1], "[2001:db8::1]:5353".parse().unwrap());
    assert_eq!(config.validation.timeout, Duration::from_secs(5));
    assert_eq!(config.validation.http01_port, 80);
}

#[test]
fn accounts_are_open_to_all_and_nonces_in_memory_unless_the_file_says_otherwise() {
    let config = Config::from_toml("signetd.toml", GOOD).unwrap();
    assert_eq!(config.acme.accounts, Accounts::default());
    let strict = "default_profile = \"shortlived\"\nexternal_accounts = \"required\"\nnonces = \"store\"\n\
                  terms_of_service = \"https://ca.example.com/terms\"\nterms_of_service_changed = \"require\"";
    let config = Config::from_toml("signetd.toml", &GOOD.replace("default_profile = \"shortlived\"", strict)).unwrap();
    let expected = Accounts {
        external: ExternalAccounts::Required,
        nonces: NonceKeeper::Store,
        terms_changed: TermsChanged::Require,
    };
    assert_eq!(config.acme.accounts, expected);
}

#[test]
fn the_ca_is_called_by_the_host_of_its_url_unless_the_file_says_otherwise() {
    let identities = |text: &str| Config::from_toml("signetd.toml", text).unwrap().validation.caa_identities;
    assert_eq!(identities(GOOD), ["ca.example.com"]);
    assert_eq!(identities(&GOOD.replace("ca.example.com", "CA.example.com:8443")), ["ca.example.com"]);
    assert_eq!(identities(&GOOD.replace("ca.example.com", "192.0.2.1")), Vec::<String>::new());
    assert_eq!(identities(&GOOD.replace("ca.example.com", "[2001:db8::1]:443")), Vec::<String>::new());
    let said = GOOD.replace("timeout = \"5s\"", "caa_identities = [\"a.test\", \"b.test\"]");
    assert_eq!(identities(&said), ["a.test", "b.test"]);
}

#[test]
fn the_keys_that_dnssec_begins_with_are_read() {
    let dnssec = |said: &str| {
        let text = GOOD.replace("timeout = \"5s\"", said);
        Config::from_toml("signetd.toml", &text).unwrap().validation.dnssec
    };
    assert_eq!(dnssec(""), Dnssec::Off);
    assert_eq!(dnssec("dnssec = false"), Dnssec::Off);
    assert_eq!(dnssec("dnssec = true"), Dnssec::Root);
    // The example of RFC 6605 section 6.1.
    let key = "example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
    let said = format!("dnssec = true\ndnssec_anchors = [\"{key}\"]");
    assert_eq!(dnssec(&said), Dnssec::Anchors(vec![key.to_owned()]));
}

#[test]
fn the_documented_file_is_good_and_shows_the_defaults() {
    let shown = Config::from_toml("/etc/signet/signetd.toml", EXAMPLE).unwrap();
    // Every commented line that sets something, but those that stand for nothing by default.
    let optional = [
        "user",
        "root_crl",
        "delta_every",
        "archive_cutoff",
        "terms_of_service",
        "website",
        "allowed_networks",
        "authorities",
        "resolvers",
        "dnssec_anchors",
        "client_certificates",
    ];
    let written: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(name, _)| {
                    !optional.contains(&name)
                        && name
                            .chars()
                            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
                }) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(written, EXAMPLE);
    assert_eq!(Config::from_toml("/etc/signet/signetd.toml", &written).unwrap(), shown);
}

/// Each pair replaces the first text, which must be there, by the second.
const MISTAKES: &[(&str, &str)] = &[
    ("version = 1", "version = 2"),
    ("version = 1\n", ""),
    ("log = \"info\"", "log = \"a=b=c\""),
    ("log = \"info\"", "loglevel = \"info\""),
    ("https://ca.example.com/", "http://ca.example.com"),
    ("https://ca.example.com/", "https://ca.example.com/acme"),
    ("https://ca.example.com/", "https://me@ca.example.com"),
    ("https://ca.example.com/", "ca.example.com"),
    ("default_profile = \"shortlived\"", "default_profile = \"client\""),
    ("profiles = [\"server\", \"shortlived\"]", "profiles = []"),
    ("default_profile = \"shortlived\"", "website = \"here\""),
    ("default_profile = \"shortlived\"", "order_lifetime = \"1s\""),
    ("default_profile = \"shortlived\"", "external_accounts = \"never\""),
    ("default_profile = \"shortlived\"", "nonces = \"disk\""),
    ("default_profile = \"shortlived\"", "terms_of_service_changed = \"require\""),
    ("default_profile = \"shortlived\"", "challenges = []"),
    ("default_profile = \"shortlived\"", "challenges = [\"http-01\", \"http-01\"]"),
    ("default_profile = \"shortlived\"", "challenges = [\"console\"]"),
    ("default_profile = \"shortlived\"", "reuse_authorizations = false\npre_authorization = true"),
    ("key = \"issuing-1\"", "key = \"issuing-1\"\nretiring = [\"issuing-1\"]"),
    ("key = \"issuing-1\"", "key = \"\""),
    ("root = \"/etc/ca/root.pem\"\n", ""),
    ("engine = \"sqlite\"", "engine = \"postgres\""),
    ("path = \"/var/lib/signet\"", "path = 7"),
    ("versions = [\"1.3\"]", "versions = [\"1.1\"]"),
    ("versions = [\"1.3\"]", "versions = [\"1.2\"]"),
    ("0.0.0.0:443", "localhost:443"),
    ("address = \"0.0.0.0:443\"", "path = \"/run/signet/pki.sock\""),
    ("address = \"0.0.0.0:443\"\n", ""),
    ("path = \"/run/signet/pki.sock\"", "path = \"/run/signet/pki.sock\"\naddress = \"0.0.0.0:80\""),
    ("[\"acme\", \"admin\"]", "[\"acme\", \"gopher\"]"),
    ("[\"acme\", \"admin\"]", "[\"acme\", \"acme\"]"),
    ("[\"acme\", \"admin\"]", "[]"),
    ("client_certificates = \"optional\"\n", ""),
    ("client_certificates = \"optional\"", "client_certificates = \"maybe\""),
    ("surfaces = [\"pki\", \"health\"]", "surfaces = [\"pki\", \"acme\"]"),
    ("surfaces = [\"pki\", \"health\"]", "surfaces = [\"pki\"]\nclient_certificates = \"required\""),
    ("body = 4096", "body = 12"),
    ("body = 4096", "body = -1"),
    ("body = 4096", "body = \"4k\""),
    ("body = 4096", "header_timeout = \"soon\""),
    ("body = 4096", "idle_timeout = \"5s\""),
    ("300 per 3h", "300"),
    ("300 per 3h", "0 per 1h"),
    ("orders = \"300 per 3h\"", "orders_per_day = \"off\""),
    ("orders = \"300 per 3h\"", "exempt_networks = [\"10.0.0.1\"]"),
    ("orders = \"300 per 3h\"", "ipv6_prefix = 129"),
    ("[\"10.0.0.0/8\"]", "[\"10.0.0.0\"]"),
    ("[\"10.0.0.0/8\"]", "[]"),
    ("\"192.0.2.53\"", "\"dns.example.com\""),
    ("timeout = \"5s\"", "timeout = \"5d\""),
    ("timeout = \"5s\"", "http01_port = 0"),
    ("timeout = \"5s\"", "tls_alpn01_port = 65536"),
    ("timeout = \"5s\"", "dnssec = \"yes\""),
    ("timeout = \"5s\"", "dnssec_anchors = [\"example. 3600 IN DNSKEY 257 3 13 AAAA\"]"),
    ("timeout = \"5s\"", "dnssec = true\ndnssec_anchors = []"),
    ("timeout = \"5s\"", "dnssec = true\ndnssec_anchors = [\"corp.example\"]"),
    ("timeout = \"5s\"", "caa_identities = []"),
    ("timeout = \"5s\"", "caa_identities = [\"CA.example.com\"]"),
    ("timeout = \"5s\"", "caa_identities = [\"*.example.com\"]"),
    ("timeout = \"5s\"", "caa_identities = [\"192.0.2.1\"]"),
    ("[validation]", "[crl]\nevery = \"4d\"\n[validation]"),
    ("[validation]", "[crl]\nlifetime = \"2h\"\n[validation]"),
    ("[validation]", "[crl]\ndelta_every = \"13h\"\n[validation]"),
    ("[validation]", "[crl]\nhistory = 0\n[validation]"),
    ("[validation]", "[ocsp]\nnever_issued = \"good\"\n[validation]"),
    ("[validation]", "[ocsp]\nload = 101\n[validation]"),
    ("[validation]", "[certmaker]\nchallenges = [\"tls-alpn-01\"]\n[validation]"),
    ("[validation]", "[certmaker]\nhttp01_ports = [80, \"9000-8000\"]\n[validation]"),
    ("[validation]", "[certmaker]\nhttp01_ports = [\"any\"]\n[validation]"),
    ("[\"acme\", \"admin\"]", "[\"certmaker\", \"upki\"]"),
    ("[validation]", "[upki]\ncertify = \"always\"\n[validation]"),
    ("[validation]", "[upki.profiles]\nca = \"server\"\n[validation]"),
    ("[validation]", "[upki]\nprofiles = {}\n[validation]"),
    ("surfaces = [\"pki\", \"health\"]", "surfaces = [\"upki\"]"),
];

#[test]
fn every_mistake_is_answered_with_its_line_and_what_to_write() {
    let said: String = MISTAKES
        .iter()
        .map(|(right, wrong)| {
            assert!(GOOD.contains(right), "{right}");
            let text = GOOD.replacen(right, wrong, 1);
            format!("{}\n", Config::from_toml("signetd.toml", &text).expect_err(wrong))
        })
        .collect();
    assert!(said == include_str!("golden.txt"), "the messages changed; if that is right, golden.txt is now:\n{said}");
}

#[test]
fn a_configuration_that_listens_nowhere_is_refused() {
    let text = &GOOD[..GOOD.find("[[listener]]").unwrap()];
    assert!(Config::from_toml("f", text).unwrap_err().problem.contains("listens nowhere"));
}

#[test]
fn surfaces_that_share_a_path_are_found() {
    let shared = super::parse::shared_path;
    assert_eq!(shared(&["/api/v1"], &["/api/v1/public"]), Some("/api/v1/public"));
    assert_eq!(shared(&["/status", "/api/v1/private"], &["/login", "/api/v1"]), Some("/api/v1/private"));
    assert_eq!(shared(&["/ca"], &["/ca"]), Some("/ca"));
    assert_eq!(shared(&["/ca"], &["/cas"]), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Config::from_toml("f", &text);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..GOOD.len(), length in 0..40usize, new in "[ -~\n]{0,8}") {
        let mut text = GOOD.to_owned();
        text.replace_range(at..(at + length).min(GOOD.len()), &new);
        let _ = Config::from_toml("f", &text);
    }
}
