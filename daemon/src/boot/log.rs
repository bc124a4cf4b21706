//! Where events go: the journal of systemd when it listens, standard error otherwise.

use std::os::unix::fs::MetadataExt;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging what `filter` lets through. Does nothing if it was started before.
pub(super) fn start(filter: &str) {
    let filter = EnvFilter::new(filter);
    let journal = stderr_is_journal().then(tracing_journald::layer).and_then(Result::ok);
    let events = match journal {
        Some(journal) => journal.with_field_prefix(Some("SIGNET".to_owned())).boxed(),
        None => fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed(),
    };
    // A second start in one process is a test's; the first subscriber stays.
    drop(tracing_subscriber::registry().with(events.with_filter(filter)).try_init());
}

/// systemd.exec(5): `JOURNAL_STREAM` names the device and inode of the stream; a program whose
/// standard error was redirected elsewhere has the variable and not the stream.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
