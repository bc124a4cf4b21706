//! `[upki]`: what the uPKI dialect calls our profiles, and whom it certifies.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{Wrong, wrong};

/// The uPKI dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upki {
    /// For whom `POST certify` issues.
    pub certify: Certify,
    /// The store's directory, as `private/config` shows it.
    pub data_directory: PathBuf,
    /// uPKI's names of profiles, and our profile for each.
    pub profiles: BTreeMap<String, String>,
}

/// For whom `POST certify` issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certify {
    /// For everybody, from profiles that take "unproven".
    Open,
    /// For nodes that show a one-time seed.
    #[default]
    Seed,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    certify: Option<Certify>,
    profiles: Option<Spanned<BTreeMap<Spanned<String>, String>>>,
}

/// uPKI's own names, with the profiles that are shipped.
const USUAL: [(&str, &str); 5] =
    [("client", "client"), ("laptop", "node"), ("server", "node"), ("user", "client"), ("webapp", "node")];

/// What uPKI uses for itself: its CA, its registration authority and its administrators.
const RESERVED: [&str; 3] = ["admin", "ca", "ra"];

pub(super) fn parse(raw: Raw, data_directory: PathBuf) -> Result<Upki, Wrong> {
    let usual = || USUAL.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect();
    let profiles = match raw.profiles {
        None => usual(),
        Some(profiles) if profiles.get_ref().is_empty() => {
            return wrong(&profiles, "uPKI's clients need a profile: write for example `server = \"node\"`");
        }
        Some(profiles) => {
            let named = profiles.get_ref().keys();
            if let Some(reserved) = named.into_iter().find(|name| RESERVED.contains(&name.get_ref().as_str())) {
                let problem = format!("`{}` certifies uPKI itself, which this replaces: remove it", reserved.get_ref());
                return wrong(reserved, problem);
            }
            profiles.into_inner().into_iter().map(|(theirs, ours)| (theirs.into_inner(), ours)).collect()
        }
    };
    Ok(Upki { certify: raw.certify.unwrap_or_default(), data_directory, profiles })
}
