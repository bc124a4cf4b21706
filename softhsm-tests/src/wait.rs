//! Waiting for a condition, with a deadline; never for luck.

use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `look` until it gives a value, at most for `patience`. The error names `what` did not happen.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            return Err(format!("waited {} s in vain: {what}", patience.as_secs()));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Calls `holds` until it is true, at most for `patience`.
pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    wait_for(what, patience, || holds().then_some(()))
}
