//! `signetctl profile list | check`

use std::path::PathBuf;

use clap::Subcommand;
use policy::profile::Profile;

use super::client::OnExpired;
use super::table::table;
use super::{CtlError, Session};
use crate::service::profiles::Listed;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the profiles that the appliance has loaded
    List,
    /// Read profile files as the appliance would, here, without asking it
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(super) fn list(session: &Session) -> Result<(), CtlError> {
    let profiles: Vec<Listed> = session.client.get("/admin/v1/profiles", OnExpired::Refuse)?;
    session.show(&profiles, |profiles| {
        let row = |profile: &Listed| {
            let acme = if profile.acme { "yes" } else { "no" };
            [
                profile.name.clone(),
                acme.to_owned(),
                profile.sha256[..16.min(profile.sha256.len())].to_owned(),
                profile.description.clone(),
            ]
        };
        table(["PROFILE", "ACME", "SHA-256", "DESCRIPTION"], profiles.iter().map(row))
    })
}

pub(super) fn check(files: &[PathBuf], json: bool) -> Result<(), CtlError> {
    let mut good = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| CtlError::Failed(format!("{name}: {error}")))?;
        let profile = Profile::from_toml(&name, &text).map_err(|error| CtlError::Failed(error.to_string()))?;
        good.push((name, profile));
    }
    if json {
        let list: Vec<_> =
            good.iter().map(|(file, profile)| serde_json::json!({ "file": file, "name": profile.name() })).collect();
        return super::table::json(&list);
    }
    for (file, profile) in good {
        super::table::write(&format!("{file}: good: profile `{}`, {}\n", profile.name(), profile.description()))?;
    }
    Ok(())
}
