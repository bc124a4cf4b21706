//! `signetctl admin list | remove`

use clap::Subcommand;
use http::Method;

use super::client::OnExpired;
use super::table::{table, time};
use super::{CtlError, Session};
use crate::api::admin::administrators::Administrator;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List administrators, removed ones included
    List,
    /// Remove an administrator: from the next request on he is refused
    Remove {
        /// SHA-256 of his certificate, 64 hexadecimal digits
        fingerprint: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List => {
            let all: Vec<Administrator> = session.client.get("/admin/v1/administrators", OnExpired::Refuse)?;
            session.show(&all, |all| {
                let removed = |one: &Administrator| one.removed.map_or_else(String::new, time);
                let row = |one: &Administrator| {
                    let Administrator { fingerprint, name, role, .. } = one;
                    [fingerprint.clone(), name.clone(), role.to_string(), time(one.enrolled), removed(one)]
                };
                table(["FINGERPRINT", "NAME", "ROLE", "ENROLLED", "REMOVED"], all.iter().map(row))
            })
        }
        Verb::Remove { fingerprint } => {
            let fingerprint: String = fingerprint.chars().filter(|letter| *letter != ':').collect();
            if fingerprint.len() != 64 || !fingerprint.chars().all(|letter| letter.is_ascii_hexdigit()) {
                return Err(CtlError::Failed("a fingerprint is 64 hexadecimal digits: see `admin list`".to_owned()));
            }
            let path = format!("/admin/v1/administrators/{fingerprint}");
            session.client.act(Method::DELETE, &path, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("removed {fingerprint}"))
        }
    }
}
