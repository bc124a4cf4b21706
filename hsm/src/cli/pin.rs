//! PINs: from a file that only its owner can read, or from the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::ceremony;

/// Whether a typed PIN is asked for twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirm {
    No,
    Yes,
}

/// The PIN in `file`, or typed.
pub(super) fn get(
    file: Option<&Path>,
    what: &str,
    confirm: Confirm,
) -> Result<Zeroizing<Vec<u8>>, Box<dyn std::error::Error>> {
    if let Some(file) = file {
        return Ok(ceremony::read_secret(file)?);
    }
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Err(format!("there is no terminal to ask for the {what}: name a file that holds it").into());
    };
    let pin = ask(&mut terminal, what)?;
    if confirm == Confirm::Yes && *ask(&mut terminal, &format!("{what}, again"))? != *pin {
        return Err(format!("the two do not agree, so nothing was changed: type the {what} again").into());
    }
    Ok(pin)
}

fn ask(terminal: &mut File, what: &str) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // First of all: what is typed as soon as the question is seen is neither shown nor lost.
    let silence = Silence::begin(terminal)?;
    write!(terminal, "{what}: ")?;
    let pin = line(terminal);
    drop(silence);
    writeln!(terminal)?;
    pin
}

/// Reads octet by octet, so that no buffer that is not wiped holds the PIN.
fn line(terminal: &mut File) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut pin = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut octet = Zeroizing::new([0u8; 1]);
    while terminal.read(octet.as_mut_slice())? == 1 && octet[0] != b'\n' {
        if pin.len() == MAX_LINE {
            return Err(std::io::Error::other("the PIN is too long, so nothing was changed"));
        }
        pin.push(octet[0]);
    }
    Ok(pin)
}

/// The terminal without echo, until it is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn begin(terminal: &File) -> std::io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(terminal.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal.as_fd(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nobody to tell when the terminal is gone.
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSAFLUSH, &self.before);
    }
}

/// A line in canonical mode is not longer, so the vector never moves.
const MAX_LINE: usize = 4096;
