//! The profile files, read by the signer for itself when it starts and when it is told to reload.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use policy::authority::AuthorityProfile;
use policy::crl::Scope;
use policy::profile::{Profile, ProfileError};
use policy::tbs::Issuer;

use super::StartError;
use crate::journal::{Event, WriteError};
use crate::wire::ProfileStatus;

/// Which digests the journal has last recorded, one `<sha256>  <name>` a line, as sha256sum writes.
/// Only a note to save entries: without it they are written again.
const RECORDED: &str = "profiles.sha256";

/// Profiles by name: of certificates, and of authorities.
pub(super) struct Profiles {
    certificates: HashMap<String, Profile>,
    authorities: BTreeMap<String, AuthorityProfile>,
}

impl Profiles {
    /// Reads every `*.toml` in `directory`. One that cannot be used is an error for all: `signetd`
    /// would issue by another rule than the one that is on disk.
    pub(super) fn read(directory: &Path) -> Result<Self, StartError> {
        let unreadable = |path: &Path, error: std::io::Error| {
            StartError(format!("the profiles in {} cannot be read: {error}", path.display()))
        };
        let mut profiles = Self::none();
        for file in fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
            let path = file.map_err(|error| unreadable(directory, error))?.path();
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden || path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let (file, unusable) = (path.display().to_string(), |error: ProfileError| StartError(error.to_string()));
            match AuthorityProfile::from_toml(&file, &text) {
                Some(profile) => {
                    let profile = profile.map_err(unusable)?;
                    profiles.authorities.insert(profile.name().to_owned(), profile);
                }
                None => {
                    let profile = Profile::from_toml(&file, &text).map_err(unusable)?;
                    profiles.certificates.insert(profile.name().to_owned(), profile);
                }
            }
        }
        Ok(profiles)
    }

    /// No profiles, for a signer without an issuing key.
    pub(super) fn none() -> Self {
        Self { certificates: HashMap::new(), authorities: BTreeMap::new() }
    }

    /// The profile with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.certificates.get(name)
    }

    /// The profile of authorities with this name.
    pub(super) fn authority(&self, name: &str) -> Option<&AuthorityProfile> {
        self.authorities.get(name)
    }

    /// The names of those of certificates, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.certificates.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Whether the certificates of some profile name the CRL of `scope` by this URL.
    pub(super) fn names_crl(&self, url: &str, issuer: &Issuer, scope: Scope) -> bool {
        self.certificates.values().any(|profile| profile.names_crl(url, issuer, scope))
    }

    /// What `status` says of them, by name.
    pub(super) fn status(&self) -> Vec<ProfileStatus> {
        let status = |profile: &Profile| ProfileStatus {
            name: profile.name().to_owned(),
            sha256: hexadecimal(&profile.digest()),
        };
        self.names().into_iter().filter_map(|name| self.get(name)).map(status).collect()
    }

    /// Journals, by `append`, each profile whose digest is not the one recorded last (I2: which
    /// certificates depend on which rules). Ends at the first that cannot be journalled.
    pub(super) fn record(
        &self,
        state: &Path,
        mut append: impl FnMut(Event) -> Result<u64, WriteError>,
    ) -> Result<(), WriteError> {
        let path = state.join(RECORDED);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let mut recorded: BTreeMap<&str, String> = before
            .lines()
            .filter_map(|line| line.split_once("  ").map(|(sha256, name)| (name, sha256.to_owned())))
            .collect();
        let mut outcome = Ok(());
        let mut changed = false;
        let certificates = self.names().into_iter().filter_map(|name| self.get(name));
        let digests = certificates.map(|profile| (profile.name(), profile.digest()));
        let authorities = self.authorities.values().map(|profile| (profile.name(), profile.digest()));
        for (name, digest) in digests.chain(authorities) {
            let sha256 = hexadecimal(&digest);
            if recorded.get(name) == Some(&sha256) {
                continue;
            }
            let event = Event::ProfileLoaded { profile: name.to_owned(), sha256: sha256.clone() };
            outcome = append(event).map(drop);
            if outcome.is_err() {
                break;
            }
            recorded.insert(name, sha256);
            changed = true;
        }
        let text: String = recorded.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
        if changed && let Err(error) = fs::write(&path, text) {
            tracing::warn!(%error, "the note of recorded profiles cannot be written: they are journalled again");
        }
        outcome
    }
}

/// Lower-case digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
