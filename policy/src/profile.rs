//! Profiles: what kind of certificate may be issued, read from strict TOML files.

use crate::csr::Csr;
use crate::effects::UnixTime;
use crate::evidence::AuthorizationRecord;
use crate::key::PublicKey;
use crate::name::Name;

/// One profile, whose values cannot contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: String,
}

/// A profile file that cannot be used: file, line, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ProfileError {
    /// The file as it was named.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// One sentence: what is wrong and what to write instead.
    pub problem: String,
}

/// What policy says of a request. A verdict carries its terms.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// May be issued on these terms.
    Issue(Terms),
    /// May not; the reason is a sentence for the client.
    Refuse(Refusal),
}

/// The terms on which a certificate is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Names, sorted, without duplicates.
    pub names: Vec<Name>,
    /// Subject common name, if the profile wants one.
    pub common_name: Option<String>,
    /// Length in seconds, both ends included.
    pub seconds: u64,
    /// Seconds that notBefore lies before the time of signing.
    pub backdate: u64,
}

/// Why a request is refused, and which name it concerns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The name concerned, if it is about one.
    pub name: Option<Name>,
    /// One sentence that names the profile and its rule.
    pub why: String,
}

impl Profile {
    /// Parses a profile file; `file` is used in messages, its stem is the profile's name.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ProfileError> {
        let _ = (file, text);
        unimplemented!()
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for people: what it is for.
    pub fn description(&self) -> &str {
        unimplemented!()
    }

    /// Whether this profile would certify `name`: the check at the time of the order, before any
    /// validation is spent on it.
    pub fn allows_name(&self, name: &Name) -> Result<(), Refusal> {
        let _ = name;
        unimplemented!()
    }

    /// Whether this profile takes keys such as `key`.
    pub fn allows_key(&self, key: &PublicKey) -> Result<(), Refusal> {
        let _ = key;
        unimplemented!()
    }

    /// Judges a request: key, names, evidence (exactly the names, none too old), subject rule.
    /// `requested_common_name` is what the requester, not the CSR, asked to be called.
    pub fn decide(
        &self,
        key: &PublicKey,
        names: &[Name],
        requested_common_name: Option<&str>,
        evidence: &AuthorizationRecord,
        now: UnixTime,
    ) -> Decision {
        let _ = (key, names, requested_common_name, evidence, now);
        unimplemented!()
    }

    /// SHA-256 of the file's bytes, recorded with each certificate.
    pub fn digest(&self) -> [u8; 32] {
        unimplemented!()
    }
}

/// Whether a CSR asks for exactly `names` (RFC 8555 section 7.4). The error names the difference.
pub fn csr_matches(csr: &Csr, names: &[Name]) -> Result<(), Refusal> {
    let _ = (csr, names);
    unimplemented!()
}
