//! A token that goes away, a module that hangs, and what systemd hands over.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hsm::client::ClientError;
use hsm::wire::{self, Act, Call, Refusal, Request, Response, SealStatus};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};

use super::issuance::Ca;
use super::rig::{Appliance, patiently, status};

/// Issues until `wanted` says that the answer is the one, starting the signer again as systemd would.
fn until(ca: &mut Ca, what: &str, wanted: impl Fn(&Result<Response, ClientError>) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ca.issue();
        if wanted(&answer) {
            return;
        }
        // Nothing but a delay or "not now", whatever happens below.
        assert!(
            matches!(
                answer,
                Ok(Response::Certificate { .. })
                    | Err(ClientError::Lost | ClientError::Epoch | ClientError::Unreachable { .. })
                    | Err(ClientError::Refused(Refusal::Token(_)))
            ),
            "{answer:?}"
        );
        assert!(Instant::now() < end, "{what}: {answer:?}\n{}", ca.appliance.log("ca"));
        ca.signer = ca.signer.take().map(|mut signer| match signer.lives() {
            true => signer,
            false => ca.appliance.launch("ca", signer.end().1),
        });
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_token_that_goes_away_and_comes_back_needs_no_administrator() {
    let mut ca = Ca::new();
    assert!(ca.issue().is_ok());
    let (here, away) = (ca.appliance.path("var/ca/tokens"), ca.appliance.path("away"));
    fs::rename(&here, &away).unwrap();
    until(&mut ca, "refused", Result::is_err);
    // The other token's work goes on.
    assert_eq!(status(&ca.appliance.client("tls")).name, "tls");
    std::thread::sleep(Duration::from_secs(1));
    drop(fs::remove_dir_all(&here));
    fs::rename(&away, &here).unwrap();
    until(&mut ca, "issued again", Result::is_ok);
    hsm::journal::verify(&ca.appliance.path("var/ca/journal")).unwrap();
}

#[test]
fn a_module_that_hangs_past_the_deadline_ends_the_process_and_the_next_one_is_unsealed() {
    let appliance = Appliance::new();
    let config = appliance.path("etc/signer-ca.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("\nname =", "\ndeadline = \"1s\"\nname =", 1)).unwrap();
    let mut ca = Ca::with(appliance, "server");
    // SoftHSM opens this file at every signature; opening a pipe that nobody writes blocks.
    let folder = fs::read_dir(ca.appliance.path("var/ca/tokens")).unwrap().next().unwrap().unwrap().path();
    let (file, kept) = (folder.join("generation"), folder.join("generation.kept"));
    fs::rename(&file, &kept).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(ca.issue(), Err(ClientError::Lost));
    let (ended, stored) = ca.signer.take().unwrap().end();
    assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32));
    assert!(ca.appliance.log("ca").contains("passed its deadline"));

    fs::rename(&kept, &file).unwrap();
    ca.signer = Some(ca.appliance.launch("ca", stored));
    until(&mut ca, "issued again", Result::is_ok);
    assert!(ca.tls.lives());
}

#[test]
fn a_pin_that_the_token_takes_no_longer_is_shown_once_forgotten_and_asked_for_again() {
    let appliance = Appliance::new();
    let (faults, config) = (appliance.path("faults"), appliance.path("etc/signer-ca.toml"));
    fs::create_dir(&faults).unwrap();
    let control = faults.join("control");
    fs::write(&control, "").unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let softhsm = "/usr/lib/softhsm/libsofthsm2.so";
    let environment = format!(
        "environment = {{ FAULT_MODULE_TARGET = \"{softhsm}\", FAULT_MODULE_CONTROL = \"{}\",",
        control.display()
    );
    let text = text
        .replace(&format!("module = \"{softhsm}\""), &format!("module = \"{}\"", fault_module().display()))
        .replace("environment = {", &environment)
        .replace("module_writes = [", &format!("module_writes = [\"{}\", ", faults.display()));
    fs::write(&config, text).unwrap();

    let mut ca = Ca::with(appliance, "server");
    assert!(ca.issue().is_ok());
    let logins = || fs::read_to_string(faults.join("control.log")).unwrap().matches("C_Login\n").count();
    let before = logins();
    fs::write(&control, "C_SignInit 0x101 once\nC_Login 0xa0\n").unwrap();
    assert!(ca.issue().is_err());
    let (ended, kept) = ca.signer.take().unwrap().end();
    assert!(!ended.success() && kept.is_none(), "the PIN is still in the descriptor store");
    ca.signer = Some(ca.appliance.start("ca", kept));
    patiently(&ca.client, &Request::Status).unwrap();
    let now = status(&ca.client);
    assert_eq!((now.seal, now.wrong_pins, logins()), (SealStatus::Sealed, 1, before + 1));
}

/// The module that injects faults, built as this test was.
fn fault_module() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let profile = program.parent().and_then(Path::parent).unwrap();
    let module = profile.join("libfault_module.so");
    if !module.exists() {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap());
        build.args(["build", "--quiet", "--package", "fault-module", "--target-dir"]).arg(profile.parent().unwrap());
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    module
}

#[test]
fn one_key_under_two_labels_does_not_serve_two_purposes() {
    let appliance = Appliance::new();
    let config = appliance.path("etc/signer-tls.toml");
    let (pem, public) = (appliance.path("key.pem"), appliance.path("key.pub"));
    let run = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
    run(Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&pem));
    run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&pem).arg("-out").arg(&public));
    let pin = fs::read_to_string(appliance.path("etc/tls.pin")).unwrap();
    let mut text = fs::read_to_string(&config).unwrap();
    for (label, id, purpose) in [("first", "0a", "identity"), ("second", "0b", "checkpoint")] {
        for (kind, file, flags) in [("privkey", &pem, &["--sensitive", "--usage-sign"][..]), ("pubkey", &public, &[])] {
            let mut import = Command::new("pkcs11-tool");
            import
                .args(["--module", "/usr/lib/softhsm/libsofthsm2.so"])
                .env("SOFTHSM2_CONF", appliance.path("etc/softhsm-tls.conf"));
            import.args(["--token-label", "signet-tls", "--login", "--pin", pin.trim(), "--write-object"]).arg(file);
            run(import.args(["--type", kind, "--label", label, "--id", id]).args(flags));
        }
        text += &format!("\n[[key]]\nlabel = \"{label}\"\npurpose = \"{purpose}\"\n");
    }
    fs::write(&config, text).unwrap();
    let _tls = appliance.start("tls", None);
    let SealStatus::Faulted { why } = status(&appliance.client("tls")).seal else { panic!("both are served") };
    assert!(why.contains("`first` and `second` are one key in the token"), "{why}");
}

#[test]
fn a_signer_answers_on_the_socket_that_systemd_made() {
    let appliance = Appliance::new();
    let path = appliance.path("run/tls.sock");
    let made = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(made.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&made, Backlog::new(8).unwrap()).unwrap();
    let inode = |path: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&path);
    fcntl(&made, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut signer = appliance.launch_with("tls", "socket", &format!("3<&{}", made.as_raw_fd()));
    signer.ready();
    drop(made);
    assert_eq!(status(&appliance.client("tls")).name, "tls");
    assert_eq!(inode(&path), before, "the signer made a socket of its own");
    let refused = appliance.client("tls").call(None, Request::Challenge);
    assert!(matches!(refused, Err(ClientError::Refused(Refusal::State(_)))));
}

#[test]
fn only_the_configured_user_is_heard() {
    let appliance = Appliance::new();
    let config = appliance.path("etc/signer-tls.toml");
    let text = fs::read_to_string(&config).unwrap();
    let stranger = if nix::unistd::geteuid().is_root() { 65_534 } else { 0 };
    fs::write(&config, text.replacen("peer = \"daemon\"", &format!("peer = \"daemon\"\nuid = {stranger}"), 1)).unwrap();
    if stranger == 0 {
        // Only root can give a socket away.
        let (ended, _) = appliance.launch("tls", None).end();
        assert!(!ended.success() && appliance.log("tls").contains("let systemd make it"));
        return;
    }
    let _tls = appliance.start("tls", None);
    let metadata = fs::metadata(appliance.path("run/tls.sock")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), stranger);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
    // We can connect, being root, and are not heard: the connection ends before or after the request
    // is sent.
    let answer = appliance.client("tls").call(None, Request::Status);
    assert!(matches!(answer, Err(ClientError::Epoch | ClientError::Lost)), "{answer:?}");
    // It is logged after the connection was dropped.
    let until = Instant::now() + Duration::from_secs(10);
    while !appliance.log("tls").contains("its user is 0") {
        assert!(Instant::now() < until, "a refused connection is not logged");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_peer_that_does_not_read_holds_nobody_up() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let slow = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(slow.as_raw_fd(), &UnixAddr::new(&appliance.path("run/tls.sock")).unwrap()).unwrap();
    let record =
        || Request::Record { act: Act::RemoveAdministrator { fingerprint: "00".repeat(32) }, actor: super::actor() };
    // More answers than the socket has room for, all from the journal's thread.
    for id in 0..2000 {
        let mut frame = Vec::new();
        wire::encode(&Call { id, request: record() }, &mut frame).unwrap();
        wire::send(&slow, &frame, MsgFlags::empty()).unwrap();
    }
    assert!(appliance.client("tls").call(None, record()).is_ok());
    // The other one was answered without waiting for this one to read: it has lost nothing yet.
    let mut buffer = vec![0; wire::MAX_FRAME];
    for answer in 0..2000 {
        assert!(wire::receive(&slow, &mut buffer, MsgFlags::empty()).is_ok(), "the connection ended after {answer}");
    }
}

#[test]
fn connections_are_bounded_and_a_place_becomes_free() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let mut clients: Vec<_> = (0..16).map(|_| appliance.client("tls")).collect();
    assert!(clients.iter().all(|client| client.call(None, Request::Status).is_ok()));
    let late = appliance.client("tls");
    assert!(late.call(None, Request::Status).is_err());
    clients.pop();
    assert!(super::patiently(&late, &Request::Status).is_ok());
}

#[test]
fn a_wrong_pin_in_a_file_is_shown_to_the_token_once() {
    let appliance = Appliance::new();
    fs::write(appliance.path("etc/tls.pin"), "not-the-pin\n").unwrap();
    let mut tls = appliance.start("tls", None);
    let client = appliance.client("tls");
    let SealStatus::Faulted { why } = status(&client).seal else { panic!("not faulted") };
    assert!(why.contains("correct the file and restart the signer"), "{why}");
    let refused = client.call(None, Request::Reserve { count: 1 });
    assert!(matches!(refused, Err(ClientError::Refused(Refusal::Token(_)))), "{refused:?}");
    assert_eq!(status(&client).wrong_pins, 1);
    // It stays: a process that ended would be started again, and try again.
    assert!(tls.lives());
}
