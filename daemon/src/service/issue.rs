//! Issuing, shared by all surfaces.

use super::Services;
use crate::issuance::Pipeline;

impl Services {
    /// The pipeline over these services.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline {
            ca: self.ca.clone(),
            clock: self.clock.clone(),
            issuer: self.issuer.clone(),
            issuer_key: self.issuer_key.as_str().into(),
            profiles: self.profiles.clone(),
        }
    }
}
