//! The PIN of an unsealed signer, in a memfd that systemd keeps for the next process: a crash does
//! not seal the CA. All zeros means sealed.
//!
//! The memfd cannot change its size, but its contents can: sealing overwrites them. It is read and
//! written through wiped buffers, and never mapped.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use zeroize::Zeroizing;

use super::{MAX_PIN, Supervisor};
use crate::pkcs11::Pin;

/// The descriptor's name in the store.
pub(crate) const NAME: &str = "unseal";

/// Bytes of the memfd: one of length, the PIN, zeros.
const SIZE: usize = 512;

const MEMFD: &CStr = c"signet-unseal";

/// The memfd, and whether systemd holds it too.
pub(crate) struct DescriptorStore {
    memfd: File,
    held: AtomicBool,
}

impl DescriptorStore {
    /// Takes the memfd that systemd handed back, or makes one. One that is not ours, or not sealed
    /// against resizing, is dropped from the store.
    pub(crate) fn new(inherited: Option<OwnedFd>, supervisor: &Supervisor) -> io::Result<Self> {
        match inherited.map(File::from) {
            Some(memfd) if is_ours(&memfd) => return Ok(Self { memfd, held: AtomicBool::new(true) }),
            Some(_) => {
                tracing::warn!("the descriptor that systemd kept is not an unseal secret and is dropped");
                supervisor.tell(&format!("FDSTOREREMOVE=1\nFDNAME={NAME}"));
            }
            None => {}
        }
        let memfd = File::from(memfd_create(MEMFD, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        memfd.set_len(SIZE as u64)?;
        fcntl(&memfd, FcntlArg::F_ADD_SEALS(seals()))?;
        Ok(Self { memfd, held: AtomicBool::new(false) })
    }

    /// The PIN, unless the memfd says sealed.
    pub(crate) fn pin(&self) -> io::Result<Option<Pin>> {
        let mut bytes = Zeroizing::new([0; SIZE]);
        self.memfd.read_exact_at(&mut bytes[..], 0)?;
        let (length, rest) = bytes.split_first().expect("the memfd is not empty");
        let pin = rest.get(..usize::from(*length)).filter(|pin| !pin.is_empty());
        Ok(pin.map(|pin| Pin(Zeroizing::new(pin.to_vec()))))
    }

    /// Keeps `pin` for the next process.
    pub(crate) fn keep(&self, pin: &Pin, supervisor: &Supervisor) -> io::Result<()> {
        let length = u8::try_from(pin.0.len()).map_err(|_| io::Error::other("the PIN is too long"))?;
        debug_assert!(usize::from(length) <= MAX_PIN);
        let mut bytes = Zeroizing::new([0; SIZE]);
        bytes[0] = length;
        bytes[1..=pin.0.len()].copy_from_slice(&pin.0);
        self.memfd.write_all_at(&bytes[..], 0)?;
        // The store holds one: a second push would be dropped, and the one that is there is this.
        if !self.held.swap(true, Ordering::Relaxed) {
            supervisor.tell_with(&format!("FDSTORE=1\nFDNAME={NAME}"), self.memfd.as_fd());
        }
        Ok(())
    }

    /// Overwrites the PIN with zeros and takes the memfd out of the store. The caller waits for
    /// [`Supervisor::barrier`] before it exits.
    pub(crate) fn wipe(&self, supervisor: &Supervisor) -> io::Result<()> {
        self.memfd.write_all_at(&[0; SIZE], 0)?;
        if self.held.swap(false, Ordering::Relaxed) {
            supervisor.tell(&format!("FDSTOREREMOVE=1\nFDNAME={NAME}"));
        }
        Ok(())
    }
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

fn is_ours(file: &File) -> bool {
    let flags = fcntl(file, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_retain);
    let sealed = flags.contains(seals()) && !flags.contains(SealFlag::F_SEAL_WRITE);
    sealed && file.metadata().is_ok_and(|metadata| metadata.len() == SIZE as u64)
}
