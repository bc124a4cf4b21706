//! `signetctl acme authz show | deactivate`

use clap::Subcommand;
use http::Method;

use super::super::client::OnExpired;
use super::super::table::{fields, time};
use super::super::{CtlError, Session};
use super::id;
use crate::api::admin::acme::authorizations::Shown;
use crate::service::acme::records::{AuthorizationStatus, ChallengeState};

#[derive(Subcommand)]
pub(in super::super) enum Verb {
    /// Show one authorization: its challenges, and how control was shown
    Show {
        /// Its id: the last part of its URL, or see `acme order show`
        authorization: String,
    },
    /// Take an authorization back: no certificate is issued on it any more; those there are stay
    Deactivate {
        /// Its id: the last part of its URL, or see `acme order show`
        authorization: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Show { authorization } => {
            let shown: Shown = session.client.get(&path(authorization)?, OnExpired::Refuse)?;
            session.show(&shown, text)
        }
        Verb::Deactivate { authorization } => {
            let path = format!("{}/deactivate", path(authorization)?);
            session.client.act(Method::POST, &path, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("deactivated {authorization}"))
        }
    }
}

fn text(shown: &Shown) -> String {
    let status = match shown.status {
        AuthorizationStatus::Deactivated => "deactivated by its owner",
        AuthorizationStatus::Invalid => "invalid",
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Revoked => "revoked by an administrator",
        AuthorizationStatus::Valid => "valid",
    };
    let status = if shown.expired { format!("{status}, and its time is over") } else { status.to_owned() };
    let mut pairs = vec![
        ("authorization", shown.id.clone()),
        ("account", shown.account.clone()),
        ("name", shown.name.clone()),
        ("status", status),
        ("expires", time(shown.expires)),
    ];
    for challenge in &shown.challenges {
        let state = match &challenge.state {
            ChallengeState::Invalid { error } => format!("failed: {}", error.detail),
            ChallengeState::Pending => "pending".to_owned(),
            ChallengeState::Processing { error: None } => "processing".to_owned(),
            ChallengeState::Processing { error: Some(error) } => format!("processing; last: {}", error.detail),
            ChallengeState::Valid { at } => format!("valid since {}", time(at.0)),
        };
        pairs.push(("challenge", format!("{}: {state}", challenge.kind)));
    }
    if let Some(proof) = &shown.proof {
        let (method, at) = (proof.method.as_str(), time(proof.at.0));
        pairs.push(("shown", format!("by {method} at {at} ({})", proof.validator)));
        pairs.extend(proof.seen.address.iter().map(|address| ("answered", address.clone())));
        pairs.extend(proof.seen.dns.iter().map(|dns| ("dns", dns.clone())));
        pairs.extend(proof.caa.iter().map(|caa| ("caa", format!("{} at {}", caa.found, time(caa.at.0)))));
    }
    fields(&pairs)
}

/// The path of an authorization.
fn path(authorization: &str) -> Result<String, CtlError> {
    let authorization = id(authorization, "the id of an authorization: see `acme order show`")?;
    Ok(format!("/admin/v1/acme/authorizations/{authorization}"))
}
