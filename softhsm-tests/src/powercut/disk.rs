//! A disk whose power can be cut: ext4 with a journal on a loop device over a file in memory.
//!
//! What a program wrote and did not sync is in the page cache above the loop device; what it synced
//! is in the file below. A copy of that file is what a disk holds after the power went. It needs
//! root and loop devices.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use tempfile::TempDir;

/// How often a copy is begun anew because the file system's own threads wrote meanwhile.
const ATTEMPTS: u32 = 50;

/// A mounted file system with a power cord.
pub struct Disk {
    mounted: Mount,
    image: PathBuf,
    copies: AtomicU32,
    memory: Arc<Memory>,
}

impl Disk {
    /// A fresh disk of that many MiB; memory is used only for what is written.
    pub fn create(mebibytes: u64) -> io::Result<Self> {
        let memory = Arc::new(Memory::create()?);
        let image = memory.path().join("image");
        File::create_new(&image)?.set_len(mebibytes << 20)?;
        // Without the lazy part the kernel writes nothing that no program asked for.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&image))?;
        let mounted = Mount::image(&image, memory.path().join("disk"))?;
        Ok(Self { mounted, image, copies: AtomicU32::new(0), memory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted.0
    }

    /// What would be on the disk if the power went now, mounted like after the next start. The
    /// programs that write must be stopped.
    pub fn snapshot(&self) -> io::Result<MountedCopy> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let copy = Copy(self.memory.path().join(format!("copy-{number}.image")));
        let source = File::open(&self.image)?;
        for _ in 0..ATTEMPTS {
            let target = File::options().create(true).truncate(true).read(true).write(true).open(&copy.0)?;
            target.set_len(source.metadata()?.len())?;
            for_each_block(&source, |at, block| target.write_all_at(block, at).map(|()| Goes::On))?;
            if equal(&source, &target)? {
                let mounted = Mount::image(&copy.0, self.memory.path().join(format!("copy-{number}")))?;
                return Ok(MountedCopy { mounted, _copy: copy, _memory: Arc::clone(&self.memory) });
            }
        }
        Err(io::Error::other("the disk is written to all the time: stop the programs that write"))
    }
}

/// The disk after a power cut. Changing it changes nothing on the disk it was copied from.
pub struct MountedCopy {
    mounted: Mount,
    _copy: Copy,
    _memory: Arc<Memory>,
}

impl MountedCopy {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted.0
    }
}

/// A file system in memory, and a directory to mount it on.
struct Memory {
    // Dropped in this order: unmounted, then removed.
    mounted: Mount,
    _directory: TempDir,
}

impl Memory {
    fn create() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().to_owned();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0700,size=90%", "powercut"]).arg(&path))?;
        Ok(Self { mounted: Mount(path), _directory: directory })
    }

    fn path(&self) -> &Path {
        &self.mounted.0
    }
}

/// A mount point, unmounted when dropped; its loop device is let go with it.
struct Mount(PathBuf);

impl Mount {
    fn image(image: &Path, at: PathBuf) -> io::Result<Self> {
        fs::create_dir(&at)?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop,noatime"]).args([image, &at]))?;
        Ok(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.0)) {
            eprintln!("{error}; detaching it");
            // Somebody still has a file open: it disappears with that.
            if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.0)) {
                eprintln!("{error}");
            }
        }
    }
}

/// The file of a copy, removed when dropped: memory is what is scarce here.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // It goes with the file system it is on anyway.
        let _ = fs::remove_file(&self.0);
    }
}

enum Goes {
    On,
    NoFurther,
}

/// Reads what is not a hole of a file, block by block.
fn for_each_block(file: &File, mut visit: impl FnMut(u64, &[u8]) -> io::Result<Goes>) -> io::Result<()> {
    let mut block = vec![0; 1 << 20];
    let mut end = 0;
    loop {
        let mut at = match lseek(file, end, Whence::SeekData) {
            Ok(at) => at,
            Err(Errno::ENXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        end = lseek(file, at, Whence::SeekHole)?;
        while at < end {
            let length = usize::try_from(end - at).map_or(block.len(), |left| left.min(block.len()));
            let (place, part) = (at as u64, &mut block[..length]);
            file.read_exact_at(part, place)?;
            if let Goes::NoFurther = visit(place, part)? {
                return Ok(());
            }
            at += length as i64;
        }
    }
}

/// Whether the copy is what the source is now: then it is what the source was between the two.
fn equal(source: &File, copy: &File) -> io::Result<bool> {
    let mut other = vec![0; 1 << 20];
    let mut equal = true;
    for_each_block(source, |at, block| {
        let other = &mut other[..block.len()];
        copy.read_exact_at(other, at)?;
        equal = block == other;
        Ok(if equal { Goes::On } else { Goes::NoFurther })
    })?;
    Ok(equal)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output().map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
