//! What the ACME surface counts, since the start of the process.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of accounts, keys, nonces and orders.
#[derive(Default)]
pub struct Counters {
    accounts_created: AtomicU64,
    accounts_ended: AtomicU64,
    bindings_refused: AtomicU64,
    keys_changed: AtomicU64,
    nonces_refused: AtomicU64,
    orders_created: AtomicU64,
    orders_processing: AtomicU64,
    orders_removed: AtomicU64,
}

impl Counters {
    pub(super) fn account_created(&self) {
        self.accounts_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn account_ended(&self) {
        self.accounts_ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn binding_refused(&self) {
        self.bindings_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn key_changed(&self) {
        self.keys_changed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn nonce_refused(&self) {
        self.nonces_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn order_created(&self) {
        self.orders_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn order_processing(&self) {
        self.orders_processing.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn orders_removed(&self, count: usize) {
        self.orders_removed.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Writes them in the text format of Prometheus.
    pub fn render(&self, text: &mut String) -> fmt::Result {
        for (name, help, counter) in [
            ("accounts_created", "ACME accounts made.", &self.accounts_created),
            ("accounts_ended", "ACME accounts ended by their owners or by administrators.", &self.accounts_ended),
            ("bindings_refused", "External account bindings refused.", &self.bindings_refused),
            ("keys_changed", "Keys of ACME accounts changed.", &self.keys_changed),
            ("nonces_refused", "Nonces refused.", &self.nonces_refused),
            ("orders_created", "ACME orders made.", &self.orders_created),
            ("orders_processing", "ACME orders whose finalize outlasted its patience.", &self.orders_processing),
            ("orders_removed", "ACME orders and authorizations removed after they ended.", &self.orders_removed),
        ] {
            writeln!(text, "# HELP signet_acme_{name}_total {help}")?;
            writeln!(text, "# TYPE signet_acme_{name}_total counter")?;
            writeln!(text, "signet_acme_{name}_total {}", counter.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}
