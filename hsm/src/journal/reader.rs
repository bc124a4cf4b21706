//! Reading durable entries while the writer goes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::effects::UnixTime;

use super::segment;

/// What the writer has made durable, for everybody to see.
pub(super) struct Published {
    pub(super) directory: PathBuf,
    state: Mutex<State>,
    hint: Mutex<Hint>,
}

/// The durable part of the journal.
#[derive(Clone)]
pub(super) struct State {
    /// First entries of the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// Sequence number of the last durable entry.
    pub(super) last: u64,
    /// See [`super::Writer::at`].
    pub(super) at: UnixTime,
    /// Why the journal cannot be written, if it cannot.
    pub(super) fault: Option<String>,
}

/// Where the last answer ended: a reader that catches up finds its place without a search.
struct Hint {
    seq: u64,
    segment: u64,
    offset: u64,
}

/// Entries after some point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Lines as they stand in the file, without newlines, in order.
    pub lines: Vec<String>,
    /// Sequence number of the journal's last durable entry.
    pub last: u64,
}

impl Published {
    pub(super) fn new(directory: PathBuf, state: State) -> Self {
        Self { directory, state: Mutex::new(state), hint: Mutex::new(Hint { seq: 0, segment: 0, offset: 0 }) }
    }

    /// The state, to look at or to change. Nobody panics while holding it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Durable entries after `after`, as many as fit `budget` bytes, at least one if there is any.
    ///
    /// The segment is found by its name and the line by counting newlines, unless the answer before
    /// ended there.
    pub(super) fn after(&self, after: u64, budget: usize) -> io::Result<Tail> {
        /// Largest length prefix of a line in a frame.
        const OVERHEAD: usize = 5;
        let (segments, last) = {
            let state = self.state();
            if after >= state.last {
                return Ok(Tail { lines: Vec::new(), last: state.last });
            }
            (state.segments.clone(), state.last)
        };
        let mut lines = Vec::new();
        let (mut seq, mut left) = (after + 1, budget);
        while seq <= last {
            let at = segments.partition_point(|first| *first <= seq);
            let Some(&segment) = at.checked_sub(1).and_then(|at| segments.get(at)) else {
                return Err(io::Error::other(format!("the segment with entry {seq} is missing")));
            };
            let end = segments.get(at).map_or(last, |next| next - 1);
            let (mut file, mut offset) = self.seek(segment, seq)?;
            while seq <= end {
                let mut line = String::new();
                let read = file.read_line(&mut line)?;
                if line.pop() != Some('\n') {
                    return Err(io::Error::other(format!("{} ends before entry {seq}", segment::name(segment))));
                }
                if line.len() + OVERHEAD > left && !lines.is_empty() {
                    self.remember(Hint { seq, segment, offset });
                    return Ok(Tail { lines, last });
                }
                left = left.saturating_sub(line.len() + OVERHEAD);
                lines.push(line);
                offset += read as u64;
                seq += 1;
            }
            self.remember(Hint { seq, segment, offset });
        }
        Ok(Tail { lines, last })
    }

    /// The segment, positioned at the line of `seq`, and that position.
    fn seek(&self, segment: u64, seq: u64) -> io::Result<(BufReader<File>, u64)> {
        let mut file = BufReader::with_capacity(64 * 1024, File::open(segment::path(&self.directory, segment))?);
        let mut offset = 0;
        {
            let hint = self.hint.lock().unwrap_or_else(PoisonError::into_inner);
            if hint.segment == segment && hint.seq == seq {
                offset = hint.offset;
            }
        }
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        } else {
            for _ in segment..seq {
                offset += file.skip_until(b'\n')? as u64;
            }
        }
        Ok((file, offset))
    }

    fn remember(&self, hint: Hint) {
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = hint;
    }
}
