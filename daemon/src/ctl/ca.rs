//! `signetctl ca …`: the first issuing CA; [`super::authorities`] has those that are made later.

use std::time::{Duration, Instant};

use clap::Subcommand;

use super::authorities::{self, Form};
use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::activation::{Activate, Activation, Check, Checked};
use crate::api::admin::ca::CaCertificate;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Let the CA go active: from then on it issues certificates
    ///
    /// Every URL that certificates will name is looked at first, as by `ca check`. If one is not right, the CA does not
    /// go active, unless it is forced; then the journal says what failed.
    Activate {
        /// Go active also if a URL is not right; the journal says which, and why
        #[arg(long)]
        force: bool,
        /// Try again for so long until all is right, such as `1m`: a first CRL takes a moment, a cache elsewhere longer
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
        wait: Duration,
    },
    /// Look at every URL that certificates name, as relying parties do; exit code 1 if one is not right
    ///
    /// signetd fetches each CRL and shard, asks the OCSP responder, and fetches the CA certificates, in plain HTTP and
    /// by the URLs as they stand in certificates; it verifies signatures, times and contents.
    Check {
        /// Look again for so long until all is right, such as `1m`
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
        wait: Duration,
    },
    /// Make an issuing CA: its key in the token, and its certificate or its CSR
    Create(Box<authorities::Wish>),
    /// Let an issuing CA sign no certificates until it is enabled; its CRLs and OCSP answers go on
    Disable(authorities::One),
    /// Let an issuing CA sign certificates again
    Enable(authorities::One),
    /// Take the certificate that a CA outside has signed for an issuing CA
    Import(authorities::Import),
    /// List the issuing CAs, retired ones included
    List,
    /// Let an issuing CA never sign a certificate again; its CRLs and OCSP answers go on
    Retire(authorities::One),
    /// Retire an issuing CA, and have its certificate on the CRL of the CA that signed it
    Revoke(authorities::Why),
    /// Show the first issuing CA's certificate and the root, or one issuing CA
    Show {
        /// Number of an issuing CA: see `ca list`
        number: Option<u32>,
        /// Write the certificates as PEM, the issuing one first
        #[arg(long)]
        pem: bool,
        /// Write its CSR as PEM
        #[arg(long, requires = "number", conflicts_with = "pem")]
        csr: bool,
    },
    /// Have the certificate of an issuing CA signed by another one
    Sign(authorities::By),
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Activate { force, wait } => activate(session, *force, *wait),
        Verb::Check { wait } => check(session, *wait),
        Verb::Create(wish) => authorities::create(session, wish),
        Verb::Disable(one) => authorities::stand(session, one, "disable"),
        Verb::Enable(one) => authorities::stand(session, one, "enable"),
        Verb::Import(import) => authorities::import(session, import),
        Verb::List => authorities::list(session),
        Verb::Retire(one) => authorities::stand(session, one, "retire"),
        Verb::Revoke(why) => authorities::revoke(session, why),
        Verb::Sign(by) => authorities::sign(session, by),
        Verb::Show { number: Some(number), pem, csr } => {
            let form = match (pem, csr) {
                (true, _) => Form::Chain,
                (false, true) => Form::Csr,
                (false, false) => Form::Text,
            };
            authorities::show(session, *number, form)
        }
        Verb::Show { number: None, pem, csr: _ } => {
            let certificates: Vec<CaCertificate> = session.client.get("/admin/v1/ca", OnExpired::Refuse)?;
            session.show(&certificates, |certificates| match pem {
                true => certificates.iter().map(|certificate| certificate.pem.as_str()).collect(),
                false => certificates.iter().map(text).collect::<Vec<_>>().join("\n"),
            })
        }
    }
}

fn check(session: &Session, wait: Duration) -> Result<(), CtlError> {
    let look = || session.client.get::<Check>("/admin/v1/ca/check", OnExpired::Refuse);
    let check = patiently(
        wait,
        look,
        |outcome| matches!(outcome, Ok(check) if check.urls.iter().all(|url| url.fault.is_none())),
    )?;
    session.show(&check, |check| {
        let urls = table(["WHAT", "URL", "FOUND", "NEXT UPDATE"], check.urls.iter().map(row));
        let active = match &check.active {
            None => "not active: `signetctl ca activate`".to_owned(),
            Some(active) if active.forced => format!("active since {}, by force", time(active.at)),
            Some(active) => format!("active since {}", time(active.at)),
        };
        format!("{urls}{active}\n")
    })?;
    let wrong: Vec<_> = check.urls.iter().filter(|url| url.fault.is_some()).map(|url| url.url.clone()).collect();
    match wrong.len() {
        0 => Ok(()),
        count => Err(CtlError::Failed(format!("{count} URL(s) are not right: {}", wrong.join(", ")))),
    }
}

fn activate(session: &Session, force: bool, wait: Duration) -> Result<(), CtlError> {
    let act = || session.client.post::<Activation>("/admin/v1/ca/activate", &Activate { force }, OnExpired::Refuse);
    let activation = patiently(wait, act, |outcome| !matches!(outcome, Err(CtlError::Failed(_))))?;
    session.show(&activation, |activation| {
        let mut pairs = vec![("active since", time(activation.at)), ("by", activation.actor.clone())];
        pairs.extend(activation.failures.iter().map(|failure| ("although", failure.clone())));
        fields(&pairs)
    })
}

/// Does something until the outcome is good, or the time is over.
fn patiently<T>(
    wait: Duration,
    act: impl Fn() -> Result<T, CtlError>,
    good: impl Fn(&Result<T, CtlError>) -> bool,
) -> Result<T, CtlError> {
    let begun = Instant::now();
    loop {
        let outcome = act();
        if good(&outcome) || begun.elapsed() >= wait {
            return outcome;
        }
        std::thread::sleep(AGAIN);
    }
}

fn row(checked: &Checked) -> [String; 4] {
    [
        checked.what.clone(),
        checked.url.clone(),
        checked.fault.clone().unwrap_or_else(|| "right".to_owned()),
        checked.next_update.map(time).unwrap_or_default(),
    ]
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

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(250);
