//! The CRLs that are served: from memory if they are small, from their files if they are not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use policy::effects::UnixTime;

use super::files::Files;
use super::publish::{PublishError, Publisher};
use super::tables::{CRLS, CrlRecord};
use crate::store::StoreError;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip, RFC 9110 section 8.4.1.3.
    Gzip,
    /// As it is.
    Identity,
}

/// A CRL on its way to a relying party.
#[derive(Debug)]
pub struct Served {
    /// Its number, or what else tells it from others.
    pub tag: String,
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its nextUpdate.
    pub next_update: UnixTime,
    /// How long a cache may keep it without asking, in seconds.
    pub max_age: u64,
    /// How [`Served::contents`] is coded.
    pub coding: Coding,
    /// The CRL, DER.
    pub contents: Contents,
}

/// Where the octets are.
#[derive(Debug)]
pub enum Contents {
    /// In memory.
    Bytes(Bytes),
    /// In a file, so many.
    File(File, u64),
}

/// Small CRLs by the name of their file; a new one pushes the oldest out.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<(String, Bytes)>>);

impl Publisher {
    /// The CRL that is published under `key` (see [`super::list_key`]), if there is one. One read of
    /// the store, and of the file at the first time. Blocks.
    pub fn served(&self, key: &[u8], accepted: Coding) -> Result<Option<Served>, PublishError> {
        let Some(mut record) = self.record(key)? else { return Ok(None) };
        let mut found = self.contents(&record, accepted);
        // A newer one may have been published, and the file removed, since the record was read.
        if found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && let Some(newer) = self.record(key)?
            && newer.number > record.number
        {
            found = self.contents(&newer, accepted);
            record = newer;
        }
        let (coding, contents) = found.map_err(PublishError::File)?;
        let left = record.next_update.0.saturating_sub(self.office.clock.now().0);
        Ok(Some(Served {
            tag: record.number.to_string(),
            this_update: record.this_update,
            next_update: record.next_update,
            // What is revoked is in the next one that soon, and a cache should not hide it for longer.
            max_age: left.min(self.config.after_revocation.as_secs()),
            coding,
            contents,
        }))
    }

    /// What the store says of the CRL under `key`.
    pub fn record(&self, key: &[u8]) -> Result<Option<CrlRecord>, StoreError> {
        Ok(self.office.store.get(&CRLS, key)?.map(|row| row.value))
    }

    fn contents(&self, record: &CrlRecord, accepted: Coding) -> io::Result<(Coding, Contents)> {
        if accepted == Coding::Gzip && record.octets >= SMALLEST {
            let path = self.files.path(&packed(&record.file));
            match File::open(path) {
                Ok(file) => {
                    let length = file.metadata()?.len();
                    return Ok((Coding::Gzip, Contents::File(file, length)));
                }
                // Not yet, or it did not pay.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if record.octets > LARGEST_IN_MEMORY {
            let file = File::open(self.files.path(&record.file))?;
            return Ok((Coding::Identity, Contents::File(file, record.octets)));
        }
        let bytes = self.shelf.get(&record.file, || std::fs::read(self.files.path(&record.file)))?;
        Ok((Coding::Identity, Contents::Bytes(bytes)))
    }
}

impl Shelf {
    fn get(&self, name: &str, read: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Bytes> {
        let found = |shelf: &[(String, Bytes)]| shelf.iter().find(|(other, _)| other == name).map(|(_, it)| it.clone());
        // Whoever panicked while he held it left it whole.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = found(&lock()) {
            return Ok(bytes);
        }
        let bytes = Bytes::from(read()?);
        let mut shelf = lock();
        if shelf.len() >= MOST_IN_MEMORY {
            shelf.remove(0);
        }
        shelf.push((name.to_owned(), bytes.clone()));
        Ok(bytes)
    }
}

/// Writes a compressed copy of a CRL's file beside it, if that pays. Blocks.
pub(super) fn pack(files: &Files, record: &CrlRecord) -> io::Result<()> {
    if record.octets < SMALLEST {
        return Ok(());
    }
    let mut packed_octets = GzEncoder::new(Vec::new(), Compression::fast());
    let mut file = File::open(files.path(&record.file))?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => packed_octets.write_all(&buffer[..read])?,
        }
    }
    let bytes = packed_octets.finish()?;
    if bytes.len() as u64 * 10 > record.octets * 9 {
        return Ok(());
    }
    files.write(&packed(&record.file), &bytes, (&mut io::empty(), 0), &[]).map(drop)
}

/// The name of the compressed copy.
pub(super) fn packed(name: &str) -> String {
    format!("{name}.gz")
}

/// Octets under which compressing saves nothing that counts: it fits a few packets anyway.
const SMALLEST: u64 = 4096;

/// Octets over which a CRL is read from its file each time.
const LARGEST_IN_MEMORY: u64 = 1 << 20;

/// How many small ones are kept.
const MOST_IN_MEMORY: usize = 64;
