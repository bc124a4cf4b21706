//! What is too large for a frame: a memfd that its writer has sealed, so that its reader can check
//! it and then sign it without holding it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// An anonymous file in memory that is being written.
pub struct Paper(File);

/// The same, sealed against every change.
#[derive(Debug)]
pub struct SealedPaper(File);

impl Paper {
    /// An empty one. Write to it through a [`std::io::BufWriter`].
    pub fn new() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(Self(File::from(memfd_create(c"signet-paper", flags)?)))
    }

    /// Seals it.
    pub fn seal(self) -> io::Result<SealedPaper> {
        fcntl(&self.0, FcntlArg::F_ADD_SEALS(seals()))?;
        Ok(SealedPaper(self.0))
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Paper {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl SealedPaper {
    /// Takes a descriptor from the other side. Refused unless it is a memfd that nobody can write,
    /// cut or lengthen any more.
    pub fn from_peer(descriptor: OwnedFd) -> Option<Self> {
        let flags = fcntl(&descriptor, FcntlArg::F_GET_SEALS).ok()?;
        let sealed = SealFlag::from_bits_retain(flags).contains(seals());
        sealed.then(|| Self(descriptor.into()))
    }

    /// `length` octets from `start` on; an end before that is an error of whoever reads.
    pub fn section(&self, start: u64, length: u64) -> BufReader<impl Read + '_> {
        BufReader::with_capacity(64 * 1024, Section { file: &self.0, at: start, left: length })
    }

    /// Another handle on the same paper.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl AsFd for SealedPaper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A part of a file, read without moving its position, which the other side shares.
struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.file.read_at(&mut out[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_paper_reads_back_and_takes_no_change() {
        let mut paper = Paper::new().unwrap();
        paper.write_all(b"....text").unwrap();
        let paper = paper.seal().unwrap();
        let mut text = String::new();
        paper.section(4, 4).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(paper.0.write_at(b"x", 0).is_err());
        assert!(paper.0.set_len(0).is_err());
        assert!(paper.0.set_len(99).is_err());
        let mut nothing = Vec::new();
        paper.section(100, 4).read_to_end(&mut nothing).unwrap();
        paper.section(u64::MAX, 4).read_to_end(&mut nothing).unwrap_err();
        assert!(nothing.is_empty());
    }

    #[test]
    fn what_is_not_sealed_is_not_taken() {
        let open = Paper::new().unwrap();
        assert!(SealedPaper::from_peer(open.0.into()).is_none());
        let half = Paper::new().unwrap();
        fcntl(&half.0, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)).unwrap();
        assert!(SealedPaper::from_peer(half.0.into()).is_none());
        let file = tempfile::tempfile().unwrap();
        assert!(SealedPaper::from_peer(file.into()).is_none());
        let (reader, _writer) = io::pipe().unwrap();
        assert!(SealedPaper::from_peer(reader.into()).is_none());
        assert!(SealedPaper::from_peer(Paper::new().unwrap().seal().unwrap().0.into()).is_some());
    }
}
