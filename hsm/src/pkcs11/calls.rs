//! Which PKCS#11 calls are in progress, and since when.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ErrorClass, TokenError};

/// The calls in progress, in the order of their start. The lock is held for a map operation, never
/// during a call, so the watchdog can always look.
#[derive(Default)]
pub(super) struct Calls(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    started: BTreeMap<u64, Instant>,
}

impl Calls {
    /// Makes one call into the module. A panic of the binding, which happens when a module returns
    /// an impossible length, is an error of this call.
    pub(super) fn make<T>(
        &self,
        function: &'static str,
        call: impl FnOnce() -> cryptoki::error::Result<T>,
    ) -> Result<T, TokenError> {
        let _entry = Entry::new(self);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(answer) => answer.map_err(|e| TokenError::from_cryptoki(function, e)),
            Err(_) => {
                Err(TokenError::new(function, ErrorClass::Transient, "the module answered with an impossible length"))
            }
        }
    }

    /// How long the oldest call in progress has taken.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.table().started.first_key_value().map(|(_, started)| started.elapsed())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Entry<'a> {
    calls: &'a Calls,
    id: u64,
}

impl<'a> Entry<'a> {
    fn new(calls: &'a Calls) -> Self {
        let mut table = calls.table();
        let id = table.next;
        table.next += 1;
        table.started.insert(id, Instant::now());
        Self { calls, id }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.calls.table().started.remove(&self.id);
    }
}
