use super::*;

const GOOD: &str = r#"version = 1
name = "ca"
token = "pkcs11:token=signet-ca"
module = "/usr/lib/softhsm/libsofthsm2.so"
environment = { SOFTHSM2_CONF = "/etc/signet/softhsm-ca.conf" }
state = "/var/lib/signet-signer/ca"
profiles = "/etc/signet/profiles"
sessions = 8
deadline = "10s"
identity = "/run/signet/identity.sock"

[[listen]]
path = "/run/signet/ca.sock"
peer = "daemon"

[[key]]
label = "issuing-1"
purpose = "issue"
certificate = "/etc/signet/ca/issuing-1.pem"

[[key]]
label = "checkpoint-1"
purpose = "checkpoint"
"#;

const TLS: &str = r#"version = 1
name = "tls"
token = "pkcs11:token=signet-tls"
module = "/usr/lib/softhsm/libsofthsm2.so"
state = "/var/lib/signet-signer/tls"
pin = "/etc/signet/tls.pin"

[[listen]]
path = "/run/signet/tls.sock"
peer = "daemon"
uid = 990

[[listen]]
path = "/run/signet/identity.sock"
peer = "signer"

[[key]]
label = "tls-1"
purpose = "tls"
certificate = "/etc/signet/ca/tls-1.pem"

[[key]]
label = "identity-1"
purpose = "identity"
"#;

#[test]
fn the_documented_files_are_read() {
    let ca = Config::from_toml("f", GOOD).unwrap();
    assert_eq!((ca.name.as_str(), ca.sessions, ca.deadline), ("ca", 8, Duration::from_secs(10)));
    assert_eq!(ca.environment["SOFTHSM2_CONF"], "/etc/signet/softhsm-ca.conf");
    assert_eq!(ca.keys.len(), 2);
    assert_eq!(ca.keys[0].purpose, Purpose::Issue);
    let tls = Config::from_toml("f", TLS).unwrap();
    assert_eq!((tls.sessions, tls.deadline), (8, Duration::from_secs(10)));
    assert_eq!(tls.listen[0], Listen { path: "/run/signet/tls.sock".into(), peer: Peer::Daemon, uid: Some(990) });
}

/// Each row: what to replace in a good file, by what, and the whole message.
#[test]
fn every_mistake_is_answered_with_file_line_and_remedy() {
    let golden = include_str!("golden.txt");
    let mut seen = String::new();
    for (good, from, to) in MISTAKES {
        assert!(good.contains(from), "{from}");
        let error = Config::from_toml("signer.toml", &good.replacen(from, to, 1)).unwrap_err();
        seen.push_str(&format!("{error}\n"));
    }
    assert_eq!(seen, golden, "if the change is meant, this is the new golden.txt:\n{seen}");
}

const MISTAKES: &[(&str, &str, &str)] = &[
    (GOOD, "version = 1", "version = 2\nfuture = true"),
    (GOOD, "version = 1\n", ""),
    (GOOD, "version = 1", "version = \"1\""),
    (GOOD, "name = \"ca\"", "name = \"CA/1\""),
    (GOOD, "sessions = 8", "session = 8"),
    (GOOD, "sessions = 8", "sessions = 0"),
    (GOOD, "sessions = 8", "sessions = 65"),
    (GOOD, "sessions = 8", "sessions = -1"),
    (GOOD, "\"10s\"", "\"ten seconds\""),
    (GOOD, "\"10s\"", "\"1ms\""),
    (GOOD, "\"10s\"", "\"1h\""),
    (GOOD, "\"10s\"", "10"),
    (GOOD, "pkcs11:token=signet-ca", "signet-ca"),
    (GOOD, "pkcs11:token=signet-ca", "pkcs11:slot-id=4"),
    (GOOD, "pkcs11:token=signet-ca", "pkcs11:token=signet-ca?pin-value=1234"),
    (GOOD, "pkcs11:token=signet-ca", "pkcs11:manufacturer=SoftHSM"),
    (GOOD, "\"/usr/lib/softhsm/libsofthsm2.so\"", "\"libsofthsm2.so\""),
    (GOOD, "\"/var/lib/signet-signer/ca\"", "\"/var/lib/../ca\""),
    (GOOD, "SOFTHSM2_CONF", "LD_PRELOAD"),
    (GOOD, "SOFTHSM2_CONF", "\"SOFTHSM2 CONF\""),
    (GOOD, "profiles = \"/etc/signet/profiles\"\n", ""),
    (GOOD, "identity = \"/run/signet/identity.sock\"\n", ""),
    (GOOD, "certificate = \"/etc/signet/ca/issuing-1.pem\"\n", ""),
    (GOOD, "checkpoint-1", "issuing-1"),
    (GOOD, "peer = \"daemon\"", "peer = \"signer\""),
    (GOOD, "peer = \"daemon\"", "peer = \"deamon\""),
    (GOOD, "purpose = \"issue\"", "purpose = \"sign\""),
    (GOOD, "purpose = \"checkpoint\"", "purpose = \"identity\""),
    (GOOD, "[[listen]]\npath = \"/run/signet/ca.sock\"\npeer = \"daemon\"\n", ""),
    (GOOD, "deadline = \"10s\"", "deadline = \"10s\"\nuser = \"root\""),
    (TLS, "pin = \"/etc/signet/tls.pin\"\n", "identity = \"/run/signet/other.sock\"\n"),
    (TLS, "/run/signet/identity.sock", "/run/signet/tls.sock"),
    (TLS, "peer = \"signer\"", "peer = \"daemon\""),
    (TLS, "uid = 990", "uid = -1"),
];

#[test]
fn a_socket_path_that_the_system_would_cut_is_refused() {
    let long = format!("/run/{}.sock", "x".repeat(120));
    let error = Config::from_toml("f", &GOOD.replace("/run/signet/ca.sock", &long)).unwrap_err();
    assert!(error.problem.contains("107 octets"), "{error}");
    assert_eq!(error.line, 13);
}

#[test]
fn a_file_without_keys_is_refused() {
    let cut = GOOD.find("[[key]]").unwrap();
    let error = Config::from_toml("f", &GOOD[..cut]).unwrap_err();
    assert!(error.problem.contains("no `[[key]]` is written"), "{error}");
}

#[test]
fn unattended_unseal_of_an_issuing_key_is_a_choice_that_is_allowed() {
    let text = GOOD.replace("identity = \"/run/signet/identity.sock\"", "pin = \"/etc/signet/ca.pin\"");
    assert_eq!(Config::from_toml("f", &text).unwrap().pin, Some("/etc/signet/ca.pin".into()));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(text in "\\PC{0,200}") {
        let _ = Config::from_toml("f", &text);
    }

    #[test]
    fn any_cut_of_a_good_file_is_a_configuration_or_an_error(cut in 0..GOOD.len()) {
        let error = Config::from_toml("f", &GOOD[..cut]);
        if let Err(error) = error {
            proptest::prop_assert!(error.line >= 1 && error.line <= GOOD.lines().count() + 1);
        }
    }
}
