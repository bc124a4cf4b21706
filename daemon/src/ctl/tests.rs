use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use policy::key::KeyAlgorithm;
use policy::tbs::Role;
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::client::{OnExpired, refusal};
use super::identity::Flags;
use super::pin::Pin;
use super::*;
use crate::testing::{Authority, DAY, KeyPair, NOW};

const NO_FLAGS: Flags = Flags { profile: None, url: None, ca: None, certificate: None, key: None, identity: None };

fn profile(directory: &Path, text: &str) -> Flags {
    let path = directory.join("profile.toml");
    std::fs::write(&path, text).unwrap();
    Flags { profile: Some(path), ..NO_FLAGS }
}

const GOOD: &str = r#"version = 1
url = "https://ca.example.test:8443"
identity = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
ca = "root.pem"
certificate = "admin.pem"
key = "/elsewhere/admin.key"
"#;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

/// clap lets them share an id, and then panics when one is read as the other.
#[test]
fn no_argument_of_a_command_has_the_id_of_a_global_one() {
    fn check(command: &clap::Command, globals: &[String]) {
        for argument in command.get_arguments() {
            assert!(!globals.contains(&argument.get_id().to_string()), "{} {}", command.get_name(), argument.get_id());
        }
        command.get_subcommands().for_each(|command| check(command, globals));
    }
    let command = Arguments::command();
    let globals = command.get_arguments().filter(|argument| argument.is_global_set());
    let globals: Vec<String> = globals.map(|argument| argument.get_id().to_string()).collect();
    assert!(globals.contains(&"key".to_owned()));
    command.get_subcommands().for_each(|command| check(command, &globals));
}

/// What an option of all verbs and an argument of one are called must not be the same: clap finds that
/// only when the verb is read.
#[test]
fn the_verbs_about_acme_are_read_with_all_their_arguments() {
    for line in [
        "acme account list --limit 7 --eab 00 --json",
        "acme account show -Qx-thumbprint --json",
        "acme account deactivate 00 --key admin.key",
        "acme account bind -Qx-thumbprint 00",
        "acme eab create --label team --name .example.test --name 10.0.0.0/8 --profile-name server --orders 7 \
         --certificates 7 --lifetime 7d --reusable --exempt --profile file.toml",
        "acme eab list",
        "acme eab show 00 --key admin.key",
        "acme eab revoke 00 --accounts end --json",
    ] {
        let words = std::iter::once("signetctl").chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(arguments.global.json, line.contains("--json"), "{line}");
        assert_eq!(arguments.global.key.is_some(), line.contains("--key"), "{line}");
    }
    for line in ["acme eab create --name *.example.*", "acme eab create --lifetime soon", "acme eab revoke"] {
        assert!(Arguments::try_parse_from(std::iter::once("signetctl").chain(line.split(' '))).is_err(), "{line}");
    }
}

#[test]
fn paths_are_relative_to_the_profile_and_flags_override_it() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::load(profile(directory.path(), GOOD)).unwrap();
    assert_eq!(identity.ca, directory.path().join("root.pem"));
    assert_eq!(identity.key, Path::new("/elsewhere/admin.key"));
    assert_eq!(identity.pinned.map(|pinned| pinned[1]), Some(0x11));
    let flags = Flags {
        ca: Some("here.pem".into()),
        url: Some("https://other.example.test".to_owned()),
        ..profile(directory.path(), GOOD)
    };
    let identity = Identity::load(flags).unwrap();
    assert_eq!(identity.ca, Path::new("here.pem"));
    assert_eq!(identity.url.host(), Some("other.example.test"));
}

#[test]
fn a_wrong_profile_is_answered_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let said = |text: &str| Identity::load(profile(directory.path(), text)).err().unwrap().to_string();
    assert!(said(&GOOD.replace("ca = ", "cacert = ")).contains("profile.toml:4: unknown field `cacert`"));
    assert!(said(&GOOD.replace("version = 1", "version = 2")).contains("reads version 1"));
    assert!(said(&GOOD.replace("ca = \"root.pem\"\n", "")).contains("write --ca"));
    assert!(said(&GOOD.replace("https://", "http://")).contains("is not a URL"));
    assert!(said(&GOOD.replace("00112233", "0011223")).contains("64 hexadecimal digits"));
    assert!(said(&GOOD.replace("00112233", "é011223")).contains("64 hexadecimal digits"));
    let absent = Flags { profile: Some(directory.path().join("absent.toml")), ..NO_FLAGS };
    assert!(Identity::load(absent).err().unwrap().to_string().contains("no such profile"));
}

#[test]
fn every_kind_of_refusal_has_its_exit_code() {
    let problem = |detail: &str| serde_json::to_vec(&serde_json::json!({ "detail": detail })).unwrap();
    for (status, detail, code) in [
        (StatusCode::CONFLICT, "already", 1),
        (StatusCode::SERVICE_UNAVAILABLE, "strongbox sealed", 3),
        (StatusCode::SERVICE_UNAVAILABLE, "busy", 1),
        (StatusCode::NOT_FOUND, "none", 4),
        (StatusCode::UNAUTHORIZED, "who", 6),
        (StatusCode::FORBIDDEN, "no", 6),
    ] {
        let error = refusal(status, &problem(detail));
        assert_eq!((error.exit_code(), error.to_string().as_str()), (code, detail));
    }
    assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html>").exit_code(), 1);
}

#[test]
fn a_pin_is_the_first_line_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pin");
    let read = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        Pin::read(&path).map(|pin| pin.expose().to_vec()).ok()
    };
    assert_eq!(read(b"1234"), Some(b"1234".to_vec()));
    assert_eq!(read(b" 12 34\r\nrest\n"), Some(b" 12 34".to_vec()));
    assert_eq!(read(b"\n1234"), None);
    assert_eq!(read(b""), None);
    assert_eq!(read(&[b'x'; 255]), Some(vec![b'x'; 255]));
    assert_eq!(read(&[b'x'; 256]), None);
}

#[test]
fn a_table_is_aligned_and_sends_no_control_characters_to_the_terminal() {
    let rows = [["a\u{1b}[2J".to_owned(), "x".to_owned()], ["long cell".to_owned(), String::new()]];
    let text = table::table(["A", "B"], rows);
    assert_eq!(text, "A          B\na\u{fffd}[2J      x\nlong cell\n");
    assert_eq!(table::time(0), "1970-01-01T00:00:00Z");
    assert_eq!(table::time(u64::MAX), "9999-12-31T23:59:59Z");
}

/// Answers every request with `{}` behind a server certificate that ended years ago.
fn expired_server(authority: &Authority) -> u16 {
    let key = KeyPair::generate(KeyAlgorithm::P256);
    let leaf = authority.certificate(Role::TlsServer, &key.public(), NOW.minus(999 * DAY));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key.private())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut buffer = [0; 1024];
            // A client that does not trust us goes away in the handshake.
            if stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            }
        }
    });
    port
}

#[test]
fn an_expired_server_is_talked_to_only_where_that_is_allowed_and_only_if_it_is_ours_and_pinned() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let port = expired_server(&ours);
    let write = |name: &str, der: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, policy::tbs::Certificate::from_der(der).unwrap().to_pem()).unwrap();
        path
    };
    let key = KeyPair::generate(KeyAlgorithm::P256);
    let certificate = write("admin.pem", ours.certificate(Role::Administrator, &key.public(), NOW).der());
    let key_file = directory.path().join("admin.key");
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.private().secret_der());
    std::fs::write(&key_file, format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")).unwrap();
    let ask_with = |root: &Authority, host: &str, on_expired, pinned| {
        let identity = Identity {
            url: format!("https://{host}:{port}").parse().unwrap(),
            ca: write("root.pem", &root.root()),
            certificate: certificate.clone(),
            key: key_file.clone(),
            pinned,
        };
        Client::new(&identity).unwrap().get::<serde_json::Value>("/admin/v1/status", on_expired)
    };
    let ask = |root, host, on_expired| ask_with(root, host, on_expired, Some([1; 32]));
    assert!(ask(&ours, "127.0.0.1", OnExpired::Accept).is_ok());
    for refused in [
        ask(&ours, "127.0.0.1", OnExpired::Refuse),
        // Another root, another name: age is all that is forgiven.
        ask(&other, "127.0.0.1", OnExpired::Accept),
        ask(&ours, "localhost", OnExpired::Accept),
        // Nobody vouches for an appliance whose identity the profile does not hold.
        ask_with(&ours, "127.0.0.1", OnExpired::Accept, None),
    ] {
        assert_eq!(refused.unwrap_err().exit_code(), 5);
    }
}
