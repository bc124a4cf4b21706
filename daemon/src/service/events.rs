//! The journal as events: what happened, in order, from the signer itself. It holds no secret.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::rights::Permitted;
use super::{Failure, Services};

/// Some events.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// Entries of the journal, as [`hsm::journal::Entry`] is written.
    pub events: Vec<Value>,
    /// Number of the last entry there is.
    pub last: u64,
}

/// Longest wait for something to happen.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

impl Services {
    /// What happened after the entry with the number `after`; if nothing did, waits for it at most for
    /// `patience` and never longer than [`LONGEST_WAIT`].
    /// Whoever loses the right to see it while he waits sees nothing more.
    pub async fn events(&self, permitted: &Permitted, after: u64, patience: Duration) -> Result<Events, Failure> {
        let deadline = Instant::now() + patience.min(LONGEST_WAIT);
        loop {
            let (lines, last) = self.ca.entries(after).await?;
            self.still(permitted)?;
            if lines.is_empty() && Instant::now() < deadline {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            // A line is a hash of 64 digits, a space, and the entry.
            let entry = |line: &String| serde_json::from_str(line.get(65..)?.trim_end()).ok();
            let events = lines.iter().map(entry).collect::<Option<_>>();
            let events = events.ok_or_else(|| {
                Failure::Unavailable(
                    "the journal holds an entry that cannot be read: check a copy with `signet-signer journal verify`"
                        .into(),
                )
            })?;
            return Ok(Events { events, last });
        }
    }
}
