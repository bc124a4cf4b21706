//! What is published, judged by OpenSSL, GnuTLS, NSS and pkilint: the complete CRL, shards, deltas, the
//! root's CRL, and OCSP answers of every kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use softhsm_tests::clients::{Said, pkilint_exceptions, run};
use softhsm_tests::rig::Options;
use softhsm_tests::wait::wait_until;

use crate::scene::{PATIENCE, Scene, lint, serial};

#[test]
fn strangers_agree_on_what_is_good_and_what_is_revoked() {
    let scene = Scene::new();
    let (good, bad) = (scene.obtain("good.example.test"), scene.obtain("bad.example.test"));
    assert!(scene.openssl_ocsp(&good, &[]).text.contains(": good"));
    scene.ctl(&["cert", "revoke", "--file", &bad.display().to_string(), "--reason", "keyCompromise"]);
    let said = scene.openssl_ocsp(&bad, &["-no_nonce"]);
    assert!(said.text.contains(": revoked") && said.text.contains("keyCompromise"), "{}", said.text);
    scene.ctl(&["crl", "publish"]);
    let (crl, root_crl) = (scene.fetch_crl("issuing-1"), scene.fetch_crl("root"));

    // OpenSSL, over the whole chain.
    let verify = |leaf: &Path| {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-CAfile"]).arg(scene.file("SIGNET_CA_FILE"));
        command.arg("-untrusted").arg(scene.file("SIGNET_ISSUER_FILE"));
        run(command.arg("-CRLfile").arg(&crl).arg("-CRLfile").arg(&root_crl).arg(leaf))
    };
    verify(&good).success();
    assert!(verify(&bad).text.contains("certificate revoked"), "{}", verify(&bad).text);

    // GnuTLS.
    for (leaf, expected) in [(&good, "good"), (&bad, "revoked")] {
        let mut command = Command::new("ocsptool");
        command.args([&format!("--ask={}/ocsp", scene.pki()), "--no-nonce"]);
        command.arg("--load-issuer").arg(scene.file("SIGNET_ISSUER_FILE")).arg("--load-cert").arg(leaf);
        let said = run(command.arg("--load-signer").arg(scene.file("SIGNET_ISSUER_FILE"))).success();
        assert!(said.contains(&format!("Certificate Status: {expected}")), "{said}");
    }

    // NSS, with the status from CRL and from OCSP.
    for (leaf, trusted) in [(&good, true), (&bad, false)] {
        let said = scene.vfychain(leaf);
        assert_eq!(said.succeeded, trusted, "{}", said.text);
    }

    // pkilint, on the bytes that are served.
    let exceptions = pkilint_exceptions();
    for (linter, file, more) in [
        ("lint_crl", crl, &["-t", "CRL", "-p", "PKIX"][..]),
        ("lint_crl", root_crl, &["-t", "ARL", "-p", "PKIX"]),
        ("lint_ocsp_response", scene.ocsp_response(&good), &[]),
        ("lint_ocsp_response", scene.ocsp_response(&bad), &[]),
    ] {
        let findings = lint(linter, more, &file, &exceptions);
        assert_eq!(findings, Vec::<String>::new(), "{linter} on {}", file.display());
    }
}

/// Shards of the rig that has some, as many as the profiles recommend.
const SHARDS: u16 = 16;

#[test]
fn strangers_agree_on_a_complete_crl_and_its_delta() {
    judge_deltas(None);
}

#[test]
fn strangers_agree_on_shards_and_their_deltas() {
    judge_deltas(Some(SHARDS));
}

fn judge_deltas(shards: Option<u16>) {
    let settings = "[crl]\nafter_revocation = \"1s\"\ndelta_every = \"1h\"\n".to_owned();
    let scene = Scene::with(&Options { shards, settings: Some(settings), ..Options::default() });
    let (good, bad) = (scene.obtain("good.example.test"), scene.obtain("bad.example.test"));
    let lists_of = |leaf| crls_of(&scene, leaf, shards);
    let ((good_list, _), (bad_list, delta)) = (lists_of(&good), lists_of(&bad));
    let fetch = |path: &str| {
        let what = format!("{path} is served");
        wait_until(&what, PATIENCE, || scene.try_fetch(path).is_some()).expect("a CRL");
        let file = scene.directory().join(path.rsplit('/').next().expect("a name"));
        std::fs::write(&file, scene.try_fetch(path).expect("a CRL")).expect("a file");
        file
    };
    let (good_base, bad_base) = (fetch(&good_list), fetch(&bad_list));
    scene.ctl(&["cert", "revoke", "--file", &bad.display().to_string(), "--reason", "superseded"]);
    let lists = |crl: &Path, leaf: &Path| text_of(crl).to_lowercase().contains(&serial(leaf));
    wait_until("the delta lists it", PATIENCE, || lists(&fetch(&delta), &bad)).expect("a delta");
    let (bad_delta, root) = (fetch(&delta), scene.fetch_crl("root"));
    assert!(!lists(&bad_base, &bad), "the shard of before cannot list what was revoked after it");

    // OpenSSL: the delta is what makes the difference.
    let verify = |leaf: &Path, crls: &[&PathBuf], more: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-extended_crl"]).args(more);
        command
            .arg("-CAfile")
            .arg(scene.file("SIGNET_CA_FILE"))
            .arg("-untrusted")
            .arg(scene.file("SIGNET_ISSUER_FILE"));
        for crl in crls {
            command.arg("-CRLfile").arg(crl);
        }
        run(command.arg(leaf))
    };
    let revoked = |said: Said| assert!(said.text.contains("certificate revoked"), "{}", said.text);
    verify(&good, &[&good_base, &root], &[]).success();
    verify(&bad, &[&bad_base, &root], &[]).success();
    revoked(verify(&bad, &[&bad_base, &bad_delta, &root], &["-use_deltas"]));
    scene.ctl(&["crl", "publish"]);
    let shard = fetch(&bad_list);
    revoked(verify(&bad, &[&shard, &root], &[]));
    // The complete CRL speaks of everything, whatever shard a certificate names.
    let complete = scene.fetch_crl("issuing-1");
    revoked(verify(&bad, &[&complete, &root], &[]));
    verify(&good, &[&complete, &root], &[]).success();
    if good_list != bad_list {
        let said = verify(&bad, &[&good_base, &root], &[]).failure();
        assert!(said.contains("unable to get certificate CRL") || said.contains("scope"), "{said}");
    }

    let issuer = scene.file("SIGNET_ISSUER_FILE");
    let exceptions = pkilint_exceptions();
    for (crl, signer, kind) in [
        (&good_base, &issuer, "CRL"),
        (&shard, &issuer, "CRL"),
        (&bad_delta, &issuer, "CRL"),
        (&complete, &issuer, "CRL"),
        (&root, &scene.file("SIGNET_CA_FILE"), "ARL"),
    ] {
        // GnuTLS reads it, and finds the signature good.
        let pem = crl.with_extension("pem");
        run(Command::new("openssl").args(["crl", "-inform", "DER", "-in"]).arg(crl).arg("-out").arg(&pem)).success();
        run(Command::new("certtool").args(["--crl-info", "--infile"]).arg(&pem)).success();
        let mut certtool = Command::new("certtool");
        certtool.args(["--verify-crl", "--load-ca-certificate"]).arg(signer).arg("--infile").arg(&pem);
        let said = run(&mut certtool).success();
        assert!(said.contains("Verified"), "{}: {said}", crl.display());
        let findings = lint("lint_crl", &["-t", kind, "-p", "PKIX"], crl, &exceptions);
        assert_eq!(findings, Vec::<String>::new(), "lint_crl on {}", crl.display());
    }
}

/// I11, also over a restart: what certificates name is renewed and served while one of them lives.
#[test]
fn a_shard_that_no_profile_names_any_more_is_renewed_for_the_certificates_that_do() {
    let settings = "[crl]\nafter_revocation = \"1s\"\n".to_owned();
    let scene = Scene::with(&Options { shards: Some(SHARDS), settings: Some(settings), ..Options::default() });
    let leaf = scene.obtain("moved.example.test");
    let (path, _) = crls_of(&scene, &leaf, Some(SHARDS));
    wait_until("the shard is served", PATIENCE, || scene.try_fetch(&path).is_some()).expect("a CRL");
    for entry in std::fs::read_dir(scene.rig.layout.config().join("profiles")).expect("profiles").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a profile");
        let lines = text.lines().filter(|line| !line.starts_with("crl = ") && !line.starts_with("shards = "));
        std::fs::write(entry.path(), lines.collect::<Vec<_>>().join("\n")).expect("a profile");
    }
    scene.rig.signal("signer-ca", Signal::HUP);
    wait_until("the signer has read them", PATIENCE, || {
        std::fs::read_to_string(scene.rig.layout.log("signer-ca")).is_ok_and(|log| log.contains("were read again"))
    })
    .expect("a line");
    scene.rig.without("signetd", || ());
    scene.rig.wait_until_ready();
    scene.ctl(&["cert", "revoke", "--file", &leaf.display().to_string()]);
    let file = scene.directory().join("shard.crl");
    wait_until("the shard lists it", PATIENCE, || {
        std::fs::write(&file, scene.try_fetch(&path).expect("a CRL")).expect("a file");
        text_of(&file).to_lowercase().contains(&serial(&leaf))
    })
    .expect("a CRL");
    let text = text_of(&file);
    assert!(text.contains(&format!("{}{path}", scene.pki())), "the CRL repeats the URL: {text}");
    let status = scene.ctl(&["crl", "status"]);
    let shard = path.rsplit('/').next().and_then(|name| name.strip_suffix(".crl")).expect("a shard");
    assert!(status.contains(shard), "{status}");
}

#[test]
fn one_request_is_answered_for_several_certificates_by_either_digest_and_with_its_nonce() {
    let scene = Scene::new();
    let (good, bad) = (scene.obtain("good.example.test"), scene.obtain("bad.example.test"));
    scene.ctl(&["cert", "revoke", "--file", &bad.display().to_string()]);
    let never = "0x0123456789abcdef0123456789abcdef01234567";
    for digest in ["-sha1", "-sha256"] {
        let answer = scene.directory().join(format!("several{digest}.ocsp"));
        let mut command = Command::new("openssl");
        // A digest is for the certificates that come after it.
        command.args(["ocsp", digest, "-issuer"]).arg(scene.file("SIGNET_ISSUER_FILE")).arg("-cert").arg(&good);
        command.arg(digest).arg("-cert").arg(&bad).args([digest, "-serial", never]);
        command.args(["-url", &format!("{}/ocsp", scene.pki()), "-CAfile"]).arg(scene.file("SIGNET_CA_FILE"));
        let said = run(command.arg("-respout").arg(&answer)).success();
        for expected in [
            "Response verify OK".to_owned(),
            format!("{}: good", good.display()),
            format!("{}: revoked", bad.display()),
            format!("{never}: unknown"),
        ] {
            assert!(said.contains(&expected), "{digest}: {expected}: {said}");
        }
        assert!(!said.contains("no nonce in response"), "{digest}: {said}");
        let findings = lint("lint_ocsp_response", &[], &answer, &pkilint_exceptions());
        assert_eq!(findings, Vec::<String>::new(), "lint_ocsp_response on {}", answer.display());
        let text = run(Command::new("openssl").args(["ocsp", "-noverify", "-text", "-respin"]).arg(&answer)).text;
        let name = digest.trim_start_matches('-');
        assert_eq!(text.matches(&format!("Hash Algorithm: {name}")).count(), 3, "{text}");
    }
}

/// The paths of the CRL that a certificate names, and of its delta.
fn crls_of(scene: &Scene, leaf: &Path, shards: Option<u16>) -> (String, String) {
    let mut command = Command::new("openssl");
    let said = run(command.args(["x509", "-noout", "-ext", "crlDistributionPoints", "-in"]).arg(leaf)).success();
    let url = said.split("URI:").nth(1).expect("a distribution point").lines().next().unwrap_or_default();
    let path = url.trim().strip_prefix(scene.pki()).expect("a URL of this rig");
    let stem = path.strip_suffix(".crl").expect("a CRL");
    match shards {
        None => (path.to_owned(), format!("{stem}/delta.crl")),
        Some(count) => {
            assert!(stem.ends_with(&format!("-of-{count}")), "{url}");
            (path.to_owned(), format!("{stem}-delta.crl"))
        }
    }
}

fn text_of(crl: &Path) -> String {
    run(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(crl)).success()
}
