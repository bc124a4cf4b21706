//! `signetctl ocsp status | presign`

use std::time::Duration;

use clap::Subcommand;

use super::client::OnExpired;
use super::revoke::read_time;
use super::table::{fields, time};
use super::{CtlError, Session};
use crate::api::admin::ocsp::{Aside, Ocsp, Presign, Snapshot};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Sign an answer for every certificate that has not expired, for a planned outage of the token
    Presign {
        /// Every answer is to be good until then (RFC 3339)
        #[arg(long, value_name = "TIME", value_parser = read_time)]
        until: u64,
        /// Wait until it is complete
        #[arg(long)]
        wait: bool,
    },
    /// Show how the responder is and what is served; exit code 1 if something is not right
    Status,
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Presign { until, wait } => {
            let mut snapshot: Snapshot =
                session.client.post("/admin/v1/ocsp/presign", &Presign { until: *until }, OnExpired::Refuse)?;
            let mut pause = Duration::from_millis(50);
            while *wait && snapshot.done.is_none() {
                std::thread::sleep(pause);
                pause = Duration::from_secs(1).min(pause * 2);
                let ocsp: Ocsp = session.client.get("/admin/v1/ocsp", OnExpired::Refuse)?;
                snapshot = match ocsp.snapshot {
                    Some(current) if current.begun == snapshot.begun => current,
                    _ => {
                        let why = "the snapshot was given up: signetd was restarted, or another one was begun";
                        return Err(CtlError::Failed(why.to_owned()));
                    }
                };
            }
            session.show(&snapshot, |snapshot| fields(&[("snapshot", text(snapshot))]))
        }
        Verb::Status => {
            let ocsp: Ocsp = session.client.get("/admin/v1/ocsp", OnExpired::Refuse)?;
            session.show(&ocsp, show)?;
            session.judge(&ocsp.faults)
        }
    }
}

fn show(ocsp: &Ocsp) -> String {
    let mut pairs = vec![
        ("key", ocsp.key.clone().unwrap_or_else(|| "not used yet".to_owned())),
        ("certificate until", ocsp.certificate_not_after.map(time).unwrap_or_default()),
        ("token", format!("{} signatures a second", ocsp.signatures_per_second)),
        ("behind", format!("{} s", ocsp.lag)),
        ("signed ahead", format!("{} answers", ocsp.signed_ahead)),
    ];
    for aside in &ocsp.aside {
        let Aside { serial, why, tries, again } = aside;
        pairs.push(("put aside", format!("{serial}: {why} (tried {tries} times, again at {})", time(*again))));
    }
    if let Some(snapshot) = &ocsp.snapshot {
        pairs.push(("snapshot", text(snapshot)));
    }
    for (what, look) in &ocsp.seen {
        let saw = match (&look.fault, look.next_update) {
            (Some(fault), _) => fault.clone(),
            (None, next) => format!("good until {}", next.map(time).unwrap_or_default()),
        };
        pairs.push(("served", format!("{what}: {saw} (seen {})", time(look.at))));
    }
    fields(&pairs)
}

fn text(snapshot: &Snapshot) -> String {
    let Snapshot { until, done, seen, signed, .. } = snapshot;
    let state = done.map_or_else(|| "under way".to_owned(), |done| format!("complete since {}", time(done)));
    format!("until {}: {state}, {seen} certificates seen, {signed} answers signed", time(*until))
}
