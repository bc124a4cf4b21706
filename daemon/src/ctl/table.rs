//! Output: aligned columns for people, JSON for programs.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{CtlError, Session};

impl Session {
    /// Shows `value`: as JSON if that was asked for, or as `text` says.
    pub(super) fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), CtlError> {
        match self.json {
            true => json(value),
            false => {
                print!("{}", text(value));
                Ok(())
            }
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
    println!("{}", text.map_err(|error| CtlError::Failed(format!("the answer cannot be written: {error}")))?);
    Ok(())
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

fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A time as RFC 3339 in UTC.
pub(super) fn time(seconds: u64) -> String {
    // The last year that the format knows; a foreign number must not end the program.
    let seconds = seconds.min(253_402_300_799);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
