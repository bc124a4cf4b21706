//! The PIN: typed without echo, or read from a file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::CtlError;

/// A PIN, wiped when dropped.
pub(super) struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    /// Asks on the terminal.
    pub(super) fn ask() -> Result<Self, CtlError> {
        let no_terminal = |error: &dyn std::fmt::Display| {
            CtlError::Failed(format!("there is no terminal to ask for the PIN on ({error}): write --pin-file FILE"))
        };
        let mut terminal =
            File::options().read(true).write(true).open("/dev/tty").map_err(|error| no_terminal(&error))?;
        let before = tcgetattr(&terminal).map_err(|error| no_terminal(&error))?;
        let mut silent = before.clone();
        // Ctrl-C is an octet to us: as a signal it would end the program and leave the echo off.
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        silent.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        silent.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        terminal.write_all(b"PIN of the CA's token: ").map_err(|error| no_terminal(&error))?;
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent).map_err(|error| no_terminal(&error))?;
        let typed = line(&mut terminal, Source::Terminal);
        let restored = tcsetattr(&terminal, SetArg::TCSAFLUSH, &before);
        let _ = terminal.write_all(b"\n");
        let pin = typed?;
        restored.map_err(|error| no_terminal(&error))?;
        Ok(pin)
    }

    /// Reads the first line of a file.
    pub(super) fn read(path: &Path) -> Result<Self, CtlError> {
        let wrong = |why: &dyn std::fmt::Display| CtlError::Failed(format!("{}: {why}", path.display()));
        let absent = |error: std::io::Error| {
            wrong(&format!("{error}: put the PIN there, or leave --pin-file out to be asked for it"))
        };
        line(&mut File::open(path).map_err(absent)?, Source::File).map_err(|error| wrong(&error))
    }

    /// The octets, for encryption alone.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Where a line comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A file: every octet but the end of the line counts.
    File,
    /// A terminal that leaves it to us to edit and to interrupt.
    Terminal,
}

/// Reads up to the end of the line, an octet at a time into memory that never moves, so that no
/// copy is left behind.
fn line(input: &mut impl Read, source: Source) -> Result<Pin, CtlError> {
    let typed = source == Source::Terminal;
    let mut pin = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut octet = Zeroizing::new([0u8; 1]);
    loop {
        match input.read(&mut octet[..]) {
            Ok(0) => break,
            Ok(_) if octet[0] == b'\n' => break,
            Ok(_) if typed && matches!(octet[0], b'\r' | END) => break,
            Ok(_) if typed && matches!(octet[0], INTERRUPT | QUIT) => {
                return Err(CtlError::Failed("interrupted, so nothing was sent".to_owned()));
            }
            Ok(_) if typed && matches!(octet[0], BACKSPACE | DELETE) => {
                // The octets of one character (RFC 3629).
                while pin.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {}
            }
            Ok(_) if typed && octet[0] == KILL => pin.clear(),
            Ok(_) if pin.len() == LONGEST => {
                return Err(CtlError::Failed(format!("a PIN has at most {LONGEST} octets")));
            }
            Ok(_) => pin.push(octet[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CtlError::Failed(format!("the PIN cannot be read: {error}"))),
        }
    }
    if pin.last() == Some(&b'\r') {
        pin.pop();
    }
    if pin.is_empty() {
        return Err(CtlError::Failed("the PIN is empty, so nothing was sent".to_owned()));
    }
    Ok(Pin(pin))
}

/// What the keys of a terminal send: Ctrl-C, Ctrl-D, Ctrl-H, Ctrl-U, Ctrl-\\, and the key that deletes.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: u8 = 8;
const KILL: u8 = 0x15;
const QUIT: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// Longest PIN; tokens take less (SoftHSM 255).
const LONGEST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut octets: &[u8], source: Source) -> Result<Vec<u8>, String> {
        line(&mut octets, source).map(|pin| pin.expose().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_typed_pin_can_be_corrected_and_given_up() {
        assert_eq!(read(b"12x\x7f34\nrest", Source::Terminal).unwrap(), b"1234");
        assert_eq!(read(b"wrong\x151234\r", Source::Terminal).unwrap(), b"1234");
        assert_eq!(read("1é\x082\n".as_bytes(), Source::Terminal).unwrap(), b"12");
        assert_eq!(read(b"\x7f1\x04", Source::Terminal).unwrap(), b"1");
        assert!(read(b"1234\x03", Source::Terminal).unwrap_err().contains("interrupted"));
        assert!(read(b"\n", Source::Terminal).unwrap_err().contains("empty"));
    }

    #[test]
    fn a_pin_in_a_file_is_its_first_line_as_it_stands() {
        assert_eq!(read(b"12\x034\r\nrest", Source::File).unwrap(), b"12\x034");
        assert!(read(&[b'1'; 256], Source::File).unwrap_err().contains("at most 255"));
    }
}
