//! A filter with one rule: the kernel says that it has no `sync_file_range`.
//!
//! sled 0.34 calls it where it should call fsync. It waits for the pages but neither for the
//! file's metadata nor for the disk's cache, so what was acknowledged is lost when the power is.
//! Where the call does not exist, sled falls back to a true fsync.

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

/// Makes `sync_file_range` fail with ENOSYS in all threads, now and for good, and proves it by a
/// call. Fails if it cannot; then nothing that relies on it may start. Sets no_new_privs.
pub fn refuse_sync_file_range() -> io::Result<()> {
    if is_refused() {
        return Ok(());
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let rules = BTreeMap::from([(libc::SYS_sync_file_range, Vec::new())]);
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), architecture)
            .and_then(BpfProgram::try_from)
            .map_err(io::Error::other)?;
    apply_filter_all_threads(&program).map_err(io::Error::other)?;
    if is_refused() { Ok(()) } else { Err(io::Error::other("the kernel goes on to answer sync_file_range")) }
}

/// Asks by a call on no file: the answer is ENOSYS, or else EBADF.
fn is_refused() -> bool {
    #[allow(unsafe_code, reason = "no safe wrapper of this call is known")]
    // SAFETY: it takes four integers; of a descriptor that is not open, the kernel touches nothing.
    let result = unsafe { libc::sync_file_range(-1, 0, 0, 0) };
    Errno::result(result) == Err(Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_call_is_refused_in_threads_that_run_already() {
        let (ask, asked) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            asked.recv().unwrap();
            is_refused()
        });
        refuse_sync_file_range().unwrap();
        ask.send(()).unwrap();
        assert!(thread.join().unwrap());
        assert!(is_refused());
        refuse_sync_file_range().unwrap();
    }
}
