//! `rig.env`: names and values that a shell can source. The names are a promise.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::settings::ISSUING;
use super::{Failure, Layout, Record};

/// What `rig.env` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(super) fn of(layout: &Layout, record: &Record, programs: &Path) -> Self {
        let path = |path: &Path| path.display().to_string();
        let bundle = |file: &str| path(&layout.bundle().join(file));
        let values = [
            ("SIGNET_DIRECTORY", format!("https://{}/directory", record.listen)),
            ("SIGNET_CA_FILE", path(&layout.certificate("root.pem"))),
            ("SIGNET_ISSUER_FILE", path(&layout.certificate(&format!("{ISSUING}.pem")))),
            ("SIGNET_ADMIN_URL", format!("https://{}", record.admin)),
            ("SIGNET_ADMIN_CERT", bundle("admin.pem")),
            ("SIGNET_ADMIN_KEY", bundle("admin.key")),
            ("SIGNET_PUBLIC_URL", format!("https://{}", record.listen)),
            ("SIGNET_PKI_URL", format!("http://{}", record.pki)),
            ("SIGNET_CTL", format!("{} --profile {}", path(&programs.join("signetctl")), bundle("profile.toml"))),
            ("SIGNET_PIN_FILE", path(&layout.pin("ca"))),
            ("SIGNETD_PID_FILE", path(&layout.pid_file("signetd"))),
            ("SIGNER_CA_PID_FILE", path(&layout.pid_file("signer-ca"))),
            ("SIGNER_TLS_PID_FILE", path(&layout.pid_file("signer-tls"))),
            ("SIGNET_DNS", record.dns.to_string()),
            ("SIGNET_DNS_ZONE", if record.own_dns { path(&layout.zone()) } else { String::new() }),
            ("SIGNET_HTTP01_PORT", record.http01_port.to_string()),
            ("SIGNET_TLS01_PORT", record.tls01_port.to_string()),
        ];
        Self(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), Failure> {
        let lines = self.0.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        super::write(path, &lines.collect::<String>())
    }

    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        Ok(Self(lines.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()))
    }

    /// A value by its name in `rig.env`.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Runs signetctl as the rig's administrator; its output, or the sentence it failed with.
    pub fn signetctl(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut words = self.get("SIGNET_CTL").split(' ');
        let output = Command::new(words.next().unwrap_or_default()).args(words).args(arguments).output();
        let output = output.map_err(|error| format!("signetctl cannot be started: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Engine, Options};

    #[test]
    fn what_a_shell_reads_is_what_was_meant() {
        let place = tempfile::tempdir().expect("directory");
        let layout = Layout::new(place.path()).expect("layout");
        let options = Options { engine: Some(Engine::Sled), ..Options::default() };
        let record = Record::decide(&layout, &options).expect("record");
        let environment = Environment::of(&layout, &record, Path::new("/opt/bin"));
        environment.save(&layout.env()).expect("save");
        assert_eq!(Environment::load(&layout.env()).expect("load"), environment);
        for (name, value) in &environment.0 {
            let script = format!(". {}; printf %s \"${name}\"", layout.env().display());
            let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
            assert_eq!(String::from_utf8_lossy(&output.stdout), *value);
        }
    }
}
