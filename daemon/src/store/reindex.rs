//! The indexes of the certificates, built anew where they were written by a version that had fewer:
//! a bounded step at a time, while everything else goes on.

use std::ops::Bound;

use super::tables::{CERTIFICATES, INDEXES, INDEXES_KEY, Indexes, index_certificate};
use super::{Change, CommitError, Store, StoreError};

/// Version of what [`index_certificate`] writes.
const VERSION: u32 = 3;

/// Certificates in one commit.
const STEP: usize = 200;

impl Store {
    /// Whether every index has every certificate. Until then they are found by walking through all.
    pub fn certificates_are_indexed(&self) -> Result<bool, StoreError> {
        let state = self.get(&INDEXES, INDEXES_KEY)?.map(|row| row.value);
        Ok(state == Some(Indexes { version: VERSION, built_to: None }))
    }

    /// Builds the indexes, if they are not there. Takes up where it was interrupted. Returns how many
    /// certificates it went through.
    pub async fn index_certificates(&self) -> Result<u64, CommitError> {
        let mut count = 0;
        while let Some((change, more)) = self.next_step()? {
            self.commit(change).await?;
            count += more;
        }
        Ok(count)
    }

    /// Builds them from the beginning, whatever is there. Blocks.
    pub fn rebuild_indexes(&self) -> Result<u64, StoreError> {
        let commit = |change| match self.commit_blocking(change) {
            Err(CommitError::Store(error)) => Err(error),
            // Nothing here has a precondition.
            Ok(()) | Err(CommitError::Conflict(_)) => Ok(()),
        };
        let mut change = Change::new();
        change.delete(&INDEXES, INDEXES_KEY);
        commit(change)?;
        let mut count = 0;
        while let Some((change, more)) = self.next_step()? {
            commit(change)?;
            count += more;
        }
        Ok(count)
    }

    /// The next step, and how many certificates it indexes; `None` when all is done. Certificates that
    /// are recorded meanwhile are indexed as they are recorded.
    fn next_step(&self) -> Result<Option<(Change, u64)>, StoreError> {
        let built_to = match self.get(&INDEXES, INDEXES_KEY)?.map(|row| row.value) {
            Some(Indexes { version: VERSION, built_to: None }) => return Ok(None),
            Some(Indexes { version: VERSION, built_to }) => built_to,
            Some(_) | None => None,
        };
        let from = built_to.as_ref().map_or(Bound::Unbounded, |serial| Bound::Excluded(&serial.as_bytes()[..]));
        let rows = self.scan(&CERTIFICATES, (from, Bound::Unbounded), STEP, false)?;
        let mut change = Change::new();
        for (_, row) in &rows {
            index_certificate(&mut change, &row.value);
        }
        let built_to = rows.last().map(|(_, row)| row.value.serial);
        change.put(&INDEXES, INDEXES_KEY, &Indexes { version: VERSION, built_to });
        Ok(Some((change, rows.len() as u64)))
    }
}

#[cfg(test)]
mod tests {
    use policy::serial::Serial;

    use super::super::tables::tests::record;
    use super::super::tables::{
        CERTIFICATES_BY_EXPIRY, CERTIFICATES_BY_GROUND, CERTIFICATES_BY_ISSUE, CERTIFICATES_BY_NAME,
        CERTIFICATES_BY_PROFILE, CERTIFICATES_BY_SPKI, CertificateRecord,
    };
    use super::super::{EngineKind, open};
    use super::*;

    #[tokio::test]
    async fn a_store_of_an_older_version_is_indexed_in_steps_that_can_be_interrupted() {
        for kind in [EngineKind::Sqlite, EngineKind::Sled] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::new(open(kind, directory.path()).unwrap());
            let total = 2 * STEP + 7;
            let mut change = Change::new();
            for number in 0..total {
                let mut serial = [1; 20];
                serial[1..9].copy_from_slice(&number.to_be_bytes());
                let record = CertificateRecord { serial: Serial::from_slice(&serial).unwrap(), ..record() };
                change.put(&CERTIFICATES, serial, &record);
            }
            store.commit(change).await.unwrap();
            assert!(!store.certificates_are_indexed().unwrap());
            let (first, count) = store.next_step().unwrap().unwrap();
            store.commit(first).await.unwrap();
            assert!(!store.certificates_are_indexed().unwrap());
            assert_eq!((count, store.index_certificates().await.unwrap()), (STEP as u64, (STEP + 7) as u64));
            assert!(store.certificates_are_indexed().unwrap());
            let all = (Bound::Unbounded, Bound::Unbounded);
            let rows = |table| store.scan(table, all, 10 * total, false).unwrap().len();
            for index in
                [&CERTIFICATES_BY_EXPIRY, &CERTIFICATES_BY_ISSUE, &CERTIFICATES_BY_PROFILE, &CERTIFICATES_BY_SPKI]
            {
                assert_eq!(rows(index), total, "{}", index.tree.0);
            }
            // Two addresses; an actor, a method and a validator.
            assert_eq!((rows(&CERTIFICATES_BY_NAME), rows(&CERTIFICATES_BY_GROUND)), (2 * total, 3 * total));
            assert_eq!(store.index_certificates().await.unwrap(), 0);
        }
    }

    #[test]
    fn an_empty_store_is_indexed_and_a_damaged_index_can_be_rebuilt() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(open(EngineKind::Sqlite, directory.path()).unwrap());
        assert_eq!(store.rebuild_indexes().unwrap(), 0);
        assert!(store.certificates_are_indexed().unwrap());
        let record = record();
        let mut change = Change::new();
        change.put(&CERTIFICATES, record.serial.as_bytes(), &record);
        store.commit_blocking(change).unwrap();
        assert_eq!(store.rebuild_indexes().unwrap(), 1);
        let rows = store.scan(&CERTIFICATES_BY_SPKI, (Bound::Unbounded, Bound::Unbounded), 9, false).unwrap();
        assert_eq!(rows.len(), 1);
    }
}
