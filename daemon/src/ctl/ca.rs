//! `signetctl ca show`

use clap::Subcommand;

use super::client::OnExpired;
use super::table::{fields, time};
use super::{CtlError, Session};
use crate::api::admin::ca::CaCertificate;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Show the issuing certificate and the root
    Show {
        /// Write the certificates as PEM, the issuing one first
        #[arg(long)]
        pem: bool,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    let Verb::Show { pem } = verb;
    let certificates: Vec<CaCertificate> = session.client.get("/admin/v1/ca", OnExpired::Refuse)?;
    session.show(&certificates, |certificates| match pem {
        true => certificates.iter().map(|certificate| certificate.pem.as_str()).collect(),
        false => certificates.iter().map(text).collect::<Vec<_>>().join("\n"),
    })
}

fn text(certificate: &CaCertificate) -> String {
    fields(&[
        ("name", certificate.name.clone()),
        ("subject", certificate.subject.clone()),
        ("issuer", certificate.issuer.clone()),
        ("serial", certificate.serial.clone()),
        ("not before", time(certificate.not_before)),
        ("not after", time(certificate.not_after)),
        ("sha256", certificate.fingerprint.clone()),
    ])
}
