//! What a process has given up, as the kernel says it, and what a host may be unable to give.

use caps::CapSet;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::ConfineError;

/// One restriction, and whether it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is called: the name to waive it by, for those that can be waived.
    pub name: String,
    /// Whether the kernel holds the process to it.
    pub in_force: bool,
    /// What holds, or what is missing and what to do: a sentence.
    pub detail: String,
}

/// A measure without which a program starts all the same, if its configuration says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiver {
    /// Files, ports and signals are fenced.
    Landlock,
    /// Secrets cannot reach a swap device.
    Memory,
    /// System calls outside the list end the process.
    Seccomp,
    /// The program does not run as root.
    User,
}

impl Waiver {
    /// Its name in configuration files, and of its measure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Memory => "memory",
            Self::Seccomp => "seccomp",
            Self::User => "user",
        }
    }
}

impl Measure {
    pub(super) fn new(name: &str, in_force: bool, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), in_force, detail: detail.into() }
    }

    /// The sentence that `status` and the log show, if it is not in force.
    pub fn lack(&self) -> Option<&str> {
        (!self.in_force).then_some(self.detail.as_str())
    }
}

/// Refuses the first measure that is not in force and not waived.
pub(super) fn demand(measures: &[Measure], waived: &[Waiver]) -> Result<(), ConfineError> {
    let missing = |measure: &&Measure| !measure.in_force && !waived.iter().any(|waiver| waiver.name() == measure.name);
    match measures.iter().find(missing) {
        None => Ok(()),
        Some(Measure { name, detail, .. }) => Err(ConfineError::Lacking { name: name.clone(), why: detail.clone() }),
    }
}

/// What was given up before Landlock, read back from the kernel.
pub(super) fn given_up() -> Result<Vec<Measure>, ConfineError> {
    let uid = geteuid();
    let user = match uid.is_root() {
        true => {
            "the program runs as root: write `user` in its configuration, or let systemd change it (User=)".to_owned()
        }
        false => format!("it runs as uid {uid}"),
    };
    let mut held = Vec::new();
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        held.extend(caps::read(None, set)?);
    }
    let capabilities = match held.first() {
        None => "it holds none, and can gain none".to_owned(),
        Some(one) => format!("it holds {one} still"),
    };
    let no_new_privs = nix::sys::prctl::get_no_new_privs().unwrap_or(false);
    let dumpable = nix::sys::prctl::get_dumpable().unwrap_or(true);
    let core = getrlimit(Resource::RLIMIT_CORE).map_or(u64::MAX, |(_, hard)| hard);
    Ok(vec![
        Measure::new("user", !uid.is_root(), user),
        Measure::new("capabilities", held.is_empty(), capabilities),
        Measure::new("no_new_privs", no_new_privs, "no program that it starts could gain privileges"),
        Measure::new("dumpable", !dumpable, "others of its user cannot trace it or read its memory"),
        Measure::new("core", core == 0, "its memory is not written to a file when it crashes"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_lacks_is_refused_unless_it_is_waived() {
        let measures = [Measure::new("core", true, ""), Measure::new("landlock", false, "this kernel has no Landlock")];
        assert!(demand(&measures, &[Waiver::Landlock]).is_ok());
        let error = demand(&measures, &[Waiver::Memory]).unwrap_err().to_string();
        assert_eq!(
            error,
            "this kernel has no Landlock; to start all the same, write `without = [\"landlock\"]` in [hardening] of the configuration"
        );
    }
}
