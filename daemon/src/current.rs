//! What a reload replaces while requests go on.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use policy::profile::Profile;

/// A value that can be replaced: whoever begins something takes the one that is current, and ends
/// with that. Clones are handles on the same value.
pub struct Current<T>(Arc<RwLock<Arc<T>>>);

/// Every profile of the profile directory, by name.
pub type Profiles = BTreeMap<String, Arc<Profile>>;

impl<T> Current<T> {
    /// One that holds `value`.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(Arc::new(RwLock::new(value.into())))
    }

    /// The current value.
    pub fn now(&self) -> Arc<T> {
        // Each change of it is complete.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes `value` the current one.
    pub fn replace(&self, value: impl Into<Arc<T>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value.into();
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_begun_ends_with_what_he_began_with() {
        let current = Current::new(1);
        let (handle, begun) = (current.clone(), current.now());
        handle.replace(2);
        assert_eq!((*begun, *current.now()), (1, 2));
    }
}
