//! `signetctl cert issue | renew`

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use policy::serial::Serial;

use super::client::OnExpired;
use super::revoke::read_time;
use super::{CtlError, Session, table};
use crate::api::admin::issue::{self, Issued};
use crate::service::issue::KeyKind;

/// Where the key comes from, and where the answer goes.
#[derive(Args)]
pub(super) struct Key {
    /// File with a CSR, PEM; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    csr: Option<PathBuf>,
    /// Have the appliance make a key of this kind: p256, p384, ed25519, rsa2048, rsa3072, rsa4096
    ///
    /// It is sent once and kept by nobody. Who makes the key himself and sends a CSR need not trust the way.
    #[arg(long, value_name = "KIND", conflicts_with = "csr", requires = "key_out")]
    generate: Option<KeyKind>,
    /// Write the key that was made to this new file, readable by you alone
    #[arg(long, value_name = "FILE", requires = "generate")]
    key_out: Option<PathBuf>,
    /// Write the certificate and the issuing one to this file, PEM [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Last second of the certificate (RFC 3339) [default: as the profile says]
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    not_after: Option<u64>,
}

/// Issue a certificate on your word: the journal holds that you vouch for the names
#[derive(Args)]
#[command(after_help = ISSUE)]
pub(super) struct Issue {
    #[command(flatten)]
    key: Key,
    /// The profile
    #[arg(long, value_name = "NAME")]
    of_profile: String,
    /// A name, instead of those in the CSR; can be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The common name, where the profile lets it be chosen
    #[arg(long, value_name = "TEXT")]
    common_name: Option<String>,
    /// Number of the issuing CA that signs it, as `ca list` shows it [default: the first one]
    #[arg(long, value_name = "NUMBER")]
    by: Option<u32>,
    /// A name for this request: repeated with the same CSR it gets the same certificate
    #[arg(long, value_name = "ID", conflicts_with = "generate")]
    call: Option<String>,
}

const ISSUE: &str = "\
Examples:
  signetctl cert issue --csr server.csr --of-profile server --out server.pem
  signetctl cert issue --generate p256 --key-out key.pem --of-profile server --name www.example.test";

/// Renew a certificate: the same profile, names and subject
#[derive(Args)]
pub(super) struct Renew {
    /// Its serial number, hexadecimal
    serial: Serial,
    #[command(flatten)]
    key: Key,
}

pub(super) fn issue(session: &Session, asked: &Issue) -> Result<(), CtlError> {
    let body = issue::Issue {
        profile: asked.of_profile.clone(),
        csr: asked.key.csr()?,
        generate: asked.key.generate,
        names: (!asked.names.is_empty()).then(|| asked.names.clone()),
        common_name: asked.common_name.clone(),
        not_before: None,
        not_after: asked.key.not_after,
        call: asked.call.clone(),
    };
    let path = match asked.by {
        None => "/admin/v1/certificates".to_owned(),
        Some(number) => format!("/admin/v1/authorities/{number}/certificates"),
    };
    asked.key.receive(session, &path, &body)
}

pub(super) fn renew(session: &Session, asked: &Renew) -> Result<(), CtlError> {
    let body = issue::Renew { csr: asked.key.csr()?, generate: asked.key.generate, not_after: asked.key.not_after };
    asked.key.receive(session, &format!("/admin/v1/certificates/{}/renew", asked.serial), &body)
}

impl Key {
    fn csr(&self) -> Result<Option<String>, CtlError> {
        self.csr.as_deref().map(read_text).transpose()
    }

    /// Asks, and puts what comes where it belongs. The file for a key is opened first: a key that
    /// could not be written would be lost.
    fn receive(&self, session: &Session, path: &str, body: &impl serde::Serialize) -> Result<(), CtlError> {
        let wrong =
            |file: &Path, error: &dyn std::fmt::Display| CtlError::Failed(format!("{}: {error}", file.display()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let open = |file: &PathBuf| {
            options.open(file).map(|opened| (file.clone(), opened)).map_err(|error| wrong(file, &error))
        };
        let key_file = self.key_out.as_ref().map(open).transpose()?;
        let asked = session.client.post::<Issued>(path, body, OnExpired::Refuse);
        let issued = match (asked, &key_file) {
            (Err(error), Some((file, _))) => {
                // Nothing was written to it.
                let _ = std::fs::remove_file(file);
                return Err(error);
            }
            (asked, _) => asked?,
        };
        if let (Some(key), Some((file, mut opened))) = (&issued.private_key, key_file) {
            opened
                .write_all(key.0.as_bytes())
                .and_then(|()| opened.sync_all())
                .map_err(|error| wrong(&file, &error))?;
        }
        if let (Some(request), false) = (&issued.request, session.json) {
            if let Some(file) = &self.key_out {
                let _ = std::fs::remove_file(file);
            }
            return table::write(&format!("request {request} waits for the approval of somebody else\n"));
        }
        deliver(session, issued, self.out.as_deref())
    }
}

/// Writes a certificate where it belongs.
pub(super) fn deliver(session: &Session, issued: Issued, out: Option<&Path>) -> Result<(), CtlError> {
    let Issued { serial, chain, request, .. } = issued;
    let text = chain.clone().unwrap_or_default();
    match out {
        Some(file) => {
            std::fs::write(file, text).map_err(|error| CtlError::Failed(format!("{}: {error}", file.display())))?
        }
        None if !session.json => return table::write(&text),
        None => {}
    }
    let answer = serde_json::json!({ "serial": serial, "chain": chain, "request": request });
    session.show(&answer, |_| serial.map_or(String::new(), |serial| format!("issued {serial}\n")))
}

/// The text of a file, or of standard input.
pub(super) fn read_text(file: &Path) -> Result<String, CtlError> {
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    text.map_err(|error| CtlError::Failed(format!("{}: {error}", file.display())))
}
