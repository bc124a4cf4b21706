//! `signetctl crl status | publish`

use clap::Subcommand;

use super::client::OnExpired;
use super::table::{table, time};
use super::{CtlError, Session};
use crate::api::admin::crl::{Crl, Crls, Published};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Sign every complete CRL now, whatever the schedule says; needs the unsealed token
    Publish,
    /// Show every CRL as it was recorded and as it is served; exit code 1 if one is not right
    Status,
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Publish => {
            let published: Vec<Published> = session.client.ask("/admin/v1/crl/publish", OnExpired::Refuse)?;
            session.show(&published, |published| {
                table(["LIST", "NUMBER"], published.iter().map(|one| [one.list.clone(), one.number.to_string()]))
            })
        }
        Verb::Status => {
            let crls: Crls = session.client.get("/admin/v1/crl", OnExpired::Refuse)?;
            session.show(&crls, |crls| {
                let head = ["ISSUER", "LIST", "NUMBER", "STATE", "THIS UPDATE", "NEXT UPDATE", "ENTRIES", "SERVED"];
                table(head, crls.crls.iter().map(row))
            })?;
            session.judge(&crls.faults)
        }
    }
}

fn row(crl: &Crl) -> [String; 8] {
    let served = match &crl.seen {
        None => "not seen yet".to_owned(),
        Some(look) => look.fault.clone().unwrap_or_else(|| format!("seen {}", time(look.at))),
    };
    [
        crl.issuer.clone(),
        crl.list.clone(),
        crl.number.to_string(),
        crl.freshness.clone(),
        time(crl.this_update),
        time(crl.next_update),
        crl.entries.to_string(),
        served,
    ]
}

impl Session {
    /// Says what is not right, if something is: then the verb has failed.
    pub(super) fn judge(&self, faults: &[String]) -> Result<(), CtlError> {
        match faults {
            [] => Ok(()),
            faults => Err(CtlError::Failed(faults.join("; "))),
        }
    }
}
