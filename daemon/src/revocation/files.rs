//! Files of the store that are larger than a value: written whole, or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// The directory in which CRLs lie.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
}

/// A file that is durable under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in octets.
    pub octets: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Files {
    /// The directory; it is made at the first write.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where the file of that name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes `head`, the `length` octets of `body`, and `tail` as the file `name`: write, fsync,
    /// rename, fsync the directory. Blocks.
    pub fn write(
        &self,
        name: &str,
        head: &[u8],
        (body, length): (&mut dyn Read, u64),
        tail: &[u8],
    ) -> io::Result<Written> {
        self.make()?;
        let temporary = self.directory.join(format!("{name}.new"));
        let outcome = fill(&temporary, head, (body, length), tail).and_then(|written| {
            fs::rename(&temporary, self.directory.join(name))?;
            File::open(&self.directory)?.sync_all()?;
            Ok(written)
        });
        if outcome.is_err() {
            // What is there of it takes room, of which there may be too little.
            let _ = fs::remove_file(&temporary);
        }
        outcome
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of the files that are there.
    pub fn names(&self) -> io::Result<Vec<String>> {
        match fs::read_dir(&self.directory) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Ok(()) => self.directory.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn fill(path: &Path, head: &[u8], (body, length): (&mut dyn Read, u64), tail: &[u8]) -> io::Result<Written> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    let mut context = Context::new(&SHA256);
    let mut octets = 0;
    let mut put = |bytes: &[u8]| {
        context.update(bytes);
        octets += bytes.len() as u64;
        out.write_all(bytes)
    };
    put(head)?;
    let mut left = length;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        body.read_exact(&mut buffer[..wanted])?;
        put(&buffer[..wanted])?;
        left -= wanted as u64;
    }
    put(tail)?;
    out.sync_all()?;
    let digest = context.finish();
    Ok(Written { octets, sha256: crate::issuance::hexadecimal(digest.as_ref()) })
}

/// Octets read at a time.
const CHUNK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_under_its_name_and_nothing_is_left_of_one_that_failed() {
        let place = tempfile::tempdir().unwrap();
        let files = Files::new(place.path().join("crl"));
        assert_eq!(files.names().unwrap(), Vec::<String>::new());
        let body = vec![7; 3 * CHUNK];
        let written = files.write("a.crl", b"head", (&mut &body[..], 2 * CHUNK as u64 + 1), b"tail").unwrap();
        let expected = [b"head".as_slice(), &vec![7; 2 * CHUNK + 1], b"tail"].concat();
        assert_eq!(fs::read(files.path("a.crl")).unwrap(), expected);
        assert_eq!(written.octets, expected.len() as u64);
        assert_eq!(written.sha256.len(), 64);

        // More than there is.
        assert!(files.write("b.crl", b"", (&mut &body[..], 4 * CHUNK as u64), b"").is_err());
        assert_eq!(files.names().unwrap(), ["a.crl"]);
        files.remove("a.crl").unwrap();
        files.remove("a.crl").unwrap();
        assert_eq!(files.names().unwrap(), Vec::<String>::new());
    }
}
