//! Confinement from inside: what a program gives up once its sockets and files are open.
//!
//! The order is fixed. [`process`] drops capabilities (the bounding set first: clearing it needs
//! CAP_SETPCAP) and the user, then sets no_new_privs, not dumpable and no core file, then
//! Landlock. The module is loaded and threads are started after that, because Landlock and
//! capabilities belong to a thread and are inherited. [`seccomp`] comes last, on all threads.

use std::ffi::CString;
use std::path::PathBuf;

use caps::CapSet;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setresgid, setresuid};

pub mod fd;
mod filter;
mod landlock;
mod measure;
mod memory;
#[cfg(test)]
mod probes;
pub mod sync_file_range;
#[cfg(test)]
mod tests;

pub use filter::{Calls, Program, compiles, seccomp};
pub use measure::{Measure, Waiver};

/// What a program keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// User to become, if the program was started as root.
    pub user: Option<String>,
    /// Files and directories that stay readable; those that do not exist are left out.
    pub read: Vec<PathBuf>,
    /// Files and directories that stay writable; those that do not exist are left out.
    pub write: Vec<PathBuf>,
    /// Whether it may use TCP.
    pub network: Network,
    /// Whether it holds secrets that must not reach a swap device.
    pub secrets: Secrets,
    /// What this host need not give.
    pub waived: Vec<Waiver>,
}

/// Whether a program's memory holds secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// It is kept off swap devices.
    Held,
    /// It may be swapped out.
    None,
}

/// Whether TCP is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It may bind and connect.
    Allowed,
    /// It may do neither.
    Refused,
}

/// A restriction cannot be put in force; the program must not go on.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Capabilities cannot be dropped.
    #[error("capabilities cannot be dropped: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// The seccomp list cannot be compiled or installed.
    #[error("the system call filter cannot be installed: {0}")]
    Filter(String),
    /// This host lacks a measure that the configuration does not waive.
    #[error("{why}; to start all the same, write `without = [\"{name}\"]` in [hardening] of the configuration")]
    Lacking {
        /// The measure.
        name: String,
        /// What is missing and what to do.
        why: String,
    },
    /// Landlock is there but refuses the rules.
    #[error("Landlock refuses the rules: {0}")]
    Landlock(#[from] ::landlock::RulesetError),
    /// A system call failed.
    #[error("{call} failed: {errno}")]
    System {
        /// Which.
        call: &'static str,
        /// The system's word.
        errno: nix::errno::Errno,
    },
    /// Threads exist already, and would stay unconfined.
    #[error("the program cannot be confined: it has {0} threads already, which would stay free")]
    Threads(usize),
    /// The user to become does not exist, or cannot be become.
    #[error("the program cannot become the user {name}: {why}")]
    User {
        /// The user.
        name: String,
        /// Why not, and what to do.
        why: &'static str,
    },
}

/// Gives up what `rules` do not keep. Call it once, before the first thread is started. Returns what
/// is in force, and what this host cannot give though it may be done without.
pub fn process(rules: &Rules) -> Result<Vec<Measure>, ConfineError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(ConfineError::Threads(threads));
    }
    let memory = match rules.secrets {
        Secrets::Held => Some(memory::lock()),
        Secrets::None => None,
    };

    drop_bounding_set()?;
    if let Some(name) = &rules.user {
        become_user(name)?;
    }
    // Changing from root to another user has cleared these; a root that stays, or a unit that
    // grants ambient capabilities, has them still.
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        if !caps::read(None, set)?.is_empty() {
            caps::clear(None, set)?;
        }
    }

    nix::sys::prctl::set_no_new_privs().map_err(system("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    nix::sys::prctl::set_dumpable(false).map_err(system("prctl(PR_SET_DUMPABLE)"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(system("setrlimit(RLIMIT_CORE)"))?;

    let mut measures = measure::given_up()?;
    measures.extend(memory);
    measures.push(landlock::restrict(rules)?);
    measure::demand(&measures, &rules.waived)?;
    Ok(measures)
}

/// Without CAP_SETPCAP the set stays as it is, which changes nothing: no_new_privs follows, and
/// under it no exec can gain a capability from the bounding set.
fn drop_bounding_set() -> Result<(), ConfineError> {
    if !caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::read(None, CapSet::Bounding)? {
        caps::drop(None, CapSet::Bounding, capability)?;
    }
    Ok(())
}

fn become_user(name: &str) -> Result<(), ConfineError> {
    let refused = |why| ConfineError::User { name: name.to_owned(), why };
    let user = User::from_name(name)
        .map_err(system("getpwnam"))?
        .ok_or_else(|| refused("there is no such user on this host; create it, or write another one"))?;
    if geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(refused("only root can; start the program as root, or as that user"));
    }
    let c_name = CString::new(name).map_err(|_| refused("its name holds a NUL character"))?;
    initgroups(&c_name, user.gid).map_err(system("initgroups"))?;
    setresgid(user.gid, user.gid, user.gid).map_err(system("setresgid"))?;
    setresuid(user.uid, user.uid, user.uid).map_err(system("setresuid"))?;
    // A kernel or container that pretends is found out here.
    if setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok()
        || setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).is_ok()
    {
        return Err(refused("root can be had back afterwards; this host does not separate users"));
    }
    Ok(())
}

fn system(call: &'static str) -> impl FnOnce(nix::errno::Errno) -> ConfineError {
    move |errno| ConfineError::System { call, errno }
}
