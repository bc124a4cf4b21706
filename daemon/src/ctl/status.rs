//! `signetctl status`

use clap::Args;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::status::{Signer, Status};

/// Arguments of the verb.
#[derive(Args)]
pub(super) struct Arguments {
    /// Show instead what each process has given up, as the kernel says it, and what this host lacks
    #[arg(long)]
    hardening: bool,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<(), CtlError> {
    let status: Status = session.client.get("/admin/v1/status", OnExpired::Accept)?;
    session.show(&status, if arguments.hardening { hardening } else { text })
}

fn hardening(status: &Status) -> String {
    let signers = status.signers.iter().filter_map(|signer| Some((&signer.name, &signer.detail.as_ref()?.hardening)));
    let signers = signers.map(|(name, measures)| (format!("signet-signer@{name}"), measures));
    let processes = [("signetd".to_owned(), &status.hardening)].into_iter().chain(signers);
    let rows = processes.flat_map(|(process, measures)| {
        measures.iter().map(move |measure| {
            let in_force = if measure.in_force { "yes" } else { "NO" };
            [process.clone(), measure.name.clone(), in_force.to_owned(), measure.detail.clone()]
        })
    });
    table(["PROCESS", "MEASURE", "IN FORCE", "DETAIL"], rows)
}

fn text(status: &Status) -> String {
    let mut pairs = vec![
        ("appliance", status.public_url.clone()),
        ("version", status.version.clone()),
        ("seal", status.seal.clone()),
        ("ready", if status.ready { "yes".to_owned() } else { "no".to_owned() }),
    ];
    pairs.extend(status.reasons.iter().map(|reason| ("", reason.clone())));
    let mut text = fields(&pairs);
    for signer in &status.signers {
        text.push('\n');
        text.push_str(&fields(&describe(signer)));
    }
    text
}

fn describe(signer: &Signer) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("signer", signer.name.clone())];
    if let Some(fault) = &signer.fault {
        pairs.push(("fault", fault.clone()));
    }
    if let Some(detail) = &signer.detail {
        pairs.extend([
            ("seal", detail.seal.clone()),
            ("keys", detail.keys.join(", ")),
            ("journal", format!("{} entries, id {}", detail.last, detail.journal)),
            ("wrong PINs", detail.wrong_pins.to_string()),
            ("started", time(detail.started)),
            ("version", detail.version.clone()),
        ]);
        let lacks = detail.hardening.iter().filter_map(|measure| measure.lack());
        pairs.extend(lacks.map(|lack| ("unconfined", lack.to_owned())));
    }
    pairs
}
