//! `signetctl cert export`

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use policy::serial::Serial;
use policy::tbs;

use super::certificates::{Which, pages};
use super::client::OnExpired;
use super::{CtlError, Session, table};
use crate::api::admin::ca::CaCertificate;
use crate::api::admin::certificates::{MOST_WHOLE, Parameters, Shown};
use crate::service::ca::certs_only;

/// How certificates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// PEM: each with the issuing certificate behind it
    Chain,
    /// DER; one certificate only
    Der,
    /// One JSON object a line: what is known of each, and the certificate in base64
    JsonLines,
    /// CMS without a signature (PKCS#7), DER
    P7b,
    /// PEM
    Pem,
}

/// Export certificates: one, or all that fit
#[derive(Args)]
pub(super) struct Export {
    /// Serial number of the only one, hexadecimal
    serial: Option<Serial>,
    #[command(flatten)]
    which: Which,
    /// How they are written
    #[arg(long, value_enum, default_value = "pem")]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn export(session: &Session, asked: &Export) -> Result<(), CtlError> {
    let parameters = asked.which.parameters();
    let all = match asked.serial {
        None => parameters,
        Some(serial) if parameters == Parameters::default() => {
            Parameters { serial: Some(serial.to_string()), ..parameters }
        }
        Some(_) => return Err(CtlError::Failed("a serial number names one: leave the other options out".to_owned())),
    };
    let mut out = Out::open(asked)?;
    let mut certificates = Vec::new();
    let issuer = match asked.format {
        Format::Chain => Some(issuer(session)?),
        _ => None,
    };
    let mut count = 0;
    pages(session, "/admin/v1/certificates/export", all, usize::MAX, MOST_WHOLE, |shown: Shown| {
        count += 1;
        match asked.format {
            Format::Chain => out.write((pem(&shown.certificate)? + issuer.as_deref().unwrap_or_default()).as_bytes()),
            Format::Der if count > 1 => Err(CtlError::Failed(
                "DER holds one certificate, and there are more: write another --format".to_owned(),
            )),
            Format::Der | Format::P7b => {
                certificates.push(shown.certificate);
                Ok(())
            }
            Format::JsonLines => {
                let line = serde_json::to_string(&shown).map_err(|error| CtlError::Failed(error.to_string()))?;
                out.write(format!("{line}\n").as_bytes())
            }
            Format::Pem => out.write(pem(&shown.certificate)?.as_bytes()),
        }
    })?;
    if count == 0 {
        return Err(CtlError::Missing("there is no such certificate".to_owned()));
    }
    match asked.format {
        Format::Der => out.write(&certificates.concat())?,
        Format::P7b => out.write(&certs_only(&certificates.iter().map(Vec::as_slice).collect::<Vec<_>>()))?,
        Format::Chain | Format::JsonLines | Format::Pem => {}
    }
    out.end()?;
    if asked.out.is_some() { session.say(&format!("{count} certificate(s) exported")) } else { Ok(()) }
}

fn pem(der: &[u8]) -> Result<String, CtlError> {
    let certificate = tbs::Certificate::from_der(der);
    certificate
        .map(|certificate| certificate.to_pem())
        .map_err(|error| CtlError::Failed(format!("the answer is not understood: {error}")))
}

/// PEM of the certificate that issues.
fn issuer(session: &Session) -> Result<String, CtlError> {
    let all: Vec<CaCertificate> = session.client.get("/admin/v1/ca", OnExpired::Refuse)?;
    let issuing = all.into_iter().find(|one| one.name != crate::service::ca::ROOT);
    issuing.map(|one| one.pem).ok_or_else(|| CtlError::Failed("the appliance names no issuing certificate".to_owned()))
}

/// Where it is written.
enum Out {
    File(PathBuf, std::io::BufWriter<std::fs::File>),
    Standard,
}

impl Out {
    fn open(asked: &Export) -> Result<Self, CtlError> {
        let Some(path) = &asked.out else { return Ok(Self::Standard) };
        let file = std::fs::File::create(path).map_err(|error| wrong(path, &error))?;
        Ok(Self::File(path.clone(), std::io::BufWriter::new(file)))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CtlError> {
        match self {
            Self::File(path, file) => file.write_all(bytes).map_err(|error| wrong(path, &error)),
            Self::Standard => table::write_bytes(bytes),
        }
    }

    fn end(self) -> Result<(), CtlError> {
        match self {
            Self::File(path, mut file) => file.flush().map_err(|error| wrong(&path, &error)),
            Self::Standard => Ok(()),
        }
    }
}

fn wrong(path: &std::path::Path, error: &std::io::Error) -> CtlError {
    CtlError::Failed(format!("{}: {error}", path.display()))
}
