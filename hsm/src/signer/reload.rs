//! Reading the files again: profiles, and the certificates of the keys. All of them or none.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::StartError;
use super::answer::Signer;
use super::keys;
use super::profiles::Profiles;
use super::state::SealState;
use crate::config::{self, Config};

/// Where they lie. The configuration that names them is not read again.
pub(super) struct Files {
    keys: Vec<config::Key>,
    profiles: Option<PathBuf>,
    state: PathBuf,
    /// One reload at a time.
    reading: Mutex<()>,
}

impl Files {
    pub(super) fn of(config: &Config) -> Self {
        let (keys, profiles, state) = (config.keys.clone(), config.profiles.clone(), config.state.clone());
        Self { keys, profiles, state, reading: Mutex::new(()) }
    }
}

impl Signer {
    /// What SIGHUP means. What cannot be used is refused with a sentence, and what was read before
    /// stays in force. Requests go on meanwhile, each by what it began with.
    pub(super) fn read_files_again(&self) {
        let _one = self.files.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.supervisor.tell_reloading();
        let outcome = self.take_files();
        let sentence = self.state().sentence();
        match outcome {
            Ok(()) => {
                tracing::info!(
                    event = "files_reloaded",
                    signer = self.name,
                    "profiles and certificates were read again"
                );
                self.supervisor.tell(&format!("READY=1\nSTATUS={sentence}"));
            }
            Err(error) => {
                tracing::error!(event = "files_refused", %error, signer = self.name, "the files are refused, and the ones before stay in force");
                self.supervisor.tell(&format!("READY=1\nSTATUS={sentence}; reload refused: {error}"));
            }
        }
    }

    fn take_files(&self) -> Result<(), StartError> {
        let configured = keys::configured(&self.files.keys)?;
        let profiles = self.files.profiles.as_deref().map_or_else(|| Ok(Profiles::none()), Profiles::read)?;
        let refused = |error: &dyn std::fmt::Display| StartError(error.to_string());
        if let Ok(keys) = self.keys() {
            keys.certified_by(&configured).map_err(|error| refused(&error))?;
        }
        // In the journal before it takes effect.
        let append = |event| self.journal.append_and_wait(event, "signer".to_owned(), String::new());
        profiles.record(&self.files.state, append).map_err(|error| refused(&error))?;

        // Whoever unseals takes the certificates under this lock or after it.
        let mut state = self.state_mut();
        if let SealState::Unsealed(keys) = &mut *state {
            *keys = Arc::new(keys.certified_by(&configured).map_err(|error| refused(&error))?);
        }
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configured);
        *self.profiles.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(profiles);
        Ok(())
    }
}
