//! `signetctl status`

use super::client::OnExpired;
use super::table::{fields, time};
use super::{CtlError, Session};
use crate::api::admin::status::{Signer, Status};

pub(super) fn run(session: &Session) -> Result<(), CtlError> {
    let status: Status = session.client.get("/admin/v1/status", OnExpired::Accept)?;
    session.show(&status, text)
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
        pairs.extend(detail.unconfined.iter().map(|lack| ("unconfined", lack.clone())));
    }
    pairs
}
