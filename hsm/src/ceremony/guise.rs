//! Root in the guise of another account.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgroups, initgroups, setegid, seteuid, setgroups};

use super::CeremonyError;

/// While it lives, this process has the rights of the account that owns a directory, and no more:
/// what that account has put there, links above all, leads root nowhere. Nothing happens unless the
/// process is root's and the directory somebody else's.
pub struct Guise {
    before: Option<(Gid, Vec<Gid>)>,
}

impl Guise {
    /// Becomes the owner of `directory`, or of the link that leads to it. Only for a process without
    /// threads that do something else.
    pub fn of(directory: &Path) -> Result<Self, CeremonyError> {
        let refused = |why: &dyn std::fmt::Display| CeremonyError::Refused(format!("{}: {why}", directory.display()));
        let link = directory.symlink_metadata().map_err(|error| refused(&error))?;
        let target = directory.metadata().map_err(|error| refused(&error))?;
        let stranger = [link, target].into_iter().find(|meta| meta.uid() != 0);
        let Some(owner) = stranger.filter(|_| geteuid().is_root()) else { return Ok(Self { before: None }) };
        let become_owner = || {
            let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
            let before = (getegid(), getgroups()?);
            // From here on an error leads back, too.
            let guise = Self { before: Some(before) };
            match User::from_uid(uid)?.and_then(|user| CString::new(user.name).ok()) {
                Some(name) => initgroups(&name, gid)?,
                None => setgroups(&[gid])?,
            }
            setegid(gid)?;
            seteuid(uid)?;
            Ok::<_, Errno>(guise)
        };
        become_owner().map_err(|errno| refused(&format!("its owner cannot be become: {errno}")))
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        let Some((gid, groups)) = &self.before else { return };
        // The user first, who may do the rest. Whoever stays behind can only do less than root.
        let _ = seteuid(Uid::from_raw(0)).and_then(|()| setegid(*gid)).and_then(|()| setgroups(groups));
    }
}
