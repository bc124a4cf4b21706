//! Seccomp: lists of system calls as data, one file per program.
//!
//! A file holds seccompiler's JSON, with one addition: a rule may say `"arch": "x86_64"`, and is
//! left out elsewhere (newer architectures never had the old calls). `refuse` is installed first:
//! its calls fail with EPERM, whatever comes after. `allow` is second: what it does not name is
//! logged by the kernel (audit type 1326) and done all the same.

use seccompiler::{BpfProgram, TargetArch, apply_filter_all_threads, compile_from_json};
use serde_json::Value;

use super::ConfineError;

/// Whose list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `signet-signer`
    Signer,
    /// `signetd`
    Signetd,
}

/// Installs the lists of `program` on all threads of this process.
pub fn seccomp(program: Program) -> Result<(), ConfineError> {
    for filter in compile(program, std::env::consts::ARCH)? {
        apply_filter_all_threads(&filter).map_err(|error| ConfineError::Filter(error.to_string()))?;
    }
    Ok(())
}

/// The programs of a data file for `arch`, in the order of their installation.
pub(super) fn compile(program: Program, arch: &str) -> Result<Vec<BpfProgram>, ConfineError> {
    let fault = |why: String| ConfineError::Filter(why);
    let target = TargetArch::try_from(arch).map_err(|error| fault(error.to_string()))?;
    let mut file: Value = serde_json::from_str(program.text()).map_err(|error| fault(error.to_string()))?;
    keep_rules_for(arch, &mut file);
    let mut compiled =
        compile_from_json(file.to_string().as_bytes(), target).map_err(|error| fault(error.to_string()))?;
    Ok(ORDER.iter().filter_map(|name| compiled.remove(*name)).collect())
}

fn keep_rules_for(arch: &str, file: &mut Value) {
    let filters = file.as_object_mut().into_iter().flat_map(|filters| filters.values_mut());
    for rules in filters.filter_map(|filter| filter.get_mut("filter")?.as_array_mut()) {
        rules.retain_mut(|rule| match rule.as_object_mut().and_then(|rule| rule.remove("arch")) {
            Some(only) => only == arch,
            None => true,
        });
    }
}

impl Program {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Signer => include_str!("signer.json"),
            Self::Signetd => include_str!("signetd.json"),
        }
    }
}

/// A filter of another name would be forgotten; a test reads the files for that.
pub(super) const ORDER: [&str; 2] = ["refuse", "allow"];
