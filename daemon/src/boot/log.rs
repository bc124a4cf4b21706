//! Where events go: the journal of systemd when it listens, standard error otherwise.

use hsm::log::journal;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// What is let through, for as long as the process runs.
pub(super) struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Lets through what `filter` says from now on.
    pub(super) fn replace(&self, filter: &str) {
        // Only a subscriber that is gone says no, and then nobody listens.
        drop(self.0.reload(EnvFilter::new(filter)));
    }
}

/// Starts logging what `filter` lets through. Does nothing if it was started before.
pub(super) fn start(filter: &str) -> Filter {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let events = match journal() {
        Some(journal) => journal.boxed(),
        None => fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed(),
    };
    // A second start in one process is a test's; the first subscriber stays.
    drop(tracing_subscriber::registry().with(events.with_filter(filter)).try_init());
    Filter(handle)
}
