//! The auditor's check: every line of every segment, from the first.

use std::path::Path;

use policy::effects::UnixTime;

use super::segment::{self, START};
use super::{Entry, Event, FORMAT, JournalId};

/// A journal that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub journal: JournalId,
    /// Number of entries, which is also the sequence number of the last one.
    pub entries: u64,
    /// Number of segments.
    pub segments: u64,
    /// When the first entry was written.
    pub first: UnixTime,
    /// When the last entry was written.
    pub last: UnixTime,
    /// Hash of the last line: two copies with the same number of entries and the same hash are equal.
    pub hash: String,
    /// Bytes of an incomplete last line: a copy made while the signer wrote, or a torn write, never
    /// acknowledged.
    pub torn: u64,
}

/// The first bad entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{segment}:{line}: entry {seq} is damaged: {why}")]
pub struct FirstBad {
    /// File name of the segment.
    pub segment: String,
    /// Line in it, from 1.
    pub line: u64,
    /// The entry that should stand there.
    pub seq: u64,
    /// One sentence.
    pub why: String,
}

/// Checks a whole journal, or a copy of one: chain, sequence, segment names, and that every line is
/// an entry of a format that this program knows.
pub fn verify(directory: &Path) -> Result<Summary, FirstBad> {
    let bad = |first: u64, why: String| FirstBad { segment: segment::name(first), line: 1, seq: first, why };
    let segments = segment::list(directory)
        .map_err(|e| bad(1, format!("the directory {} cannot be read: {e}", directory.display())))?;
    let (mut next, mut hash, mut torn) = (1, START, 0);
    let (mut journal, mut times) = (None, None);
    for (index, &first) in segments.iter().enumerate() {
        if first != next {
            return Err(bad(next, format!("the segment is missing, the next one is {}", segment::name(first))));
        }
        let scanned = segment::scan(directory, first, hash, &mut |json| {
            let entry = read(json)?;
            if let Event::Opened { journal: id, .. } = &entry.event {
                journal = Some(id.clone());
            }
            let (earliest, _) = times.unwrap_or((entry.at, entry.at));
            times = Some((earliest, entry.at));
            Ok(())
        })?;
        if scanned.torn > 0 && index + 1 < segments.len() {
            let (line, seq) = (scanned.next - first + 1, scanned.next);
            let why = "the line is not complete, but another segment follows".to_owned();
            return Err(FirstBad { segment: segment::name(first), line, seq, why });
        }
        (next, hash, torn) = (scanned.next, scanned.hash, scanned.torn);
    }
    let (Some(journal), Some((first, last))) = (journal, times) else {
        return Err(bad(1, "the journal does not begin with its name and format".to_owned()));
    };
    let hash = String::from_utf8_lossy(&segment::hexadecimal(&hash)).into_owned();
    Ok(Summary { journal, entries: next - 1, segments: segments.len() as u64, first, last, hash, torn })
}

/// Reads one entry, and checks what only the first one says.
pub(super) fn read(json: &[u8]) -> Result<Entry, String> {
    let entry = match serde_json::from_slice::<Entry>(json) {
        Ok(entry) => entry,
        Err(error) => return Err(newer(json).unwrap_or_else(|| format!("the text is not an entry: {error}"))),
    };
    match (&entry.event, entry.seq) {
        (Event::Opened { format, .. }, 1) if *format > FORMAT => {
            Err(newer(json).unwrap_or_else(|| "the format is unknown".to_owned()))
        }
        (Event::Opened { .. }, 1) => Ok(entry),
        (Event::Opened { .. }, _) => Err("only the first entry can open a journal".to_owned()),
        (_, 1) => Err("the first entry does not give the journal's name and format".to_owned()),
        _ => Ok(entry),
    }
}

/// Whether this is the opening of a journal in a newer format, whose other fields may be unknown.
pub(super) fn newer(json: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let event = value.get("event")?;
    let format = event.get("format")?.as_u64()?;
    (event.get("type")?.as_str()? == "opened" && format > u64::from(FORMAT))
        .then(|| format!("the journal has format {format}, this program knows up to {FORMAT}: install a newer version"))
}
