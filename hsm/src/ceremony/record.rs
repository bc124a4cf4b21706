//! What is told twice: to the journal, and to the transcript that people keep.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use policy::effects::{Clock, Entropy, UnixTime};

use super::CeremonyError;
use crate::journal::{Entry, Event, Writer};

/// The CA's journal, opened by a command on the console.
pub(crate) struct Ledger {
    pub(super) writer: Writer,
    clock: Arc<dyn Clock>,
    request_id: String,
}

impl Ledger {
    /// Opens or makes the journal in `directory`. A signer that runs holds its lock.
    pub(crate) fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, CeremonyError> {
        let mut id = [0u8; 8];
        entropy.fill(&mut id)?;
        let writer = Writer::open(directory, clock.clone(), entropy)?;
        Ok(Self { writer, clock, request_id: format!("console-{}", hexadecimal(&id)) })
    }

    /// Writes one entry of the console's, and returns when it is durable.
    pub(crate) fn write(&mut self, event: Event) -> Result<(), CeremonyError> {
        self.writer.append(event, ACTOR, &self.request_id)?;
        Ok(())
    }

    /// The current time, as entries get it.
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Ties the entries of one command together.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }
}

/// The transcript: what was done, when, with which fingerprints, and never a secret.
pub(super) struct Transcript {
    text: String,
}

impl Transcript {
    pub(super) fn begin(now: UnixTime, organization: &str) -> Self {
        let mut text = String::new();
        let _ = writeln!(text, "Signet key ceremony of {organization}");
        let _ = writeln!(text, "Begun {} with signet-signer {VERSION}\n", rfc3339(now));
        Self { text }
    }

    /// A step: into the journal first, then into the text.
    pub(super) fn step(&mut self, ledger: &mut Ledger, step: String) -> Result<(), CeremonyError> {
        let _ = writeln!(self.text, "{}  {step}", rfc3339(ledger.now()));
        ledger.write(Event::Ceremony { step })
    }

    /// A detail of the step before, indented; it is in the journal with the entry that it explains.
    pub(super) fn detail(&mut self, detail: &str) {
        let _ = writeln!(self.text, "                      {detail}");
    }

    pub(super) fn end(mut self, closing: &str) -> String {
        let _ = writeln!(self.text, "\n{closing}");
        self.text
    }
}

/// One line of a journal: the entry, and its JSON as it stands in the file.
pub(crate) type Line = Result<(Entry, String), CeremonyError>;

/// The entries of the journal in `directory`, in order, without its lock: a signer may go on
/// writing. The chain is not checked; `journal::verify` does that.
pub fn entries(directory: &Path) -> Result<impl Iterator<Item = Line> + use<>, CeremonyError> {
    let fault = |path: &Path, error: std::io::Error| CeremonyError::Refused(format!("{}: {error}", path.display()));
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| fault(directory, error))? {
        let path = entry.map_err(|error| fault(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            segments.push(path);
        }
    }
    // Their names hold numbers of equal width, so the order of names is the order of entries.
    segments.sort();
    Ok(segments.into_iter().flat_map(move |path| {
        let file = std::fs::File::open(&path).map_err(|error| fault(&path, error));
        let (lines, broken) = match file {
            Ok(file) => (Some(whole_lines(file)), None),
            Err(error) => (None, Some(Err(error))),
        };
        let read = move |line: std::io::Result<String>| {
            let line = line.map_err(|error| fault(&path, error))?;
            let json = line.get(HASH..).unwrap_or_default();
            let entry = serde_json::from_str(json).map_err(|error| {
                CeremonyError::Refused(format!("{}: a line is not an entry: {error}", path.display()))
            })?;
            Ok((entry, json.to_owned()))
        };
        lines.into_iter().flatten().map(read).chain(broken)
    }))
}

/// The lines that have their end. What stands behind the last one is being written, or was torn by
/// a power cut: nobody was told of it.
fn whole_lines(file: std::fs::File) -> impl Iterator<Item = std::io::Result<String>> {
    let mut reader = BufReader::new(file);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.pop() == Some(b'\n') => Some(String::from_utf8(line).map_err(std::io::Error::other)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    })
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A time as people and programs read it.
pub fn rfc3339(time: UnixTime) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.0)).to_string()
}

/// Digits of the hash and the space before the JSON of a line.
const HASH: usize = 65;

/// The actor of every entry that a command on the console writes.
pub(crate) const ACTOR: &str = "console";

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::signer::os::{SystemClock, SystemEntropy};

    #[test]
    fn an_entry_that_is_being_written_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path(), Arc::new(SystemClock), &mut SystemEntropy).unwrap();
        ledger.write(Event::Ceremony { step: "a step".to_owned() }).unwrap();
        let segment = folder.path().join("journal-00000000000000000001.log");
        std::fs::File::options().append(true).open(segment).unwrap().write_all(b"0123 \xc3").unwrap();
        let read: Vec<u64> = entries(folder.path()).unwrap().map(|line| line.unwrap().0.seq).collect();
        assert_eq!(read, [1, 2]);
    }
}
