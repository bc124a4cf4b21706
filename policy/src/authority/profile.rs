//! The file that allows authorities: a profile with a section `[authority]`.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::key::KeyKind;
use crate::profile::{Complaint, ProfileError, complain, head, required, seconds, urls};

/// Where the certificate of an authority comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Another CA signs it: one of the same signer, or one outside.
    Intermediate,
    /// It signs itself.
    SelfSigned,
}

impl Kind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intermediate => "intermediate",
            Self::SelfSigned => "self-signed",
        }
    }
}

/// What may be made while the appliance runs, read by the signer for itself.
///
/// ```toml
/// version = 1
/// description = "Issuing CAs of the departments"
/// validity = "3652d"                        # the longest, and what is given if nothing is asked for
///
/// [authority]
/// kinds = ["self-signed", "intermediate"]
/// keys = ["p256", "p384", "rsa4096"]
/// path_length = 0                           # of intermediates; what signs itself has none
/// maximum = 8                               # how many that are not retired there may be
/// issues = ["server", "client"]             # profiles of the certificates that they sign
/// # pki_url = "http://pki.example.test"     # where CRL and certificate of what signs them are
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityProfile {
    name: String,
    description: String,
    digest: [u8; 32],
    seconds: u64,
    kinds: Vec<Kind>,
    keys: Vec<KeyKind>,
    path_length: u8,
    maximum: usize,
    issues: Vec<String>,
    pki_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    description: Option<Spanned<String>>,
    validity: Option<Spanned<String>>,
    authority: Spanned<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    kinds: Option<Spanned<Vec<Kind>>>,
    keys: Option<Spanned<Vec<KeyKind>>>,
    #[serde(default)]
    path_length: u8,
    maximum: Option<Spanned<usize>>,
    issues: Option<Spanned<Vec<String>>>,
    pki_url: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct HasSection {
    authority: Option<toml::Value>,
}

impl AuthorityProfile {
    /// Reads a file of the profile directory, if it is one that allows authorities: it has a section
    /// `[authority]`. Its name is the file's, without `.toml`.
    pub fn from_toml(file: &str, text: &str) -> Option<Result<Self, ProfileError>> {
        let is_one = toml::from_str::<HasSection>(text).is_ok_and(|file| file.authority.is_some());
        is_one.then(|| read(file, text).map_err(|complaint| complain(file, text, complaint)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in one line.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Longest validity in seconds, and that of certificates for which nothing is asked.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// How many CA certificates may follow below an intermediate.
    pub fn path_length(&self) -> u8 {
        self.path_length
    }

    /// How many authorities of this profile that are not retired there may be.
    pub fn maximum(&self) -> usize {
        self.maximum
    }

    /// Whether its authorities may sign certificates of this profile.
    pub fn issues(&self, profile: &str) -> bool {
        self.issues.iter().any(|one| one == profile)
    }

    /// Where CRL and certificate of what signs its authorities are published, if anywhere.
    pub fn pki_url(&self) -> Option<&str> {
        self.pki_url.as_deref()
    }

    /// Why no authority of this kind with such a key is made, if that is so.
    pub fn refusal(&self, kind: Kind, key: KeyKind) -> Option<String> {
        let name = &self.name;
        match (self.kinds.contains(&kind), self.keys.contains(&key)) {
            (false, _) => Some(format!("the profile `{name}` allows no {} authority: see its `kinds`", kind.as_str())),
            (_, false) => Some(format!("the profile `{name}` allows no {key} key: see its `keys`")),
            (true, true) => None,
        }
    }
}

fn read(file: &str, text: &str) -> Result<AuthorityProfile, Complaint> {
    let name = head(file, text)?;
    let parsed: File = toml::from_str(text).map_err(|error| crate::profile::from_toml_error(&error))?;
    let whole = 0..0;
    let description = required(parsed.description, &whole, "description = \"what it is for, in one line\"")?;
    let validity = required(parsed.validity, &whole, "validity = \"3652d\"")?;
    let span = parsed.authority.span();
    let section = parsed.authority.into_inner();
    let kinds = required(section.kinds, &span, "kinds = [\"self-signed\", \"intermediate\"]")?;
    let keys = required(section.keys, &span, "keys = [\"p256\", \"p384\"]")?;
    let maximum = required(section.maximum, &span, "maximum = 4")?;
    let issues = required(section.issues, &span, "issues = [\"server\"]")?;
    if !(1..=super::MOST).contains(maximum.get_ref()) {
        return Err((maximum.span(), format!("write a maximum from 1 to {}", super::MOST)));
    }
    if let Some(url) = section.pki_url.as_ref().filter(|url| !urls::is_plain_http(url.get_ref())) {
        let problem = "write a plain HTTP URL, as in `pki_url = \"http://pki.example.test\"`";
        return Err((url.span(), problem.to_owned()));
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    Ok(AuthorityProfile {
        name,
        description: crate::profile::one_line(&description)?,
        digest,
        seconds: seconds(&validity, DAY, LONGEST)?,
        kinds: kinds.into_inner(),
        keys: keys.into_inner(),
        path_length: section.path_length,
        maximum: maximum.into_inner(),
        issues: issues.into_inner(),
        pki_url: section.pki_url.map(Spanned::into_inner),
    })
}

const DAY: u64 = 86_400;

/// Twenty-five years: longer than any key should be trusted.
const LONGEST: u64 = 9131 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"version = 1
description = "Departments"
validity = "3652d"
[authority]
kinds = ["self-signed", "intermediate"]
keys = ["p256", "rsa4096"]
maximum = 8
issues = ["server"]
"#;

    fn read(text: &str) -> Result<AuthorityProfile, ProfileError> {
        AuthorityProfile::from_toml("etc/departments.toml", text).unwrap()
    }

    #[test]
    fn a_file_with_the_section_is_read_and_another_one_is_none() {
        let profile = read(FILE).unwrap();
        assert_eq!((profile.name(), profile.path_length(), profile.maximum()), ("departments", 0, 8));
        assert!(profile.issues("server") && !profile.issues("client"));
        assert_eq!(profile.refusal(Kind::SelfSigned, KeyKind::P256), None);
        assert!(profile.refusal(Kind::SelfSigned, KeyKind::P384).unwrap().contains("p384"));
        let server = include_str!("../../../packaging/profiles/server.toml");
        assert!(AuthorityProfile::from_toml("server.toml", server).is_none());
        assert!(AuthorityProfile::from_toml("server.toml", "[authority").is_none());
    }

    #[test]
    fn a_fault_is_reported_with_its_line_and_what_to_write_instead() {
        for (from, to, line, advice) in [
            ("version = 1", "version = 2", 1, "version = 1"),
            ("\"3652d\"", "\"99999d\"", 3, "9131d"),
            ("maximum = 8", "maximum = 0", 7, "1 to 64"),
            ("maximum = 8\n", "", 4, "maximum = 4"),
            ("\"rsa4096\"", "\"rsa512\"", 6, "a key can be"),
            ("[\"server\"]", "[\"server\"]\npki_url = \"https://a.test\"", 9, "plain HTTP"),
            ("\"intermediate\"", "\"cross\"", 5, "expected"),
            ("maximum = 8", "maximum = 8\nmaxmum = 9", 8, "expected one of"),
        ] {
            let error = read(&FILE.replace(from, to)).unwrap_err();
            assert!(error.line == line && error.problem.contains(advice), "{to}: {error}");
        }
        let kinds = FILE.replace("[\"self-signed\", \"intermediate\"]", "[\"intermediate\"]");
        assert!(read(&kinds).unwrap().refusal(Kind::SelfSigned, KeyKind::P256).unwrap().contains("self-signed"));
    }
}
