//! tls-alpn-01 (RFC 8737).

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::der::{ACME_IDENTIFIER, AlpnDraft, OLD_ACME_IDENTIFIER, SubjectName};
use crate::jose::{Key, sha256};
use crate::peer::{Peer, assert_failed, text};
use crate::world::World;

crate::checks! {
    "T-01 T-02 T-04" => the_right_certificate_is_accepted_and_nothing_is_said,
    "T-03" => every_other_certificate_is_refused,
    "T-03" => other_protocols_and_old_tls_are_refused,
}

const ACME_TLS: &[u8] = b"acme-tls/1";
const FAR: &str = "20990101000000Z";

fn hash(peer: &Peer<'_>, one: &Value) -> Vec<u8> {
    sha256(peer.key_authorization(&text(&one["token"])).as_bytes())
}

fn the_right_certificate_is_accepted_and_nothing_is_said(world: &World) {
    let mut peer = world.account();
    // One that is valid, and one that expired long ago.
    for (key, not_after) in [(Key::p256(), FAR), (Key::rsa(), "20210101000000Z"), (Key::p384(), FAR)] {
        let name = world.name("alpn");
        let valid = peer.attempt(&name, "tls-alpn-01", |peer, one| {
            let names = vec![SubjectName::Dns(&name)];
            let identifier = Some((ACME_IDENTIFIER, true, hash(peer, one)));
            let certificate = AlpnDraft { key: &key, names, identifier, not_after }.der();
            world.alpn.offer(&name, certificate, key.pkcs8(), &[ACME_TLS]);
        });
        assert_eq!(valid["status"], "valid", "{valid}");
        let greeted = world.alpn.greeted(&name);
        assert_eq!(greeted.len(), 1, "SNI is the name");
        assert_eq!(greeted[0].alpn, [ACME_TLS], "ALPN is that and nothing else");
        let silent = || world.alpn.greeted(&name)[0].ended;
        softhsm_tests::wait::wait_until("the validator hangs up", crate::peer::PATIENCE, silent).expect("an end");
        assert_eq!(world.alpn.greeted(&name)[0].said, 0, "no HTTP");
    }
}

fn every_other_certificate_is_refused(world: &World) {
    let mut peer = world.account();
    let key = Key::p256();
    struct Wrong {
        what: &'static str,
        names: Vec<&'static str>,
        identifier: Option<(&'static [u8], bool)>,
        spoil: fn(Vec<u8>) -> Vec<u8>,
    }
    let wrong = |what, names, identifier, spoil| Wrong { what, names, identifier, spoil };
    let right = Some((ACME_IDENTIFIER, true));
    let same: fn(Vec<u8>) -> Vec<u8> = |hash| hash;
    let cases = [
        wrong("no extension", vec!["NAME"], None, same),
        wrong("an extension that is not critical", vec!["NAME"], Some((ACME_IDENTIFIER, false)), same),
        wrong("the extension of the drafts", vec!["NAME"], Some((OLD_ACME_IDENTIFIER, true)), same),
        wrong("another hash", vec!["NAME"], right, |mut hash| {
            hash[0] ^= 1;
            hash
        }),
        wrong("a short hash", vec!["NAME"], right, |hash| hash[..31].to_vec()),
        wrong("a long hash", vec!["NAME"], right, |hash| [hash, vec![0]].concat()),
        wrong("no hash", vec!["NAME"], right, |_| Vec::new()),
        wrong("no name", vec![], right, same),
        wrong("another name", vec!["other.example.test"], right, same),
        wrong("two names", vec!["NAME", "other.example.test"], right, same),
        wrong("the name twice", vec!["NAME", "NAME"], right, same),
        wrong("a wildcard", vec!["*.example.test"], right, same),
    ];
    for Wrong { what, names, identifier, spoil } in cases {
        let name = world.name("alpn-wrong");
        let invalid = peer.attempt(&name, "tls-alpn-01", |peer, one| {
            let names =
                names.iter().map(|given| SubjectName::Dns(if *given == "NAME" { &name } else { given })).collect();
            let identifier = identifier.map(|(oid, critical)| (oid, critical, spoil(hash(peer, one))));
            let certificate = AlpnDraft { key: &key, names, identifier, not_after: FAR }.der();
            world.alpn.offer(&name, certificate, key.pkcs8(), &[ACME_TLS]);
        });
        assert_eq!(invalid["status"], "invalid", "{what}: {invalid}");
        assert_failed(&invalid, &["unauthorized", "incorrectResponse", "tls"], &[&name]);
    }
    // An address beside the name.
    let name = world.name("alpn-wrong");
    let invalid = peer.attempt(&name, "tls-alpn-01", |peer, one| {
        let names = vec![SubjectName::Dns(&name), SubjectName::Address([127, 0, 0, 1].into())];
        let identifier = Some((ACME_IDENTIFIER, true, hash(peer, one)));
        let certificate = AlpnDraft { key: &key, names, identifier, not_after: FAR }.der();
        world.alpn.offer(&name, certificate, key.pkcs8(), &[ACME_TLS]);
    });
    assert_eq!(invalid["status"], "invalid", "{invalid}");
}

fn other_protocols_and_old_tls_are_refused(world: &World) {
    let mut peer = world.account();
    let key = Key::p256();
    let certificate = |peer: &Peer<'_>, name: &str, one: &Value| {
        let identifier = Some((ACME_IDENTIFIER, true, hash(peer, one)));
        AlpnDraft { key: &key, names: vec![SubjectName::Dns(name)], identifier, not_after: FAR }.der()
    };
    // No ALPN at all in the server's answer.
    let name = world.name("alpn-none");
    let invalid = peer.attempt(&name, "tls-alpn-01", |peer, one| {
        world.alpn.offer(&name, certificate(peer, &name, one), key.pkcs8(), &[]);
    });
    assert_failed(&invalid, &["unauthorized", "incorrectResponse", "tls"], &[&name]);
    // Another one: the handshake ends with an alert.
    let name = world.name("alpn-other");
    let invalid = peer.attempt(&name, "tls-alpn-01", |peer, one| {
        world.alpn.offer(&name, certificate(peer, &name, one), key.pkcs8(), &[b"http/1.1"]);
    });
    assert_failed(&invalid, &["tls", "connection"], &[&name]);
    // Nobody there.
    let name = world.name("alpn-closed");
    world.dns.add(&format!("{name} A 127.77.77.77"));
    assert_failed(&peer.attempt(&name, "tls-alpn-01", |_, _| {}), &["connection"], &["127.77.77.77"]);
    // OpenSSL with TLS 1.1 only, then the same with TLS 1.2, which must succeed.
    let port = world.rig.environment.get("SIGNET_TLS01_PORT");
    for (versions, address, end) in [("-tls1_1", "127.0.1.1", "invalid"), ("-tls1_2", "127.0.1.2", "valid")] {
        let name = world.name("alpn-version");
        world.dns.add(&format!("{name} A {address}"));
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = None;
        let done = peer.attempt(&name, "tls-alpn-01", |peer, one| {
            let (cert, pkcs8) = (folder.path().join("cert.der"), folder.path().join("key.der"));
            std::fs::write(&cert, certificate(peer, &name, one)).expect("a file");
            std::fs::write(&pkcs8, key.pkcs8()).expect("a file");
            let mut command = Command::new("openssl");
            command.args(["s_server", "-quiet", versions, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "acme-tls/1"]);
            command.args(["-accept", &format!("{address}:{port}"), "-certform", "DER", "-keyform", "DER", "-cert"]);
            command
                .arg(&cert)
                .arg("-key")
                .arg(&pkcs8)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            server = Some(Ended(command.spawn().expect("openssl")));
            let listens = || std::net::TcpStream::connect(format!("{address}:{port}")).is_ok();
            softhsm_tests::wait::wait_until("openssl listens", crate::peer::PATIENCE, listens).expect("a server");
            // A client that takes this version does get a connection.
            let mut client = Command::new("openssl");
            client.args(["s_client", versions, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "acme-tls/1", "-connect"]);
            client.arg(format!("{address}:{port}")).stdin(Stdio::null());
            let said = client.output().expect("openssl");
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.contains("ALPN protocol: acme-tls/1"), "{versions}: {said}");
        });
        assert_eq!(done["status"], end, "{versions}: {done}");
    }
}

/// A process that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
