//! The PIN: typed without echo, or read from a file.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
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
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON);
        terminal.write_all(b"PIN of the CA's token: ").map_err(|error| no_terminal(&error))?;
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent).map_err(|error| no_terminal(&error))?;
        let typed = line(&mut terminal);
        let restored = tcsetattr(&terminal, SetArg::TCSAFLUSH, &before);
        let pin = typed?;
        restored.map_err(|error| no_terminal(&error))?;
        Ok(pin)
    }

    /// Reads the first line of a file.
    pub(super) fn read(path: &Path) -> Result<Self, CtlError> {
        let wrong = |why: &dyn std::fmt::Display| CtlError::Failed(format!("{}: {why}", path.display()));
        line(&mut File::open(path).map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))
    }

    /// The octets, for encryption alone.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Reads up to the end of the line, an octet at a time into memory that never moves, so that no
/// copy is left behind.
fn line(input: &mut File) -> Result<Pin, CtlError> {
    let mut pin = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut octet = Zeroizing::new([0u8; 1]);
    loop {
        match input.read(&mut octet[..]) {
            Ok(0) => break,
            Ok(_) if octet[0] == b'\n' => break,
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

/// Longest PIN; tokens take less (SoftHSM 255).
const LONGEST: usize = 255;
