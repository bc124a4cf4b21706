//! The packages on a booted host: from `dpkg -i` to a certificate, through kill, seal, restart, upgrade and removal.

#![expect(clippy::panic, reason = "a test says what broke by panicking")]

mod appliance;
mod packages;

use std::path::Path;
use std::process::Command;

use appliance::Appliance;
use softhsm_tests::guest::{self, Disk};

#[test]
fn the_packages_are_the_same_bytes_twice_and_lintian_and_rpmlint_find_no_error() {
    for tool in ["rpmbuild", "lintian", "rpmlint"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return softhsm_tests::skipped(&format!("{tool} is not installed (tools/setup boot)"));
        }
    }
    let (once, twice) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, second) = (packages::build("0.1.0", once.path()), packages::build("0.1.0", twice.path()));
    for (one, other) in [(&first.deb, &second.deb), (&first.rpm, &second.rpm)] {
        let read = |path: &Path| std::fs::read(path).expect("a package");
        assert!(read(one) == read(other), "{} and {} differ", one.display(), other.display());
    }
    let rc = format!("{}/../packaging/rpmlintrc", env!("CARGO_MANIFEST_DIR"));
    for (tool, arguments, package) in [
        ("lintian", &["--allow-root", "--fail-on=error"][..], &first.deb),
        ("rpmlint", &["--rpmlintrc", &rc][..], &first.rpm),
    ] {
        let said = Command::new(tool).args(arguments).arg(package).output().expect("a lint");
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("E:") || line.contains(": E:")).collect();
        assert!(errors.is_empty(), "{tool}: {}", errors.join("\n"));
    }
}

#[test]
fn a_deb_becomes_a_certificate_authority_that_survives_what_hosts_go_through() {
    if let Some(why) = guest::unavailable() {
        return softhsm_tests::skipped(&why);
    }
    let made = tempfile::tempdir().expect("a folder");
    let (old, new) = (packages::build("0.1.0", made.path()), packages::build("0.2.0", made.path()));
    let disk = Disk::new().expect("a disk");
    let host = Appliance::on(disk.boot().expect("a guest"));

    // Installed, and nothing runs.
    host.guest.bring(&old.deb, "/root/old.deb");
    host.guest.bring(&new.deb, "/root/new.deb");
    let said = host.guest.must("dpkg -i /root/old.deb");
    assert!(said.contains("signet-signer setup"), "{said}");
    assert_eq!(host.guest.run("pgrep -c signet").text.trim(), "0");

    host.first_run();
    host.doctor();
    host.start();
    host.sealed();
    host.unseal();
    host.certificate("www.example.test");
    host.reload();
    host.encrypt_the_pin();
    host.comes_back_unsealed_after_a_kill();
    host.seal();
    host.guest.power_off().expect("a shutdown");

    let host = Appliance::on(disk.boot().expect("a guest"));
    host.running();
    host.sealed();
    host.unseal();
    host.certificate("again.example.test");
    host.backup_and_restore("again.example.test");
    host.upgrade("dpkg -i /root/new.deb");
    host.certificate("upgraded.example.test");

    let said = host.guest.must("dpkg -r signet");
    assert!(said.contains("Kept: /etc/signet"), "{said}");
    host.removed();
    let purge = host.guest.run("dpkg -P signet");
    assert!(purge.code != 0 && purge.text.contains("SIGNET_PURGE=delete-the-ca"), "{purge:?}");
    host.kept();
    host.guest.must("SIGNET_PURGE=delete-the-ca dpkg -P signet");
    host.guest.must("! ls -d /etc/signet /var/lib/signet /var/lib/signet-signer 2>/dev/null");
}

#[test]
fn an_rpm_does_the_same() {
    if let Some(why) = guest::unavailable() {
        return softhsm_tests::skipped(&why);
    }
    let made = tempfile::tempdir().expect("a folder");
    let (old, new) = (packages::build("0.1.0", made.path()), packages::build("0.2.0", made.path()));
    let disk = Disk::new().expect("a disk");
    let rpm = |arguments: &str| {
        let said = disk.offline(&format!("rpm --root \"$DISK\" {arguments}")).expect("rpm");
        assert_eq!(said.code, 0, "rpm {arguments}: {}", said.text);
        said.text
    };
    // The tree has no database of rpm's, so what Debian installed is not known to it.
    let said = rpm(&format!("-ivh --nodeps {}", old.rpm.display()));
    assert!(said.contains("signet-signer setup"), "{said}");

    let host = Appliance::on(disk.boot().expect("a guest"));
    assert_eq!(host.guest.run("pgrep -c signet").text.trim(), "0");
    host.first_run();
    host.start();
    host.sealed();
    host.unseal();
    host.certificate("www.example.test");
    host.guest.power_off().expect("a shutdown");

    rpm(&format!("-Uvh --nodeps {}", new.rpm.display()));
    let host = Appliance::on(disk.boot().expect("a guest"));
    host.running();
    host.unseal();
    host.certificate("upgraded.example.test");
    host.guest.power_off().expect("a shutdown");

    rpm("-e --nodeps signet");
    let left = disk.offline(
        "ls -d \"$DISK\"/etc/signet/ca \"$DISK\"/var/lib/signet-signer/ca/journal; test ! -e \"$DISK\"/usr/bin/signetd",
    );
    assert_eq!(left.expect("ls").code, 0);
}
