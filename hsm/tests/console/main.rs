//! The console of `signet-signer`, end to end, with SoftHSM in temporary folders.

#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod first_run;
mod rig;
mod terminal;

use rig::{Appliance, Running, openssl, signer, verifies};

#[test]
fn a_ceremony_makes_certificates_that_strangers_verify() {
    let appliance = Appliance::initialised();
    let at = |name: &str| appliance.path(name);
    let (root, issuing) = (at("etc/ca/root.pem"), at("etc/ca/issuing-1.pem"));
    verifies(&root, &issuing, &issuing, "any");
    verifies(&root, &issuing, &at("etc/ca/tls-1.pem"), "sslserver");
    verifies(&root, &issuing, &at("etc/ca/ocsp-1.pem"), "ocsphelper");
    verifies(&root, &issuing, &at("bundle/admin.pem"), "sslclient");
    let text = |name: &str| openssl(&["x509", "-noout", "-text", "-in", at(name).to_str().unwrap()]).out;
    assert!(text("etc/ca/issuing-1.pem").contains("CA:TRUE, pathlen:0"));
    let server = text("etc/ca/tls-1.pem");
    assert!(server.contains("DNS:ca.example.test") && server.contains("IP Address:127.0.0.1"), "{server}");
}

#[test]
fn a_ceremony_is_in_the_journal_before_it_is_in_files() {
    let appliance = Appliance::initialised();
    let verified = signer(&["journal", "verify", appliance.path("var/ca/journal").to_str().unwrap()]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let shown = appliance.console(&["journal", "show"], &[]);
    let entries: Vec<serde_json::Value> = shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let roles: Vec<&str> = entries.iter().filter_map(|entry| entry["event"]["profile"].as_str()).collect();
    assert_eq!(roles, ["root", "issuing-ca", "tls-server", "ocsp-responder", "administrator"]);
    for entry in entries.iter().filter(|entry| entry["event"]["type"] == "certificate") {
        assert_eq!(entry["event"]["record"]["actor"], "console");
    }
    let enrolled = entries.iter().filter(|entry| entry["event"]["type"] == "administrator_enrolled").count();
    assert_eq!(enrolled, 1);
    assert!(entries.iter().any(|entry| entry["event"]["type"] == "ceremony"));
    let listed = appliance.console(&["admin", "list"], &[]);
    assert!(listed.out.contains("alice"), "{listed:?}");
}

#[test]
fn running_the_ceremony_again_changes_nothing_and_says_so() {
    let appliance = Appliance::initialised();
    let before = appliance.tree("");
    let again = appliance.init(&["--software-admin-key"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.starts_with("already initialised: nothing was changed"), "{again:?}");
    assert_eq!(appliance.tree(""), before);
    // The root token is taken away, the bundle handed out: that does not make the host empty.
    std::fs::rename(appliance.path("var/root"), appliance.path("vault")).unwrap();
    std::fs::rename(appliance.path("bundle"), appliance.path("handed-out")).unwrap();
    assert_eq!(appliance.init(&["--software-admin-key"]).code, 0);
}

#[test]
fn half_a_ceremony_is_refused_and_left_alone() {
    for there in ["var/ca/tokens/x", "etc/ca/root.pem", "etc/tls.pin", "bundle/admin.key", "etc/signer-tls.toml"] {
        let appliance = Appliance::empty();
        std::fs::create_dir_all(appliance.path(there).parent().unwrap()).unwrap();
        std::fs::write(appliance.path(there), "precious").unwrap();
        let before = appliance.tree("");
        let refused = appliance.init(&["--software-admin-key"]);
        assert_eq!(refused.code, 1, "{there}: {refused:?}");
        assert!(refused.err.contains("stopped half-way") && refused.err.contains("move these away"), "{refused:?}");
        assert_eq!(appliance.tree(""), before, "{there}");
    }
}

#[test]
fn a_ceremony_that_lost_its_files_asks_for_the_backup() {
    let appliance = Appliance::initialised();
    std::fs::remove_file(appliance.path("etc/ca/issuing-1.pem")).unwrap();
    let refused = appliance.init(&["--software-admin-key"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("issuing-1.pem; restore them from a backup"), "{refused:?}");
}

#[test]
fn secrets_are_for_their_owner_alone_and_nowhere_else() {
    let appliance = Appliance::initialised();
    for secret in ["bundle/admin.key", "etc/tls.pin"] {
        assert_eq!(appliance.mode(secret), 0o600, "{secret}");
    }
    for folder in ["bundle", "var/ca", "var/tls", "var/root", "var/ca/tokens"] {
        assert_eq!(appliance.mode(folder), 0o700, "{folder}");
    }
    let pins = ["root-pin-1", "ca-pin-22", "so-pin-333"].map(str::to_owned);
    let tls_pin = appliance.text("etc/tls.pin");
    for folder in ["etc", "var", "bundle"] {
        for (path, (_, bytes)) in appliance.tree(folder) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!pins.iter().any(|pin| text.contains(pin)), "{}", path.display());
            assert!(path.ends_with("tls.pin") || !text.contains(&tls_pin), "{}", path.display());
        }
    }
}

#[test]
fn the_bundle_pins_the_identity_that_the_transcript_names() {
    let appliance = Appliance::initialised();
    let der = appliance.path("identity.der");
    let public = appliance.path("etc/ca/identity.pub");
    let made =
        openssl(&["pkey", "-pubin", "-in", public.to_str().unwrap(), "-outform", "DER", "-out", der.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{made:?}");
    let digest = openssl(&["dgst", "-sha256", "-r", der.to_str().unwrap()]).out;
    let digest = digest.split_whitespace().next().unwrap();
    assert!(appliance.text("bundle/profile.toml").contains(digest));
    let transcript = appliance.text("etc/ceremony-transcript.txt");
    assert!(transcript.contains(&format!("Appliance identity (SHA-256 of its public key): {digest}")), "{transcript}");
    assert_eq!(appliance.text("bundle/root.pem"), appliance.text("etc/ca/root.pem"));
}

#[test]
fn an_administrator_with_a_csr_keeps_his_key() {
    let appliance = Appliance::empty();
    let csr = appliance.csr("alice");
    let said = appliance.init(&["--admin-csr", &csr]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!appliance.path("bundle/admin.key").exists());
    let public = |kind: &str, file: &str| {
        openssl(&[kind, "-noout", "-pubkey", "-in", appliance.path(file).to_str().unwrap()]).out
    };
    assert_eq!(public("x509", "bundle/admin.pem"), public("req", "alice.csr"));
}

#[test]
fn what_the_ceremony_writes_passes_check() {
    let appliance = Appliance::initialised();
    for name in ["ca", "tls"] {
        let config = appliance.path(&format!("etc/signer-{name}.toml"));
        let said = signer(&["check", "--config", config.to_str().unwrap()]);
        assert_eq!((said.code, said.out.as_str()), (0, "ok\n"), "{said:?}");
    }
    let spoiled = appliance.text("etc/signer-ca.toml").replace("sessions", "session") + "colour = \"green\"\n";
    std::fs::write(appliance.path("spoiled.toml"), spoiled).unwrap();
    let said = signer(&["check", "--config", appliance.path("spoiled.toml").to_str().unwrap()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("spoiled.toml:") && said.err.contains("unknown field `colour`"), "{said:?}");
    let lines = appliance.text("etc/signer-ca.toml");
    let lines = lines.lines().map(|line| if line.starts_with("module = ") { "module = \"/no/such.so\"" } else { line });
    std::fs::write(appliance.path("spoiled.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    let said = signer(&["check", "--config", appliance.path("spoiled.toml").to_str().unwrap()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("/no/such.so") && said.err.contains("correct `module`"), "{said:?}");
}

#[test]
fn a_certificate_is_issued_on_the_console() {
    let appliance = Appliance::initialised();
    let csr = appliance.csr("web");
    let out = appliance.path("web.pem");
    let pin = appliance.path("ca.pin").display().to_string();
    let more = ["--profile", "server", "--csr", &csr, "--name", "web.example.test", "--pin-file", &pin, "--out"];
    let more: Vec<&str> = more.into_iter().chain([out.to_str().unwrap()]).collect();
    let said = appliance.console(&["issue"], &more);
    assert_eq!(said.code, 0, "{said:?}");
    verifies(&appliance.path("etc/ca/root.pem"), &appliance.path("etc/ca/issuing-1.pem"), &out, "sslserver");
    // J5: the CSR's own name is not copied.
    let text = openssl(&["x509", "-noout", "-text", "-in", out.to_str().unwrap()]).out;
    assert!(text.contains("DNS:web.example.test") && !text.contains("ignored"), "{text}");
    let shown = appliance.console(&["journal", "show"], &[]).out;
    let last: serde_json::Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"]["profile"], "server");
    assert_eq!(last["event"]["record"]["names"][0]["method"], "console");
    assert_eq!(last["event"]["profile_sha256"].as_str().unwrap().len(), 64);

    // Nothing is overwritten, and nothing is signed for a file that cannot be written.
    let again = appliance.console(&["issue"], &more);
    assert!(again.code == 1 && again.err.contains("nothing is ever overwritten"), "{again:?}");
    assert_eq!(appliance.console(&["journal", "show"], &[]).out, shown);
}

#[test]
fn policy_is_asked_on_the_console_too() {
    let appliance = Appliance::initialised();
    let csr = appliance.csr("web");
    let pin = appliance.path("ca.pin").display().to_string();
    let out = appliance.path("web.pem").display().to_string();
    let issue = |profile: &str, name: &str, csr: &str| {
        appliance.console(
            &["issue"],
            &["--profile", profile, "--csr", csr, "--name", name, "--pin-file", &pin, "--out", &out],
        )
    };
    let unknown = issue("colour", "web.example.test", &csr);
    assert!(
        unknown.code == 1
            && unknown.err.contains("there is no profile `colour`: there are client, node, server, shortlived"),
        "{unknown:?}"
    );
    let name = issue("server", "not a name", &csr);
    assert!(name.code == 1 && name.err.contains("is not a DNS name"), "{name:?}");
    let outside = issue("server", "8.8.8.8", &csr);
    assert!(outside.code == 1 && outside.err.contains("8.8.8.8"), "{outside:?}");
    assert!(!appliance.path("web.pem").exists());
}

#[test]
fn an_administrator_is_enrolled_on_the_console() {
    let appliance = Appliance::initialised();
    let at = |name: &str| appliance.path(name).display().to_string();
    let (pin, out, key) = (at("ca.pin"), at("bob.pem"), at("bob.key"));
    let said = appliance.console(
        &["admin", "add"],
        &["--name", "bob", "--software-key", "--key-out", &key, "--out", &out, "--pin-file", &pin],
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(appliance.mode("bob.key"), 0o600);
    let (root, issuing) = (appliance.path("etc/ca/root.pem"), appliance.path("etc/ca/issuing-1.pem"));
    verifies(&root, &issuing, &appliance.path("bob.pem"), "sslclient");
    let listed = appliance.console(&["admin", "list"], &[]).out;
    let names: Vec<bool> = listed.lines().map(|line| line.contains("alice") || line.contains("bob")).collect();
    assert_eq!(names, [true, true], "{listed}");
}

/// The service's account may be taken over, and waits for root to follow what it left behind.
#[test]
fn root_on_the_console_follows_no_link_that_the_service_left() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let service = 65_534;
    let appliance = Appliance::initialised();
    std::fs::set_permissions(appliance.path(""), std::fs::Permissions::from_mode(0o711)).unwrap();
    chown(appliance.path("var/ca"), Some(service), Some(service)).unwrap();
    for path in appliance.tree("var/ca").keys() {
        lchown(path, Some(service), Some(service)).unwrap();
    }
    appliance.secret("precious", "precious");
    let (link, precious) = (appliance.path("var/ca/wrong-pins.new"), appliance.path("precious"));
    symlink(&precious, &link).unwrap();
    lchown(&link, Some(service), Some(service)).unwrap();

    let at = |name: &str| appliance.path(name).display().to_string();
    let (pin, out, key) = (at("ca.pin"), at("bob.pem"), at("bob.key"));
    let more = ["--name", "bob", "--software-key", "--key-out", &key, "--out", &out, "--pin-file", &pin];
    let refused = appliance.console(&["admin", "add"], &more);
    assert_eq!(appliance.text("precious"), "precious", "{refused:?}");
    assert_eq!(precious.metadata().unwrap().uid(), 0);
    assert!(refused.code == 1 && refused.err.contains("ermission denied"), "{refused:?}");

    std::fs::remove_file(&link).unwrap();
    let added = appliance.console(&["admin", "add"], &more);
    assert_eq!(added.code, 0, "{added:?}");
    for path in appliance.tree("var/ca").keys() {
        let meta = path.symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (service, service), "{}", path.display());
    }
    // What is handed out is root's, who asked for it.
    for name in ["bob.pem", "bob.key"] {
        let meta = appliance.path(name).metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (0, nix::unistd::getegid().as_raw()), "{name}");
    }
}

#[test]
fn the_console_waits_until_the_signer_is_stopped() {
    let appliance = Appliance::initialised();
    let at = |name: &str| appliance.path(name).display().to_string();
    let tls = Running::start(&appliance, "tls");
    let ca = Running::start(&appliance, "ca");
    let csr = appliance.csr("bob");
    let (pin, out) = (at("ca.pin"), at("bob.pem"));
    let more = ["--name", "bob", "--csr", &csr, "--out", &out, "--pin-file", &pin];
    let refused = appliance.console(&["admin", "add"], &more);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("systemctl stop signet-signer@ca"), "{refused:?}");
    assert!(!appliance.path("bob.pem").exists());
    assert!(ca.stop().success());
    let added = appliance.console(&["admin", "add"], &more);
    assert_eq!(added.code, 0, "{added:?}");
    // And the signer takes the journal up where the console left it.
    let ended = Running::start(&appliance, "ca").stop();
    assert!(ended.success(), "{ended}");
    assert!(tls.stop().success());
    assert_eq!(appliance.console(&["journal", "verify"], &[]).code, 0);
}

#[test]
fn a_signer_that_serves_has_given_up_what_it_can() {
    let appliance = Appliance::initialised();
    let tls = Running::start(&appliance, "tls");
    let status = tls.proc("status");
    let value = |name: &str| {
        let line = status.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(value("NoNewPrivs"), "1");
    assert_eq!(value("Seccomp"), "2");
    assert_eq!(value("CapEff"), "0000000000000000");
    assert_eq!(value("CapPrm"), "0000000000000000");
    assert!(value("Threads").parse::<u32>().unwrap() > 1);
    // Every thread, not only the first one.
    for thread in std::fs::read_dir(format!("/proc/{}/task", value("Pid"))).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2\n"), "{status}");
    }
    assert!(tls.proc("limits").lines().any(|line| line.starts_with("Max core file size        0 ")));
}

#[test]
fn a_wrong_pin_is_one_sentence_and_an_entry() {
    let appliance = Appliance::initialised();
    let at = |name: &str| appliance.path(name).display().to_string();
    let (csr, pin, out) = (appliance.csr("bob"), at("wrong.pin"), at("bob.pem"));
    let more = ["--name", "bob", "--csr", &csr, "--out", &out, "--pin-file", &pin];
    let refused = appliance.console(&["admin", "add"], &more);
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.err,
        "signet-signer: the token refused the PIN: make sure that it is the user PIN of this token, then try again\n"
    );
    assert!(!appliance.path("bob.pem").exists());
    let shown = appliance.console(&["journal", "show"], &[]).out;
    assert_eq!(shown.matches("\"unseal_failed\"").count(), 1);
    // The token was asked once, and the service will know.
    assert_eq!(appliance.text("var/ca/wrong-pins"), "1\n");
}

#[test]
fn a_pin_that_others_can_read_is_refused_before_anything_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let appliance = Appliance::empty();
    std::fs::set_permissions(appliance.path("ca.pin"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let before = appliance.tree("");
    let refused = appliance.init(&["--software-admin-key"]);
    assert!(refused.code == 1 && refused.err.contains("chmod 600"), "{refused:?}");
    assert_eq!(appliance.tree(""), before);
}

#[test]
fn what_would_fail_half_way_is_refused_before_anything_is_made() {
    let appliance = Appliance::empty();
    let before = appliance.tree("");
    let (long, run) = ("x".repeat(70), format!("/tmp/{}", "x".repeat(100)));
    appliance.secret("short.pin", "123");
    let short = appliance.path("short.pin").display().to_string();
    let after = appliance.tree("");
    let refused = appliance.init(&["--software-admin-key", "--tls-pin-file", &short]);
    assert!(refused.code == 1 && refused.err.contains("must have 4 to 255 octets"), "{refused:?}");
    assert_eq!(appliance.tree(""), after);
    std::fs::remove_file(appliance.path("short.pin")).unwrap();
    for (flag, value, word) in [
        ("--admin", long.as_str(), "64"),
        ("--host", "not a name", "is not a DNS name"),
        ("--run-dir", &run, "107 octets"),
    ] {
        let refused = appliance.init_with(flag, value);
        assert!(refused.code == 1 && refused.err.contains(word), "{flag}: {refused:?}");
        assert_eq!(appliance.tree(""), before, "{flag}");
    }
}

#[test]
fn a_damaged_journal_is_named_at_its_first_bad_entry() {
    let appliance = Appliance::initialised();
    let segment = std::fs::read_dir(appliance.path("var/ca/journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "log"))
        .unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("Generated issuing-1", "Generated issuing-2", 1)).unwrap();
    let refused = appliance.console(&["journal", "verify"], &[]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("journal-00000000000000000001.log:"), "{refused:?}");
}

#[test]
fn the_roots_crl_is_signed_in_the_ceremony_and_again_on_the_console() {
    let appliance = Appliance::initialised();
    let at = |name: &str| appliance.path(name).to_str().unwrap().to_owned();
    let (root, issuing, crl) = (at("etc/ca/root.pem"), at("etc/ca/issuing-1.pem"), at("etc/ca/root.crl"));
    let number = |crl: &str| {
        let text = openssl(&["crl", "-inform", "DER", "-in", crl, "-noout", "-crlnumber"]).out;
        u64::from_str_radix(text.trim().trim_start_matches("crlNumber=0x"), 16).unwrap()
    };
    let verify = || {
        let pem = at("root-crl.pem");
        openssl(&["crl", "-inform", "DER", "-in", &crl, "-out", &pem]);
        openssl(&["verify", "-crl_check", "-CAfile", &root, "-CRLfile", &pem, &issuing])
    };
    assert_eq!(verify().code, 0, "{:?}", verify());
    let first = number(&crl);

    let sign = |more: &[&str]| appliance.console(&["root-crl"], &[&["--pin-file", &at("root.pin")], more].concat());
    let signed = sign(&["--days", "30"]);
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(signed.out.contains("0 entries"), "{signed:?}");
    assert!(number(&crl) > first);
    assert_eq!(verify().code, 0);

    // What the root did not certify it does not revoke.
    let refused = sign(&["--revoke", &at("etc/ca/tls-1.pem"), "--reason", "superseded"]);
    assert!(refused.code == 1 && refused.err.contains("did not certify"), "{refused:?}");
    let refused = sign(&["--revoke", &root, "--reason", "superseded"]);
    assert!(refused.code == 1 && refused.err.contains("did not certify"), "{refused:?}");
    assert_eq!(sign(&["--revoke", &issuing]).code, 2, "a CA is revoked for a reason");
    assert_eq!(sign(&["--days", "400"]).code, 2);

    let signed = sign(&["--revoke", &issuing, "--reason", "cACompromise"]);
    assert!(signed.code == 0 && signed.out.contains("1 entries"), "{signed:?}");
    let verdict = verify();
    assert!(verdict.code != 0 && verdict.err.contains("certificate revoked"), "{verdict:?}");
    // It stays revoked, because the journal says so, and the journal knows every CRL.
    assert!(sign(&[]).out.contains("1 entries"));
    let shown = appliance.console(&["journal", "show"], &[]).out;
    let count = |kind: &str| shown.matches(&format!("\"type\":\"{kind}\"")).count();
    assert_eq!((count("crl"), count("revoked")), (4, 1));

    let wrong = appliance.console(&["root-crl"], &["--pin-file", &at("ca.pin")]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
}

#[test]
fn certificates_name_where_crl_and_ocsp_are_if_the_ceremony_knows() {
    let appliance = Appliance::empty();
    let made = appliance.init(&["--software-admin-key", "--pki-url", "http://pki.example.test"]);
    assert_eq!(made.code, 0, "{made:?}");
    let profile = appliance.text("etc/profiles/server.toml");
    assert!(profile.contains("\n[urls]\ncrl = \"http://pki.example.test/crl/{issuer}.crl\""), "{profile}");
    let names = |file: &str| {
        let path = appliance.path(file).to_str().unwrap().to_owned();
        openssl(&["x509", "-noout", "-ext", "crlDistributionPoints", "-in", &path]).out
    };
    for certificate in ["etc/ca/issuing-1.pem", "etc/ca/tls-1.pem"] {
        let points = names(certificate);
        assert!(points.contains("URI:http://pki.example.test/crl/") && points.contains(".crl"), "{points}");
    }
    assert!(!names("etc/ca/ocsp-1.pem").contains("URI"), "nobody asks whether a responder is revoked");
}
