//! The key ceremony of a rig, by the real `signet-signer init`.

use std::path::Path;
use std::process::Command;

use super::{Failure, Layout, Module, Options, Record};
use crate::files;

/// Where Debian has SoftHSM.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// PIN files of the tokens, and of their security officer.
const PINS: [&str; 4] = ["root", "ca", "tls", "so"];

/// Holds the ceremony, unless the rig had one. What a ceremony that failed has made is removed.
pub(super) fn hold(layout: &Layout, record: &Record, options: &Options, programs: &Path) -> Result<(), Failure> {
    if layout.config().exists() {
        return Ok(());
    }
    if !Path::new(MODULE).is_file() {
        return Err(format!("{MODULE} is missing: run `apt-get install softhsm2`"));
    }
    let result = pins(layout)
        .and_then(|()| init(layout, record, programs))
        .and_then(|()| name_urls(layout, record, options.shards))
        .and_then(|()| ["ca", "tls"].into_iter().try_for_each(|name| waive(layout, name)))
        .and_then(|()| match options.ca_module {
            Module::Counting => count_calls(layout, programs),
            Module::SoftHsm => Ok(()),
        })
        .and_then(|()| match record.disk {
            Some(_) => move_state(layout, &record.ca_state(layout)),
            None => Ok(()),
        });
    if result.is_err() {
        for made in [layout.config(), layout.state(), layout.bundle(), layout.pin("")] {
            let _ = std::fs::remove_dir_all(made);
        }
    }
    result
}

fn pins(layout: &Layout) -> Result<(), Failure> {
    for name in PINS {
        let path = layout.pin(name);
        let fault = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(layout.pin("")).map_err(fault)?;
        let mut random = [0u8; 12];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system has no random bytes".to_owned())?;
        let pin: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        files::create_private(&path, pin.as_bytes()).map_err(fault)?;
    }
    Ok(())
}

fn init(layout: &Layout, record: &Record, programs: &Path) -> Result<(), Failure> {
    let mut command = Command::new(programs.join("signet-signer"));
    command.arg("init");
    command.args(["--organization", "Signet Rig", "--algorithm", "p256", "--module", MODULE]);
    command.args(["--host", "signet.example.test", "--host", "127.0.0.1"]);
    command.args(["--admin", "rig", "--software-admin-key"]);
    command.arg("--pki-url").arg(format!("http://{}", record.pki));
    command.arg("--public-url").arg(format!("https://{}", record.admin));
    command.arg("--config-dir").arg(layout.config());
    command.arg("--state-dir").arg(layout.state());
    command.arg("--run-dir").arg(layout.run());
    command.arg("--bundle").arg(layout.bundle());
    command.arg("--transcript").arg(layout.config().join("transcript.txt"));
    for name in PINS {
        command.arg(format!("--{name}-pin-file")).arg(layout.pin(name));
    }
    let output = command.output().map_err(|error| format!("signet-signer cannot be started: {error}"))?;
    std::fs::write(layout.log("ceremony"), [output.stdout, output.stderr.clone()].concat())
        .map_err(|error| format!("{}: {error}", layout.log("ceremony").display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("the ceremony failed: {}", said.lines().last().unwrap_or("without a word")))
}

/// Lets every profile's certificates name the rig's CRL or its shards, OCSP responder and issuer.
fn name_urls(layout: &Layout, record: &Record, shards: Option<u16>) -> Result<(), Failure> {
    let base = format!("http://{}", record.pki);
    let profiles = layout.config().join("profiles");
    let fault = |error: std::io::Error| format!("{}: {error}", profiles.display());
    for entry in std::fs::read_dir(&profiles).map_err(fault)?.flatten() {
        change(&entry.path(), |profile| {
            let url = |path: &str| toml::Value::String(format!("{base}/{path}"));
            let crl = if shards.is_some() { "crl/{issuer}/{shard}.crl" } else { "crl/{issuer}.crl" };
            let urls = [("crl", crl), ("ocsp", "ocsp"), ("ca_issuers", "ca/{issuer}.crt")];
            let urls = urls.map(|(name, path)| (name.to_owned(), url(path)));
            let mut urls: toml::Table = urls.into_iter().collect();
            urls.extend(shards.map(|count| ("shards".to_owned(), toml::Value::Integer(count.into()))));
            profile.insert("urls".into(), toml::Value::Table(urls));
        })?;
    }
    Ok(())
}

/// Lets a signer run whatever the host lacks that the rig runs on, and whoever runs it.
fn waive(layout: &Layout, name: &str) -> Result<(), Failure> {
    change(&layout.signer(name), |config| {
        let without = ["landlock", "memory", "user"].map(|measure| toml::Value::String(measure.to_owned()));
        let without = toml::Value::Array(without.into());
        config.insert("hardening".into(), toml::Table::from_iter([("without".to_owned(), without)]).into());
    })
}

/// Puts the module that counts between the CA's signer and SoftHSM.
fn count_calls(layout: &Layout, programs: &Path) -> Result<(), Failure> {
    let control = layout.faults();
    let folder = control.parent().unwrap_or(layout.directory());
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&control, ""))
        .map_err(|error| format!("{}: {error}", control.display()))?;
    change(&layout.signer("ca"), |config| {
        config.insert("module".into(), string(&programs.join("libfault_module.so")));
        // So that a test of a call that hangs is short.
        config.insert("deadline".into(), toml::Value::String("2s".into()));
        if let Some(environment) = config.get_mut("environment").and_then(toml::Value::as_table_mut) {
            environment.insert("FAULT_MODULE_TARGET".into(), string(Path::new(MODULE)));
            environment.insert("FAULT_MODULE_CONTROL".into(), string(&control));
        }
        if let Some(writes) = config.get_mut("module_writes").and_then(toml::Value::as_array_mut) {
            writes.push(string(folder));
        }
    })
}

/// Puts everything that the CA's signer keeps elsewhere, but for its token.
fn move_state(layout: &Layout, to: &Path) -> Result<(), Failure> {
    let from = layout.state().join("ca");
    let fault = |error: std::io::Error| format!("{}: {error}", to.display());
    std::fs::create_dir_all(to).map_err(fault)?;
    for entry in std::fs::read_dir(&from).map_err(fault)?.flatten() {
        if entry.path() != layout.token("ca") {
            copy(&entry.path(), &to.join(entry.file_name())).map_err(fault)?;
        }
    }
    change(&layout.signer("ca"), |config| {
        config.insert("state".into(), string(to));
    })
}

/// Copies a file, or a directory and what is in it, durably.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.is_file() {
        std::fs::copy(from, to)?;
        std::fs::File::open(to)?.sync_all()?;
    }
    std::fs::File::open(to.parent().unwrap_or(to))?.sync_all()
}

fn change(path: &Path, edit: impl FnOnce(&mut toml::Table)) -> Result<(), Failure> {
    let fault = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let mut config: toml::Table = toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
    edit(&mut config);
    super::write(path, &config.to_string())
}

fn string(path: &Path) -> toml::Value {
    toml::Value::String(path.display().to_string())
}
