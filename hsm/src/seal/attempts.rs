//! How many wrong PINs reached the token since the last right one, kept over restarts: the token
//! may lock after a few.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The counter, in a file of one decimal number.
pub(crate) struct Attempts {
    directory: PathBuf,
    wrong: Mutex<u32>,
}

const FILE: &str = "wrong-pins";

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
        Ok(Self { directory: directory.to_owned(), wrong: Mutex::new(wrong) })
    }

    /// Wrong PINs since the last right one.
    pub(crate) fn wrong(&self) -> u32 {
        *self.lock()
    }

    /// Counts an attempt as wrong before it is made; durable when this returns. Without it the
    /// attempt must not be made.
    pub(crate) fn begin(&self) -> io::Result<()> {
        let mut wrong = self.lock();
        self.write(wrong.saturating_add(1))?;
        *wrong = wrong.saturating_add(1);
        Ok(())
    }

    /// The PIN was right. A failure to write leaves the count too high, which is the safe side.
    pub(crate) fn right(&self) {
        self.set(0);
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

    /// Replaces the file: written, synced, renamed, the name synced.
    fn write(&self, count: u32) -> io::Result<()> {
        let (new, path) = (self.directory.join("wrong-pins.new"), self.directory.join(FILE));
        let mut file = File::create(&new)?;
        writeln!(file, "{count}")?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Nobody panics while holding it.
    fn lock(&self) -> MutexGuard<'_, u32> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
