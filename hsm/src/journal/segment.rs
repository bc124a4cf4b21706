//! Segments: their names, their lines, and the chain through them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use policy::effects::UnixTime;

use super::verify::FirstBad;

/// One link of the chain: a SHA-256.
pub(super) type Hash = [u8; 32];

/// What the first line of a journal follows.
pub(super) const START: Hash = [0; 32];

/// Hash and space before the JSON of a line.
pub(super) const PREFIX: usize = 65;

/// SHA-256(previous hash ‖ JSON bytes).
pub(super) fn link(previous: &Hash, json: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(previous);
    context.update(json);
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The 64 lower-case digits of a hash.
pub(super) fn hexadecimal(hash: &Hash) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// The hash that `text` writes in lower case.
fn parse_hash(text: &[u8]) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut hash = START;
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

/// The file name of the segment whose first entry is `first`.
pub(super) fn name(first: u64) -> String {
    format!("journal-{first:020}.log")
}

/// The segment whose first entry is `first`.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(name(first))
}

/// The first entries of all segments in `directory`, ascending.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let file = file?.file_name();
        let Some(digits) = file.to_str().and_then(|name| name.strip_prefix("journal-")?.strip_suffix(".log")) else {
            continue;
        };
        if digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            firsts.extend(digits.parse::<u64>());
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// What a scan of one segment found.
pub(super) struct Scanned {
    /// Hash of the last whole line, or the one the segment follows.
    pub(super) hash: Hash,
    /// Sequence number of the entry that comes next.
    pub(super) next: u64,
    /// Bytes of whole lines.
    pub(super) length: u64,
    /// JSON of the last whole line.
    pub(super) last: Option<Vec<u8>>,
    /// Bytes of an incomplete last line.
    pub(super) torn: u64,
}

/// Reads the segment whose first entry is `first` and which follows `previous`, checks the chain
/// and the sequence numbers, and shows each entry's JSON to `each`.
pub(super) fn scan(
    directory: &Path,
    first: u64,
    previous: Hash,
    each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<Scanned, FirstBad> {
    let bad =
        |seq: u64, why: String| FirstBad { segment: name(first), line: (seq - first).saturating_add(1), seq, why };
    let file =
        File::open(path(directory, first)).map_err(|e| bad(first, format!("the segment cannot be read: {e}")))?;
    let mut lines = BufReader::with_capacity(256 * 1024, file);
    let mut found = Scanned { hash: previous, next: first, length: 0, last: None, torn: 0 };
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = lines
            .read_until(b'\n', &mut line)
            .map_err(|e| bad(found.next, format!("the segment cannot be read: {e}")))?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else {
            // A torn write leaves the beginning of a line. A whole line with something else where
            // its newline belongs was complete once: that is damage, and cutting it off would lose it.
            if line.pop().is_some() && check(&found.hash, found.next, &line).is_ok() {
                return Err(bad(found.next, "another byte stands where the line's newline belongs".to_owned()));
            }
            found.torn = read as u64;
            break;
        }
        found.hash = check(&found.hash, found.next, &line).map_err(|why| bad(found.next, why))?;
        each(&line[PREFIX..]).map_err(|why| bad(found.next, why))?;
        found.length += read as u64;
        found.next += 1;
        std::mem::swap(&mut line, &mut last);
    }
    if found.next > first {
        last.drain(..PREFIX);
        found.last = Some(last);
    }
    Ok(found)
}

/// Checks one line, without its newline, against the hash before it and the number it must have.
fn check(previous: &Hash, seq: u64, line: &[u8]) -> Result<Hash, String> {
    let (stated, json) = line.split_at_checked(PREFIX).ok_or("the line is too short")?;
    let hash = link(previous, json);
    if stated[..64] != hexadecimal(&hash) || stated[64] != b' ' {
        return Err("the hash does not follow from the line before and this line's text".to_owned());
    }
    if !json.starts_with(format!("{{\"seq\":{seq},").as_bytes()) {
        return Err(format!("entry {seq} belongs here and another one stands here"));
    }
    Ok(hash)
}

/// What the segment after it needs to know of a segment.
pub(super) struct Before {
    /// The stated hash of the last entry.
    pub(super) hash: Hash,
    /// Sequence number of the last entry.
    pub(super) last: u64,
    /// The latest time of any entry.
    pub(super) at: UnixTime,
}

/// Reads a segment that is not the last one, and shows each entry's JSON to `each`. Its chain is not
/// checked.
pub(super) fn before(
    directory: &Path,
    first: u64,
    each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<Before, FirstBad> {
    let (mut seq, mut latest, mut end) = (first, UnixTime(0), None);
    let bad = |seq: u64, why: String| FirstBad { segment: name(first), line: seq - first + 1, seq, why };
    let unreadable = |seq: u64, error: io::Error| bad(seq, format!("the segment cannot be read: {error}"));
    let file = File::open(path(directory, first)).map_err(|error| unreadable(first, error))?;
    let mut lines = BufReader::with_capacity(256 * 1024, file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(|error| unreadable(seq, error))? > 0 {
        if line.pop() != Some(b'\n') {
            return Err(bad(seq, "the line is not complete, but another segment follows".to_owned()));
        }
        let (stated, json) =
            line.split_at_checked(PREFIX).ok_or_else(|| bad(seq, "the line is too short".to_owned()))?;
        let hash = parse_hash(&stated[..64]).ok_or_else(|| bad(seq, "the line's hash is malformed".to_owned()))?;
        let stamp = stamp(json).map_err(|why| bad(seq, why))?;
        each(json).map_err(|why| bad(seq, why))?;
        latest = latest.max(stamp.at);
        end = Some((hash, stamp.seq));
        seq += 1;
        line.clear();
    }
    let (hash, last) = end.ok_or_else(|| bad(first, "the segment is empty, but another one follows".to_owned()))?;
    Ok(Before { hash, last, at: latest })
}

/// Number and time of an entry, whatever it says.
#[derive(serde::Deserialize)]
pub(super) struct Stamp {
    pub(super) seq: u64,
    pub(super) at: UnixTime,
}

pub(super) fn stamp(json: &[u8]) -> Result<Stamp, String> {
    serde_json::from_slice(json).map_err(|error| format!("the text is not an entry: {error}"))
}
