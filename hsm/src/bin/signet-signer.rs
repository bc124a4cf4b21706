//! `signet-signer`: owns one PKCS#11 token. Here only the clock and the generator are built; the
//! rest is in the library.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use hsm::cli::{Effects, main as run};
use policy::effects::{Clock, Entropy, EntropyError, UnixTime};

fn main() -> ExitCode {
    run(Effects { clock: Arc::new(SystemClock), entropy: Box::new(SystemEntropy(SystemRandom::new())) })
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the program gets its clock")]
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(out).map_err(|_| EntropyError)
    }
}
