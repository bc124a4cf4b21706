//! What validators counted since the start of the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use policy::evidence::{CaaCheck, Method};

use super::{Failure, Retry, Shown};

/// Attempts by method and outcome, and CAA checks by outcome.
#[derive(Debug, Default)]
pub struct Counts {
    attempts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    checks: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counts {
    /// Attempts: method, outcome (`shown`, or the kind of the failure), how many.
    pub fn attempts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.iter().map(|((method, outcome), count)| (*method, *outcome, *count)).collect()
    }

    /// CAA checks: outcome (`allowed`, `forbidden`, `trouble`), how many.
    pub fn checks(&self) -> Vec<(&'static str, u64)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().map(|(outcome, count)| (*outcome, *count)).collect()
    }

    pub(super) fn validated(&self, method: Method, outcome: &Result<Shown, Failure>) {
        let outcome = outcome.as_ref().map_or_else(|failure| failure.kind.as_str(), |_| "shown");
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        *attempts.entry((method.as_str(), outcome)).or_default() += 1;
    }

    pub(super) fn checked(&self, outcome: &Result<CaaCheck, Failure>) {
        let outcome = match outcome {
            Ok(_) => "allowed",
            Err(Failure { retry: Retry::No, .. }) => "forbidden",
            Err(Failure { retry: Retry::Yes, .. }) => "trouble",
        };
        *self.checks.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    }
}
