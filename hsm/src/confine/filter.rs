//! Seccomp: lists of system calls as data, one file per program.
//!
//! A file holds seccompiler's JSON, with one addition: a rule may say `"arch": "x86_64"`, and is
//! left out elsewhere (newer architectures never had the old calls). The filters are installed in
//! this order: `absent`, whose calls fail with ENOSYS, so that the C library takes another one;
//! `refuse`, whose calls fail with EPERM; `allow`, which ends the process for a call that neither it
//! nor the others name.

use seccompiler::{BpfProgram, TargetArch, apply_filter_all_threads, compile_from_json};
use serde_json::{Value, json};

use super::{ConfineError, Measure, Network, Waiver};

/// Whose list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `signet-signer`
    Signer,
    /// `signetd`
    Signetd,
}

/// How a list differs from the one that is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Calls that are allowed besides, by name: what a PKCS#11 module needs.
    pub more: Vec<String>,
    /// Whether the signer's module may make sockets and connect them, for a token behind a network.
    pub sockets: Network,
    /// With [`Waiver::Seccomp`] a call outside the list is logged by the kernel (audit type 1326) and
    /// done all the same.
    pub waived: Vec<Waiver>,
}

/// Installs the lists of `program` on all threads of this process.
pub fn seccomp(program: Program, calls: &Calls) -> Result<Measure, ConfineError> {
    let lists = Lists::of(program, calls, std::env::consts::ARCH)?;
    for filter in lists.compile()? {
        apply_filter_all_threads(&filter).map_err(|error| ConfineError::Filter(error.to_string()))?;
    }
    let (rules, logs) = (lists.rules("allow").len(), calls.waived.contains(&Waiver::Seccomp));
    Ok(match logs {
        false => Measure::new("seccomp", true, format!("{rules} rules; any other system call ends the process")),
        true => Measure::new("seccomp", false, format!("{rules} rules; any other system call is logged, and done")),
    })
}

/// Whether the list can be installed on this architecture: that every call in `calls` is known.
pub fn compiles(program: Program, calls: &Calls) -> Result<(), ConfineError> {
    Lists::of(program, calls, std::env::consts::ARCH)?.compile().map(drop)
}

/// The filters of a data file, for one architecture.
pub(super) struct Lists {
    arch: String,
    pub(super) file: Value,
}

impl Lists {
    pub(super) fn of(program: Program, calls: &Calls, arch: &str) -> Result<Self, ConfineError> {
        let mut file: Value =
            serde_json::from_str(program.text()).map_err(|error| ConfineError::Filter(error.to_string()))?;
        for filter in file.as_object_mut().into_iter().flat_map(|filters| filters.values_mut()) {
            rules_of(filter).retain_mut(|rule| match rule.as_object_mut().and_then(|rule| rule.remove("arch")) {
                Some(only) => only == arch,
                None => true,
            });
        }
        if calls.sockets == Network::Allowed && program == Program::Signer {
            rules_of(&mut file["refuse"]).clear();
            rules_of(&mut file["allow"]).extend(SOCKETS.map(|call| json!({"syscall": call})));
        }
        // What an earlier filter answers must not end the process in the last one.
        let answered = ["absent", "refuse"].into_iter().flat_map(|name| rules_of(&mut file[name]).clone());
        let answered: Vec<Value> = answered.collect();
        let allow = rules_of(&mut file["allow"]);
        allow.extend(answered);
        for call in &calls.more {
            // Whatever the list demands of its arguments.
            allow.retain(|rule| rule["syscall"] != call.as_str());
            allow.push(json!({"syscall": call}));
        }
        if calls.waived.contains(&Waiver::Seccomp) {
            file["allow"]["mismatch_action"] = json!("log");
        }
        Ok(Self { arch: arch.to_owned(), file })
    }

    /// The programs in the order of their installation.
    pub(super) fn compile(&self) -> Result<Vec<BpfProgram>, ConfineError> {
        let fault = |why: String| ConfineError::Filter(why);
        let target = TargetArch::try_from(self.arch.as_str()).map_err(|error| fault(error.to_string()))?;
        let mut file = self.file.clone();
        // A filter without rules would be refused.
        file.as_object_mut().into_iter().for_each(|filters| filters.retain(|_, filter| !rules_of(filter).is_empty()));
        let mut compiled =
            compile_from_json(file.to_string().as_bytes(), target).map_err(|error| fault(error.to_string()))?;
        Ok(ORDER.iter().filter_map(|name| compiled.remove(*name)).collect())
    }

    pub(super) fn rules(&self, filter: &str) -> &[Value] {
        self.file[filter]["filter"].as_array().map_or(&[], Vec::as_slice)
    }
}

fn rules_of(filter: &mut Value) -> &mut Vec<Value> {
    let rules = &mut filter["filter"];
    if !rules.is_array() {
        *rules = json!([]);
    }
    rules.as_array_mut().expect("it was made one")
}

impl Program {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Signer => include_str!("signer.json"),
            Self::Signetd => include_str!("signetd.json"),
        }
    }
}

/// What a module needs for a token behind a network, beside what it has to read and write with.
const SOCKETS: [&str; 4] = ["bind", "connect", "getpeername", "socket"];

/// A filter of another name would be forgotten; a test reads the files for that.
pub(super) const ORDER: [&str; 3] = ["absent", "refuse", "allow"];
