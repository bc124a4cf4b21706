//! Output: aligned columns for people, JSON for programs.

use std::io::{ErrorKind, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{CtlError, Session};

impl Session {
    /// Shows `value`: as JSON if that was asked for, or as `text` says.
    pub(super) fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), CtlError> {
        match self.json {
            true => json(value),
            false => write(&text(value)),
        }
    }

    /// Says what was done.
    pub(super) fn say(&self, done: &str) -> Result<(), CtlError> {
        self.show(&serde_json::json!({ "done": done }), |_| format!("{done}\n"))
    }
}

/// Writes JSON, indented.
pub(super) fn json<T: Serialize>(value: &T) -> Result<(), CtlError> {
    let text = serde_json::to_string_pretty(value);
    write(&(text.map_err(|error| unwritten(&error))? + "\n"))
}

/// Writes to standard output.
pub(super) fn write(text: &str) -> Result<(), CtlError> {
    write_bytes(text.as_bytes())
}

/// Writes to standard output what need not be text.
pub(super) fn write_bytes(bytes: &[u8]) -> Result<(), CtlError> {
    write_to(&mut std::io::stdout(), bytes)
}

/// A reader that has seen enough (`| head`) is no failure.
fn write_to(out: &mut impl Write, bytes: &[u8]) -> Result<(), CtlError> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(&error)),
        _ => Ok(()),
    }
}

fn unwritten(why: &dyn std::fmt::Display) -> CtlError {
    CtlError::Failed(format!("the answer cannot be written: {why}"))
}

/// Rows under a head, each column as wide as its widest cell. What the cells hold came from
/// elsewhere, so control characters are shown, not sent to the terminal.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut lines: Vec<[String; N]> = vec![head.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    lines.into_iter().fold(String::new(), |mut text, line| {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
        text
    })
}

/// Field names and values, one pair a line.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{name:width$}  {}\n", printable(value))).collect()
}

pub(super) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A time as RFC 3339 in UTC.
pub(super) fn time(seconds: u64) -> String {
    // The last year that the format knows; a foreign number must not end the program.
    let seconds = seconds.min(253_402_300_799);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard output that fails.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure_and_a_full_disk_is_a_sentence() {
        assert!(write_to(&mut Failing(ErrorKind::BrokenPipe), b"x").is_ok());
        let error = write_to(&mut Failing(ErrorKind::StorageFull), b"x").unwrap_err();
        assert!(error.to_string().starts_with("the answer cannot be written"), "{error}");
    }
}
