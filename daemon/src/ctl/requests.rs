//! `signetctl request list | show | create | approve | reject`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::client::{OnExpired, with_query};
use super::issue::{deliver, read_text};
use super::revoke::read_time;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::issue::{Issue, Issued};
use crate::api::admin::requests::{Approval, Page, Parameters, Rejection, Request};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Approve a request that somebody else made, and write the certificate; again after a lost answer
    Approve {
        /// Its id
        id: String,
        /// Write the certificate and the issuing one to this file, PEM [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Ask for a certificate that somebody else must approve
    Create(Create),
    /// List requests, the latest first
    List {
        /// That are so
        #[arg(long, value_parser = crate::service::requests::STATUSES)]
        status: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Reject a request
    Reject {
        /// Its id
        id: String,
        /// Why, in one line
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Show what is asked for, by whom, and what became of it
    Show {
        /// Its id
        id: String,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// File with a CSR, PEM; `-` for standard input
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// The profile
    #[arg(long, value_name = "NAME")]
    of_profile: String,
    /// A name, instead of those in the CSR; can be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The common name, where the profile lets it be chosen
    #[arg(long, value_name = "TEXT")]
    common_name: Option<String>,
    /// Last second of the certificate (RFC 3339) [default: as the profile says]
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    not_after: Option<u64>,
}

const PATH: &str = "/admin/v1/requests";

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Approve { id, out } => {
            // What is approved is what the appliance shows now; `show` shows the same.
            let Request { digest, .. } = read(session, id)?;
            let path = format!("{PATH}/{id}/approve");
            let issued: Issued = session.client.post(&path, &Approval { digest }, OnExpired::Refuse)?;
            deliver(session, issued, out.as_deref())
        }
        Verb::Create(asked) => {
            let body = Issue {
                profile: asked.of_profile.clone(),
                csr: Some(read_text(&asked.csr)?),
                names: (!asked.names.is_empty()).then(|| asked.names.clone()),
                common_name: asked.common_name.clone(),
                not_after: asked.not_after,
                ..Issue::default()
            };
            let made: Request = session.client.post(PATH, &body, OnExpired::Refuse)?;
            session.show(&made, text)
        }
        Verb::List { status, limit } => list(session, status.as_ref(), *limit),
        Verb::Reject { id, why } => {
            let Request { digest, .. } = read(session, id)?;
            let body = Rejection { digest, why: why.clone() };
            let rejected: Request = session.client.post(&format!("{PATH}/{id}/reject"), &body, OnExpired::Refuse)?;
            session.show(&rejected, text)
        }
        Verb::Show { id } => session.show(&read(session, id)?, text),
    }
}

fn read(session: &Session, id: &str) -> Result<Request, CtlError> {
    if !crate::service::requests::is_id(id) {
        return Err(CtlError::Missing(format!("`{id}` is not the id of a request")));
    }
    session.client.get(&format!("{PATH}/{id}"), OnExpired::Refuse)
}

fn list(session: &Session, status: Option<&String>, limit: usize) -> Result<(), CtlError> {
    let mut parameters = Parameters { status: status.cloned(), ..Parameters::default() };
    let mut found: Vec<Request> = Vec::new();
    while found.len() < limit {
        parameters.limit = Some((limit - found.len()).min(crate::service::requests::MOST));
        let page: Page = session.client.get(&with_query(PATH, &parameters)?, OnExpired::Refuse)?;
        found.extend(page.requests);
        parameters.before = page.next;
        if parameters.before.is_none() {
            break;
        }
    }
    session.show(&found, |found| {
        let row = |request: &Request| {
            [
                request.id.clone(),
                request.status.clone(),
                time(request.created),
                request.profile.clone(),
                request.requester.chars().take(22).collect(),
                request.names.join(", "),
            ]
        };
        table(["REQUEST", "STATUS", "MADE", "PROFILE", "BY", "NAMES"], found.iter().map(row))
    })
}

fn text(request: &Request) -> String {
    let mut pairs = vec![
        ("request", request.id.clone()),
        ("status", request.status.clone()),
        ("made by", request.requester.clone()),
        ("made", time(request.created)),
        ("until", time(request.expires)),
        ("profile", request.profile.clone()),
        ("names", request.names.join(", ")),
        ("key (SHA-256)", request.spki.clone()),
        ("digest", request.digest.clone()),
    ];
    pairs.extend(request.common_name.iter().map(|name| ("common name", name.clone())));
    pairs.extend(request.not_after.map(|at| ("not after", time(at))));
    pairs.extend(request.replaces.map(|serial| ("renews", serial.to_string())));
    pairs.extend(request.decided_by.iter().map(|who| ("decided by", who.clone())));
    pairs.extend(request.decided_at.map(|at| ("decided", time(at))));
    pairs.extend(request.why.iter().map(|why| ("because", why.clone())));
    pairs.extend(request.certificate.map(|serial| ("certificate", serial.to_string())));
    fields(&pairs)
}
