//! `signetctl seal` and `signetctl unseal`.

use std::path::PathBuf;

use clap::Args;
use hsm::seal::{BoxError, seal_pin};
use http::Method;

use super::client::OnExpired;
use super::pin::Pin;
use super::{CtlError, Session};
use crate::api::admin::unseal::{Challenge, UnsealBox};

/// How the PIN comes in.
#[derive(Args)]
pub(super) struct Unseal {
    /// Read the PIN from the first line of a file instead of asking for it
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// One challenge, one box, one attempt on the token.
pub(super) fn unseal(session: &Session, arguments: &Unseal) -> Result<(), CtlError> {
    let pinned = session.identity.pinned.ok_or_else(|| {
        let why =
            "the appliance's identity is not in your profile, so the PIN would have no safe way: write `identity`";
        CtlError::Failed(why.to_owned())
    })?;
    let challenge: Challenge = session.client.ask("/admin/v1/unseal/challenge", OnExpired::Accept)?;
    let challenge = challenge.into();
    // An appliance that is not the pinned one is found out before anybody types a PIN.
    seal_pin(&challenge, &pinned, &[]).map_err(distrust)?;
    let pin = match &arguments.pin_file {
        Some(path) => Pin::read(path)?,
        None => Pin::ask()?,
    };
    let boxed: UnsealBox = seal_pin(&challenge, &pinned, pin.expose()).map_err(distrust)?.into();
    drop(pin);
    session.client.act(Method::POST, "/admin/v1/unseal", Some(&boxed), OnExpired::Accept)?;
    session.say("unsealed")
}

pub(super) fn seal(session: &Session) -> Result<(), CtlError> {
    session.client.act(Method::POST, "/admin/v1/seal", None::<&()>, OnExpired::Refuse)?;
    session.say("sealed")
}

fn distrust(error: BoxError) -> CtlError {
    match error {
        BoxError::Identity | BoxError::Statement => CtlError::Unreachable(error.to_string()),
        BoxError::Hpke => CtlError::Failed(error.to_string()),
    }
}
