//! The profiles: what kinds of certificates there are.

use policy::authority::AuthorityProfile;
use policy::profile::{Profile, ProfileError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Services;
use super::administrators::Permitted;
use super::peer::hex;

/// A profile in a list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ListedProfile")]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
    /// Whether ACME orders may name it.
    pub acme: bool,
}

impl Services {
    /// Every profile, by name.
    pub fn profiles(&self, _permitted: &Permitted) -> Vec<Listed> {
        self.profiles.now().values().map(|profile| self.listed(profile)).collect()
    }

    /// The profile of this name, and the text of its file.
    pub fn profile_text(&self, _permitted: &Permitted, name: &str) -> Option<(Listed, String)> {
        self.profiles.now().get(name).map(|profile| (self.listed(profile), profile.text().to_owned()))
    }

    /// Reads a profile file as the daemon would, and keeps nothing of it.
    pub fn check_profile(&self, _permitted: &Permitted, file: &str, text: &str) -> Result<Listed, ProfileError> {
        match AuthorityProfile::from_toml(file, text) {
            Some(profile) => profile.map(|profile| Listed {
                name: profile.name().to_owned(),
                description: profile.description().to_owned(),
                sha256: hex(&profile.digest()),
                acme: false,
            }),
            None => Profile::from_toml(file, text).map(|profile| self.listed(&profile)),
        }
    }

    fn listed(&self, profile: &Profile) -> Listed {
        Listed {
            name: profile.name().to_owned(),
            description: profile.description().to_owned(),
            sha256: hex(&profile.digest()),
            acme: self.acme.profiles.iter().any(|name| name == profile.name()),
        }
    }
}
