//! The real clock and the real generator.

use std::time::SystemTime;

use policy::effects::{Clock, Entropy, EntropyError, UnixTime};

/// The system's clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
        let now = SystemTime::now();
        // A clock that stands before 1970 is answered with 1970: nothing is valid then.
        UnixTime(now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// The operating system's generator, by way of AWS-LC.
pub(super) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(out).map_err(|_| EntropyError)
    }
}
