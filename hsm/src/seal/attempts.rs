//! How many wrong PINs reached the token since the last right one, kept over restarts: the token
//! may lock after a few. And which PIN from a file it refused, so that no restart shows it again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::pbkdf2;
use policy::effects::Entropy;

use crate::pkcs11::Pin;

/// The counter, in a file of one decimal number.
pub(crate) struct Attempts {
    directory: PathBuf,
    wrong: Mutex<u32>,
    /// When the last attempt of this process began, or it started.
    last: Mutex<Instant>,
}

/// Wrong PINs that cost no time: people mistype.
const FREE: u32 = 5;

/// Longest time between two attempts. More would serve those who want to keep administrators out.
const LONGEST: Duration = Duration::from_secs(60);

const FILE: &str = "wrong-pins";

/// A salt of 16 bytes and the PBKDF2 of the PIN that was refused.
const REFUSED: &str = "refused-pin";

/// Enough to make guesses dear, and few for one comparison at the start.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(200_000).expect("it is not zero");

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;

impl Attempts {
    /// Reads the counter in `directory`; without a file it is zero. A file that holds something else
    /// is an error: nobody knows then how near the token is to locking.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let wrong = match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => text.trim_end().parse().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it holds no number: write how many wrong PINs the token saw",
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { directory: directory.to_owned(), wrong: Mutex::new(wrong), last: Mutex::new(Instant::now()) })
    }

    /// Wrong PINs since the last right one.
    pub(crate) fn wrong(&self) -> u32 {
        *self.lock()
    }

    /// How long the next attempt over a socket has to wait: a `signetd` that was taken over may guess,
    /// because the key to encrypt a PIN to is public. From [`FREE`] wrong ones on, the time between
    /// two attempts doubles up to [`LONGEST`].
    pub(crate) fn pause(&self) -> Duration {
        let Some(more) = self.wrong().checked_sub(FREE) else { return Duration::ZERO };
        let between = Duration::from_secs(1 << more.min(16)).min(LONGEST);
        between.saturating_sub(self.last().elapsed())
    }

    /// Counts an attempt as wrong before it is made; durable when this returns. Without it the
    /// attempt must not be made.
    pub(crate) fn begin(&self) -> io::Result<()> {
        let mut wrong = self.lock();
        *self.last() = Instant::now();
        self.write(wrong.saturating_add(1))?;
        *wrong = wrong.saturating_add(1);
        Ok(())
    }

    /// The PIN was right. A failure to write leaves the count too high, which is the safe side.
    pub(crate) fn right(&self) {
        self.set(0);
        match fs::remove_file(self.refused()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the note of a refused PIN cannot be removed");
            }
            _ => {}
        }
    }

    /// The token did not judge the PIN of the attempt that began.
    pub(crate) fn not_judged(&self) {
        self.set(self.wrong().saturating_sub(1));
    }

    fn set(&self, count: u32) {
        let mut wrong = self.lock();
        match self.write(count) {
            Ok(()) => *wrong = count,
            Err(error) => tracing::error!(%error, "the count of wrong PINs cannot be written and stays too high"),
        }
    }

    /// Whether the token refused this PIN when it was last tried from a file. An attempt more would
    /// bring the token nearer to locking, and nothing else (I22).
    pub(crate) fn was_refused(&self, pin: &Pin) -> bool {
        let stored = fs::read(self.refused()).unwrap_or_default();
        let Some((salt, derived)) = stored.split_first_chunk::<16>() else { return false };
        pbkdf2::verify(ALGORITHM, ITERATIONS, salt, &pin.0, derived).is_ok()
    }

    /// Remembers a PIN that the token refused.
    pub(crate) fn remember_refused(&self, pin: &Pin, entropy: &mut dyn Entropy) -> io::Result<()> {
        let mut stored = [0; 16 + 32];
        let (salt, derived) = stored.split_at_mut(16);
        entropy.fill(salt).map_err(io::Error::other)?;
        pbkdf2::derive(ALGORITHM, ITERATIONS, salt, &pin.0, derived);
        self.replace(REFUSED, &stored)
    }

    /// Where the PIN that was refused is remembered: removed, it is tried again.
    pub(crate) fn refused(&self) -> PathBuf {
        self.directory.join(REFUSED)
    }

    /// Writes the count. A disk that is full must not keep a signer from its token: then the file
    /// is overwritten where it stands, which takes no space.
    fn write(&self, count: u32) -> io::Result<()> {
        let text = format!("{count}\n");
        match self.replace(FILE, text.as_bytes()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                let file = File::options().write(true).open(self.directory.join(FILE))?;
                // A few bytes in one sector; what an older, longer number leaves behind is cut off.
                file.write_all_at(text.as_bytes(), 0)?;
                file.set_len(text.len() as u64)?;
                file.sync_all()
            }
            result => result,
        }
    }

    /// Replaces a file: written, synced, renamed, the name synced.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (new, path) = (self.directory.join(format!("{name}.new")), self.directory.join(name));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Nobody panics while holding it.
    fn last(&self) -> MutexGuard<'_, Instant> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody panics while holding it.
    fn lock(&self) -> MutexGuard<'_, u32> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::signer::os::SystemEntropy;

    #[test]
    fn a_full_disk_does_not_stop_the_count() {
        let folder = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(folder.path()).unwrap();
        (0..10).for_each(|_| attempts.begin().unwrap());
        // From now on a new file has no space.
        std::os::unix::fs::symlink("/dev/full", folder.path().join("wrong-pins.new")).unwrap();
        attempts.begin().unwrap();
        assert_eq!(Attempts::open(folder.path()).unwrap().wrong(), 11);
        attempts.right();
        assert_eq!(Attempts::open(folder.path()).unwrap().wrong(), 0);
    }

    #[test]
    fn guesses_become_slow_and_a_right_pin_ends_that() {
        let folder = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(folder.path()).unwrap();
        for wrong in 0..FREE {
            assert!(attempts.pause().is_zero(), "{wrong}");
            attempts.begin().unwrap();
        }
        assert!((1..=1000).contains(&attempts.pause().as_millis()));
        (0..20).for_each(|_| attempts.begin().unwrap());
        assert!(attempts.pause() <= LONGEST && attempts.pause() > LONGEST / 2);
        // A restart saves nobody the time.
        assert!(Attempts::open(folder.path()).unwrap().pause() > LONGEST / 2);
        attempts.right();
        assert!(attempts.pause().is_zero());
    }

    #[test]
    fn a_refused_pin_is_known_again_until_a_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let pin = |text: &str| Pin(Zeroizing::new(text.as_bytes().to_vec()));
        let attempts = Attempts::open(folder.path()).unwrap();
        assert!(!attempts.was_refused(&pin("wrong")));
        attempts.remember_refused(&pin("wrong"), &mut SystemEntropy).unwrap();
        let again = Attempts::open(folder.path()).unwrap();
        assert!(again.was_refused(&pin("wrong")) && !again.was_refused(&pin("right")));
        again.right();
        assert!(!again.was_refused(&pin("wrong")));
    }
}
