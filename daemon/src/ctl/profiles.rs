//! `signetctl profile list | show | check | explain`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use policy::authority::AuthorityProfile;
use policy::evidence::Method;
use policy::profile::Profile;

use super::client::OnExpired;
use super::issue::read_text;
use super::revoke::read_time;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::explain::{self, Explanation};
use crate::api::admin::issue::Issue;
use crate::api::admin::profiles::Shown;
use crate::service::issue::KeyKind;
use crate::service::profiles::Listed;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the profiles that the appliance has loaded
    List,
    /// Would this be issued, and which rule of the profile decides: nothing is signed
    Explain(Explain),
    /// Show the file of a profile, as the appliance has loaded it
    Show {
        /// The profile
        name: String,
    },
    /// Read profile files as the appliance would, here, without asking it
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// What would be asked for
#[derive(Args)]
pub(super) struct Explain {
    /// The profile
    name: String,
    /// File with a CSR, PEM; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    csr: Option<PathBuf>,
    /// A key of this kind instead: p256, p384, ed25519, rsa2048, rsa3072, rsa4096
    #[arg(long, value_name = "KIND", conflicts_with = "csr")]
    generate: Option<KeyKind>,
    /// A name, instead of those in the CSR; can be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The common name
    #[arg(long, value_name = "TEXT")]
    common_name: Option<String>,
    /// Last second of the certificate (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    not_after: Option<u64>,
    /// Whose word it would be: administrator, registration or unproven
    #[arg(long, default_value = "administrator")]
    method: Method,
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Check { files } => check(files, session.json),
        Verb::Explain(asked) => explain(session, asked),
        Verb::List => list(session),
        Verb::Show { name } => {
            let path = format!("/admin/v1/profiles/{name}");
            let shown: Shown = session.client.get(&path, OnExpired::Refuse)?;
            session.show(&shown, |shown| shown.text.clone())
        }
    }
}

fn explain(session: &Session, asked: &Explain) -> Result<(), CtlError> {
    let request = Issue {
        profile: asked.name.clone(),
        csr: asked.csr.as_deref().map(read_text).transpose()?,
        generate: asked.generate,
        names: (!asked.names.is_empty()).then(|| asked.names.clone()),
        common_name: asked.common_name.clone(),
        not_after: asked.not_after,
        ..Issue::default()
    };
    let body = explain::Explain { request, method: Some(asked.method) };
    let answer: Explanation = session.client.post("/admin/v1/profiles/explain", &body, OnExpired::Refuse)?;
    session.show(&answer, |answer| {
        let mut pairs = vec![("verdict", answer.verdict.clone()), ("why", answer.why.clone())];
        pairs.extend(answer.field.iter().map(|field| ("rule", field.clone())));
        let place = answer.file.iter().zip(answer.line);
        pairs.extend(place.map(|(file, line)| ("stands at", format!("{file}:{line}"))));
        pairs.extend(answer.names.iter().map(|names| ("names", names.join(", "))));
        pairs.extend(answer.common_name.iter().map(|name| ("common name", name.clone())));
        pairs.extend(answer.not_before.map(|at| ("not before", time(at))));
        pairs.extend(answer.not_after.map(|at| ("not after", time(at))));
        fields(&pairs)
    })?;
    if answer.verdict == "refuse" { Err(CtlError::Refused("it would be refused".to_owned())) } else { Ok(()) }
}

fn list(session: &Session) -> Result<(), CtlError> {
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
        let read = match AuthorityProfile::from_toml(&name, &text) {
            Some(read) => read.map(|profile| (profile.name().to_owned(), profile.description().to_owned())),
            None => Profile::from_toml(&name, &text)
                .map(|profile| (profile.name().to_owned(), profile.description().to_owned())),
        };
        let (profile, description) = read.map_err(|error| CtlError::Failed(error.to_string()))?;
        good.push((name, profile, description));
    }
    if json {
        let list: Vec<_> =
            good.iter().map(|(file, profile, _)| serde_json::json!({ "file": file, "name": profile })).collect();
        return super::table::json(&list);
    }
    for (file, profile, description) in good {
        super::table::write(&format!("{file}: good: profile `{profile}`, {description}\n"))?;
    }
    Ok(())
}
