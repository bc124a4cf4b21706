//! Profiles: what kind of certificate may be issued, read from strict TOML files.

mod file;
mod outline;
mod pattern;
mod renewal;
pub(crate) mod urls;

use serde::Deserialize;

use crate::crl::Scope;
use crate::csr::Csr;
use crate::effects::UnixTime;
use crate::evidence::{AuthorizationRecord, MAX_CAA_AGE, Method, NameEvidence};
use crate::key::{KeyAlgorithm, PublicKey};
use crate::name::{DnsName, Name};
use crate::serial::Serial;
use crate::tbs::Issuer;
use crate::validity::{Requested, Validity};

pub(crate) use file::{Complaint, complain, duration as seconds, from_toml_error, head, one_line, required};
pub use pattern::Pattern;
pub use renewal::{RenewalWindow, default_renewal_window};
use urls::Places;
pub(crate) use urls::Urls;
pub use urls::{CrlPlace, Place};

/// One profile, whose values cannot contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: String,
    description: String,
    digest: [u8; 32],
    seconds: u64,
    backdate: u64,
    algorithms: Vec<KeyAlgorithm>,
    rsa_bits: Vec<u16>,
    extended_usage: Vec<ExtendedUsage>,
    key_usage: Vec<KeyUsage>,
    permitted: Vec<Pattern>,
    excluded: Vec<Pattern>,
    wildcards: Wildcards,
    max_names: usize,
    common_name: CommonNameRule,
    methods: Vec<Method>,
    max_evidence_age: u64,
    caa: CaaRule,
    renewal: Option<Renewal>,
    places: Places,
    holds: Holds,
    approval: Approval,
    /// The file as it was named, and its text: where a rule stands.
    file: String,
    text: String,
}

/// How many seconds before the end of the validity clients should begin and cease to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Renewal {
    opens: u64,
    closes: u64,
}

/// Extended key usages that a profile can give (RFC 5280 section 4.2.1.12). The others belong to
/// the CA's own certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ExtendedUsage {
    ClientAuth,
    ServerAuth,
}

/// Key usages that a profile can give (RFC 5280 section 4.2.1.3). keyEncipherment goes to RSA keys
/// only, whatever else the profile takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum KeyUsage {
    DigitalSignature,
    KeyEncipherment,
}

/// What happens to names that start with `*.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wildcards {
    Allow,
    Refuse,
}

/// Whether CAA (RFC 8659) is asked before a certificate is issued to an ACME client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaaRule {
    /// For every DNS name.
    #[default]
    Check,
    /// Never: for private zones that nobody outside can ask about.
    Skip,
}

/// Where the subject's common name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CommonNameRule {
    /// The first DNS name, in order, that is at most 64 characters long.
    FirstDnsName,
    /// There is none.
    None,
    /// What the requester asks for.
    Requested,
}

/// What happens to requests to put a certificate on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Holds {
    Allow,
    Refuse,
}

/// Whether somebody else than the requester must approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Approval {
    Needed,
    NotNeeded,
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
    /// May be issued on these terms once somebody else than the requester approved it.
    AskHuman(Terms),
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
    /// The ends of the validity that the requester asks for, to be met exactly.
    pub requested: Requested,
}

impl Terms {
    /// These terms with the ends of the validity that the requester asks for.
    pub fn with_validity(self, requested: Requested) -> Self {
        Self { requested, ..self }
    }
}

/// Why a request is refused, and which name it concerns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The name concerned, if it is about one.
    pub name: Option<Name>,
    /// The profile's field that decides, such as `names.permitted`, if one does.
    pub rule: Option<&'static str>,
    /// One sentence that names the profile and its rule.
    pub why: String,
}

impl Profile {
    /// Parses a profile file; `file` is used in messages, its stem is the profile's name.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ProfileError> {
        file::read(file, text)
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for people: what it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its certificates are issued only after somebody else than the requester approved.
    pub fn needs_approval(&self) -> bool {
        self.approval == Approval::Needed
    }

    /// The file that it was read from, as it was named, and the line in it where a field such as
    /// `names.permitted` stands, or its section if the field is left out.
    pub fn place_of(&self, field: &str) -> (&str, usize) {
        (&self.file, file::line_of(&self.text, field))
    }

    /// Whether it gives the common name that is asked for.
    pub fn gives_requested_common_name(&self) -> bool {
        self.common_name == CommonNameRule::Requested
    }

    /// Oldest proof of control that it takes, in seconds.
    pub fn max_evidence_age(&self) -> u64 {
        self.max_evidence_age
    }

    /// Whether CAA is asked.
    pub fn caa(&self) -> CaaRule {
        self.caa
    }

    /// When a certificate of this profile should be renewed (RFC 9773).
    pub fn renewal_window(&self, validity: Validity) -> RenewalWindow {
        match self.renewal {
            Some(Renewal { opens, closes }) => renewal::before_end(validity, opens, closes),
            None => default_renewal_window(validity),
        }
    }

    /// Whether a certificate that `issuer` signs now under this profile can have the validity that
    /// the requester asks for: never altered, so given as it is or refused (J7).
    pub fn allows_validity(&self, requested: Requested, issuer: Validity, now: UnixTime) -> Result<Validity, Refusal> {
        Validity::requested(issuer, now, self.backdate, self.seconds, requested)
            .map_err(|error| self.refusal(None, "validity", format!("does not allow this validity: {error}")))
    }

    /// Whether this profile would certify `name`: the check at the time of the order, before any
    /// validation is spent on it.
    pub fn allows_name(&self, name: &Name) -> Result<(), Refusal> {
        if name.is_wildcard() && self.wildcards == Wildcards::Refuse {
            return Err(self.refusal(
                Some(name),
                "names.wildcards",
                format!("does not allow wildcards, and {name} is one"),
            ));
        }
        if !self.permitted.iter().any(|pattern| pattern.covers(name)) {
            return Err(self.refusal(Some(name), "names.permitted", format!("does not permit {name}")));
        }
        if self.excluded.iter().any(|pattern| pattern.touches(name)) {
            return Err(self.refusal(Some(name), "names.excluded", format!("excludes {name}")));
        }
        Ok(())
    }

    /// Whether this profile takes keys such as `key`.
    pub fn allows_key(&self, key: &PublicKey) -> Result<(), Refusal> {
        self.allows_kind_of_key(key.algorithm(), key.bits())
    }

    /// Whether this profile takes keys of this algorithm and, if it is RSA, of so many bits.
    pub fn allows_kind_of_key(&self, algorithm: KeyAlgorithm, bits: u16) -> Result<(), Refusal> {
        if !self.algorithms.contains(&algorithm) {
            return Err(self.refusal(None, "keys.algorithms", format!("does not take {algorithm:?} keys")));
        }
        if algorithm == KeyAlgorithm::Rsa && !self.rsa_bits.contains(&bits) {
            return Err(self.refusal(None, "keys.rsa_bits", format!("does not take RSA keys of {bits} bits")));
        }
        Ok(())
    }

    /// Whether this profile takes `method` as a proof at all.
    pub fn takes(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }

    /// Whether this profile takes `method` as a proof for `name`. Only DNS and people can vouch for
    /// a wildcard (RFC 8555 section 8.3 and BR 3.2.2.4.19), and nobody answers dns-01 for an address.
    pub fn allows_method(&self, name: &Name, method: Method) -> Result<(), Refusal> {
        let method_name = method.as_str();
        if !self.takes(method) {
            return Err(self.refusal(
                Some(name),
                "evidence.methods",
                format!("does not take {method_name} as a proof, and {name} has no other"),
            ));
        }
        if name.is_wildcard() && !method.proves_wildcards() {
            return Err(self.refusal(
                Some(name),
                "evidence.methods",
                format!("cannot take {method_name} as a proof for the wildcard {name}"),
            ));
        }
        if matches!(name, Name::Ip(_)) && method.is_dns() {
            return Err(self.refusal(
                Some(name),
                "evidence.methods",
                format!("cannot take {method_name} as a proof for the address {name}"),
            ));
        }
        Ok(())
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
        match self.terms(key, names, requested_common_name, evidence, now) {
            Ok(terms) if self.approval == Approval::NotNeeded => Decision::Issue(terms),
            Ok(terms) => match &evidence.requester {
                None => Decision::AskHuman(terms),
                Some(requester) if *requester == evidence.actor => {
                    let why = "takes the approval of somebody else than the one who asked".to_owned();
                    Decision::Refuse(self.refusal(None, "approval.required", why))
                }
                Some(_) => Decision::Issue(terms),
            },
            Err(refusal) => Decision::Refuse(refusal),
        }
    }

    /// SHA-256 of the file's bytes, recorded with each certificate.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The extended key usages of its certificates.
    pub(crate) fn extended_usage(&self) -> &[ExtendedUsage] {
        &self.extended_usage
    }

    /// The key usages of its certificates for a key of this algorithm.
    pub(crate) fn key_usage(&self, algorithm: KeyAlgorithm) -> impl Iterator<Item = KeyUsage> {
        let fits = move |usage: &KeyUsage| *usage != KeyUsage::KeyEncipherment || algorithm == KeyAlgorithm::Rsa;
        self.key_usage.iter().copied().filter(fits)
    }

    /// Where the CRL of its certificates is, if they name one.
    pub fn crl_place(&self) -> Option<&CrlPlace> {
        self.places.crl.as_ref()
    }

    /// Every URL that its certificates name if `issuer` signs them, and what it leads to.
    pub fn named_urls(&self, issuer: &Issuer) -> Vec<(Place, String)> {
        self.places.all(issuer)
    }

    /// Whether its certificates, of today or of a time with another number of shards, name the CRL of
    /// `scope` by this URL.
    pub fn names_crl(&self, url: &str, issuer: &Issuer, scope: Scope) -> bool {
        self.crl_place().and_then(|place| place.url(issuer, scope)).is_some_and(|ours| ours == url)
    }

    /// Whether its certificates can be put on hold, and released again.
    pub fn allows_hold(&self) -> bool {
        self.holds == Holds::Allow
    }

    /// The URLs in the certificate with this issuer and serial number.
    pub(crate) fn urls(&self, issuer: &Issuer, serial: Serial) -> Urls {
        self.places.of(issuer, serial)
    }

    fn terms(
        &self,
        key: &PublicKey,
        names: &[Name],
        requested_common_name: Option<&str>,
        evidence: &AuthorizationRecord,
        now: UnixTime,
    ) -> Result<Terms, Refusal> {
        self.allows_key(key)?;
        let names = sorted(names);
        if names.len() > self.max_names {
            let why = format!("allows {} names in a certificate, not {}", self.max_names, names.len());
            return Err(self.refusal(None, "names.maximum", why));
        }
        names.iter().try_for_each(|name| self.allows_name(name))?;
        self.check_evidence(&names, evidence, now)?;
        let common_name = self.common_name(&names, requested_common_name)?;
        self.check_subject(&names, common_name.as_deref(), evidence.subject)?;
        let needs_names = self.extended_usage.contains(&ExtendedUsage::ServerAuth) || common_name.is_none();
        if names.is_empty() && needs_names {
            return Err(self.refusal(None, "usage.extended", "needs at least one name in a certificate".to_owned()));
        }
        Ok(Terms {
            names,
            common_name,
            seconds: self.seconds,
            backdate: self.backdate,
            requested: Requested::default(),
        })
    }

    /// Whether a proof counts only together with a CAA check: for DNS names that a machine proved. A
    /// person who vouches for a name knows better; for addresses CAA says nothing (RFC 8738).
    fn needs_caa(&self, name: &Name, method: Method) -> bool {
        self.caa == CaaRule::Check && matches!(name, Name::Dns(_)) && method.is_challenge()
    }

    /// One proof for each name and no other (I1), each by an allowed method and fresh (I2).
    fn check_evidence(&self, names: &[Name], record: &AuthorizationRecord, now: UnixTime) -> Result<(), Refusal> {
        let proofs = &record.names;
        let mut proved: Vec<&Name> = proofs.iter().map(|proof| &proof.name).collect();
        proved.sort();
        if let Some(pair) = proved.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self.refusal(
                Some(pair[0]),
                "evidence",
                format!("takes one proof for a name, and {} has two", pair[0]),
            ));
        }
        if let Some(name) = names.iter().find(|name| proved.binary_search(name).is_err()) {
            return Err(self.refusal(Some(name), "evidence", format!("needs a proof for {name}, and there is none")));
        }
        if let Some(name) = proved.into_iter().find(|name| names.binary_search(name).is_err()) {
            return Err(self.refusal(
                Some(name),
                "evidence",
                format!("takes no proof for {name}, which is not requested"),
            ));
        }
        for NameEvidence { name, method, at, caa, .. } in proofs {
            self.allows_method(name, *method)?;
            if *method == Method::Renewal && record.replaces.is_none() {
                let why = format!("takes a renewal as a proof for {name} only of a certificate that is named");
                return Err(self.refusal(Some(name), "evidence.methods", why));
            }
            if caa.is_none() && self.needs_caa(name, *method) {
                return Err(self.refusal(
                    Some(name),
                    "evidence.caa",
                    format!("needs a CAA check for {name}, and there is none"),
                ));
            }
            if caa.as_ref().is_some_and(|caa| caa.at > now || now.0 - caa.at.0 > MAX_CAA_AGE) {
                let why = format!("takes CAA checks of at most {MAX_CAA_AGE} seconds, and that for {name} is older");
                return Err(self.refusal(Some(name), "evidence.caa", why));
            }
            if *at > now {
                return Err(self.refusal(
                    Some(name),
                    "evidence.max_age",
                    format!("refuses the proof for {name}, which lies in the future"),
                ));
            }
            if now.0 - at.0 > self.max_evidence_age {
                let why =
                    format!("takes proofs of at most {} seconds, and that for {name} is older", self.max_evidence_age);
                return Err(self.refusal(Some(name), "evidence.max_age", why));
            }
        }
        Ok(())
    }

    /// A common name that is none of the names is vouched for in a way that the profile takes, though
    /// by no challenge: those prove names only.
    fn check_subject(&self, names: &[Name], common_name: Option<&str>, vouched: Option<Method>) -> Result<(), Refusal> {
        let Some(text) = common_name.filter(|text| !names.iter().any(|name| name.to_string() == *text)) else {
            return Ok(());
        };
        match vouched {
            Some(method) if self.takes(method) && !method.is_challenge() => Ok(()),
            Some(method) => {
                let why = format!("does not take {} as a proof for the common name {text:?}", method.as_str());
                Err(self.refusal(None, "evidence.methods", why))
            }
            None => Err(self.refusal(
                None,
                "evidence.methods",
                format!("needs somebody to vouch for the common name {text:?}"),
            )),
        }
    }

    fn common_name(&self, names: &[Name], requested: Option<&str>) -> Result<Option<String>, Refusal> {
        let chosen = match self.common_name {
            CommonNameRule::None => None,
            CommonNameRule::FirstDnsName => names.iter().find_map(|name| match name {
                Name::Dns(name) if name.as_str().len() <= MAX_COMMON_NAME => Some(DnsName::as_str(name)),
                _ => None,
            }),
            CommonNameRule::Requested => requested,
        };
        if let Some(text) = requested.filter(|text| Some(*text) != chosen) {
            let text: String = text.chars().take(MAX_COMMON_NAME).collect();
            return Err(self.refusal(
                None,
                "subject.common_name",
                format!("does not let the requester choose the common name {text:?}"),
            ));
        }
        let Some(text) = chosen else { return Ok(None) };
        if !is_common_name(text) {
            return Err(self.refusal(
                None,
                "subject.common_name",
                "takes common names of 1 to 64 printable characters".to_owned(),
            ));
        }
        // BR 7.1.4.3: what looks like a server's name must be one of the proved names.
        let is_server = self.extended_usage.contains(&ExtendedUsage::ServerAuth);
        if is_server && !names.iter().any(|name| name.to_string() == text) {
            return Err(self.refusal(
                None,
                "subject.common_name",
                format!("takes one of the names as the common name, and {text:?} is none"),
            ));
        }
        Ok(Some(text.to_owned()))
    }

    fn refusal(&self, name: Option<&Name>, rule: &'static str, what: String) -> Refusal {
        Refusal { name: name.cloned(), rule: Some(rule), why: format!("the profile `{}` {what}", self.name) }
    }
}

/// Whether a CSR asks for exactly `names` (RFC 8555 section 7.4). The error names the difference.
pub fn csr_matches(csr: &Csr, names: &[Name]) -> Result<(), Refusal> {
    let names = sorted(names);
    if let Some(name) = csr.names().iter().find(|name| names.binary_search(name).is_err()) {
        let why = format!("the CSR asks for {name}, which the order does not hold");
        return Err(Refusal { name: Some(name.clone()), rule: None, why });
    }
    if let Some(name) = names.iter().find(|name| csr.names().binary_search(name).is_err()) {
        let why = format!("the order holds {name}, which the CSR does not ask for");
        return Err(Refusal { name: Some(name.clone()), rule: None, why });
    }
    Ok(())
}

/// Whether `text` can stand as a common name or an organization: 1 to 64 characters
/// (ub-common-name, RFC 5280 appendix A.1), no control or format characters, no space at either end.
pub(crate) fn is_common_name(text: &str) -> bool {
    let unseen = |character: char| character.is_control() || is_format(character);
    (1..=MAX_COMMON_NAME).contains(&text.chars().count()) && !text.chars().any(unseen) && text.trim() == text
}

/// Whether Unicode 16 calls it a format character or a line or paragraph separator (general category
/// Cf, Zl or Zp): they hide, reverse or join text, and one name looks like another.
fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'..='\u{e007f}'
    )
}

/// ub-common-name, RFC 5280 appendix A.1.
const MAX_COMMON_NAME: usize = 64;

fn sorted(names: &[Name]) -> Vec<Name> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::CaaCheck;
    use crate::testing::{self, DAY, KeyPair, NOW, evidence, names};

    fn decide(profile: &str, texts: &[&str], method: Method) -> Decision {
        let names = names(texts);
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        testing::profile(profile).decide(&key, &names, None, &evidence(&names, method), NOW)
    }

    fn terms(decision: Decision) -> Terms {
        match decision {
            Decision::Issue(terms) => terms,
            other => panic!("{other:?}"),
        }
    }

    fn why(decision: Decision) -> String {
        match decision {
            Decision::Refuse(refusal) => refusal.why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_with_approval_asks_for_it_and_takes_it_from_somebody_else_only() {
        let text = include_str!("../../../packaging/profiles/server.toml");
        let text = format!("{text}\n[approval]\nrequired = true\n");
        let profile = Profile::from_toml("server.toml", &text).unwrap();
        assert!(profile.needs_approval() && !testing::profile("server").needs_approval());
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let names = names(&["a.example.test"]);
        let ask = |requester: Option<&str>| {
            let requester = requester.map(str::to_owned);
            let record = AuthorizationRecord { requester, ..evidence(&names, Method::Administrator) };
            profile.decide(&key, &names, None, &record, NOW)
        };
        assert!(matches!(ask(None), Decision::AskHuman(_)));
        assert!(why(ask(Some("acme:1"))).contains("somebody else"));
        let _ = terms(ask(Some("acme:2")));
        // What would be refused anyway is not asked about.
        assert!(why(profile.decide(&key, &names, None, &evidence(&[], Method::Administrator), NOW)).contains("proof"));
    }

    #[test]
    fn a_refusal_names_the_line_of_the_rule_that_decides() {
        let profile = testing::profile("server");
        let text = include_str!("../../../packaging/profiles/server.toml");
        for (name, rule) in [("192.0.2.1", "names.permitted"), ("*.example.test", "names.wildcards")] {
            let refusal = Profile { wildcards: Wildcards::Refuse, ..profile.clone() }
                .allows_name(&Name::parse(name).unwrap())
                .unwrap_err();
            assert_eq!(refusal.rule, Some(rule));
            let (_, line) = profile.place_of(rule);
            let field = rule.split('.').next_back().unwrap();
            assert!(text.lines().nth(line - 1).unwrap().starts_with(field), "{rule}: {line}");
        }
        let at = |field| text.lines().nth(profile.place_of(field).1 - 1).unwrap();
        assert!(at("validity").starts_with("validity"));
        assert!(at("evidence").starts_with("[evidence]"));
        assert!(at("names.none").starts_with("[names]"));
        assert_eq!(profile.place_of("approval.required").1, 1);
    }

    #[test]
    fn shipped_profiles_load_and_have_the_promised_validity() {
        for (name, days) in [("server", 90), ("shortlived", 6), ("client", 90), ("node", 60)] {
            let profile = testing::profile(name);
            assert_eq!((profile.name(), profile.seconds), (name, days * DAY));
            assert!(!profile.description().is_empty());
        }
    }

    #[test]
    fn a_proved_request_is_issued_on_sorted_terms() {
        let terms = terms(decide("server", &["b.example.test", "a.example.test", "10.0.0.1"], Method::Http01));
        assert_eq!(terms.names, names(&["a.example.test", "b.example.test", "10.0.0.1"]));
        assert_eq!(terms.common_name.as_deref(), Some("a.example.test"));
        assert_eq!((terms.seconds, terms.backdate), (90 * DAY, 3600));
    }

    #[test]
    fn wildcards_need_dns_or_a_person() {
        for method in [Method::Dns01, Method::Administrator, Method::Console] {
            let _ = terms(decide("server", &["*.example.test"], method));
        }
        for method in [Method::Http01, Method::TlsAlpn01] {
            assert!(why(decide("server", &["*.example.test"], method)).contains("wildcard"));
        }
        assert!(why(decide("client", &["*.example.test"], Method::Dns01)).contains("does not allow wildcards"));
        assert!(why(decide("server", &["10.0.0.1"], Method::Dns01)).contains("address"));
    }

    #[test]
    fn evidence_is_exactly_the_names() {
        let profile = testing::profile("server");
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        for count in 1..=100usize {
            let texts: Vec<String> = (0..count).map(|index| format!("host-{index}.example.test")).collect();
            let names: Vec<Name> = texts.iter().map(|text| Name::parse(text).unwrap()).collect();
            let whole = evidence(&names, Method::Http01);
            let _ = terms(profile.decide(&key, &names, None, &whole, NOW));
            // One name checked as often as there are names: incident 1.
            let mut repeated = whole.clone();
            repeated.names.iter_mut().for_each(|proof| proof.name = names[0].clone());
            if count > 1 {
                assert!(why(profile.decide(&key, &names, None, &repeated, NOW)).contains("two"));
            }
            let mut missing = whole.clone();
            missing.names.pop();
            assert!(why(profile.decide(&key, &names, None, &missing, NOW)).contains("there is none"));
            let mut extra = whole.clone();
            extra.names.push(NameEvidence { name: Name::parse("z.test").unwrap(), ..whole.names[0].clone() });
            assert!(why(profile.decide(&key, &names, None, &extra, NOW)).contains("not requested"));
        }
    }

    #[test]
    fn evidence_is_neither_old_nor_from_the_future() {
        let profile = testing::profile("server");
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let names = names(&["a.example.test"]);
        let at = |at: UnixTime| {
            let mut record = evidence(&names, Method::Http01);
            record.names[0].at = at;
            profile.decide(&key, &names, None, &record, NOW)
        };
        let _ = terms(at(NOW));
        let _ = terms(at(NOW.minus(30 * DAY)));
        assert!(why(at(NOW.minus(30 * DAY + 1))).contains("older"));
        assert!(why(at(NOW.plus(1))).contains("future"));
    }

    #[test]
    fn what_a_machine_proved_needs_a_fresh_caa_check_unless_the_profile_skips_it() {
        let server = testing::profile("server");
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let decide = |profile: &Profile, name: &str, method: Method, at: Option<UnixTime>| {
            let names = names(&[name]);
            let mut record = evidence(&names, method);
            record.names[0].caa = at.map(|at| CaaCheck { at, found: "no CAA records".to_owned() });
            profile.decide(&key, &names, None, &record, NOW)
        };
        for method in [Method::Http01, Method::Dns01, Method::TlsAlpn01] {
            assert!(why(decide(&server, "a.test", method, None)).contains("needs a CAA check"));
            let _ = terms(decide(&server, "a.test", method, Some(NOW.minus(MAX_CAA_AGE))));
            assert!(why(decide(&server, "a.test", method, Some(NOW.minus(MAX_CAA_AGE + 1)))).contains("older"));
            assert!(why(decide(&server, "a.test", method, Some(NOW.plus(1)))).contains("older"));
        }
        // Addresses have no CAA records (RFC 8738), and people vouch by themselves.
        let _ = terms(decide(&server, "10.0.0.1", Method::Http01, None));
        let _ = terms(decide(&server, "a.test", Method::Administrator, None));
        let skipping = Profile { caa: CaaRule::Skip, ..server };
        let _ = terms(decide(&skipping, "a.test", Method::Http01, None));
    }

    #[test]
    fn keys_outside_the_profile_are_refused() {
        let key = KeyPair::generate(KeyAlgorithm::Ed25519).public();
        assert!(testing::profile("server").allows_key(&key).unwrap_err().why.contains("Ed25519"));
        testing::profile("client").allows_key(&key).unwrap();
    }

    #[test]
    fn the_subject_rule_decides_the_common_name() {
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let names = names(&["a.example.test"]);
        let record = evidence(&names, Method::Administrator);
        let ask = |profile: &str, requested| testing::profile(profile).decide(&key, &names, requested, &record, NOW);
        assert_eq!(terms(ask("shortlived", None)).common_name, None);
        assert!(why(ask("shortlived", Some("a.example.test"))).contains("common name"));
        assert_eq!(terms(ask("server", Some("a.example.test"))).common_name.as_deref(), Some("a.example.test"));
        assert!(why(ask("server", Some("b.example.test"))).contains("common name"));
        assert_eq!(terms(ask("client", Some("Jane Doe"))).common_name.as_deref(), Some("Jane Doe"));
        assert!(why(ask("client", Some(""))).contains("1 to 64"));
        assert!(why(ask("client", Some("a\nb"))).contains("1 to 64"));
        // What reverses, hides or joins text lets a name look like another one.
        for text in ["a\u{ad}b", "a\u{200b}b", "a\u{202e}b", "a\u{2028}b", "a\u{2069}b", "a\u{feff}b", "a\u{e0041}b"] {
            assert!(why(ask("client", Some(text))).contains("1 to 64"), "{text:?}");
        }
        assert_eq!(terms(ask("client", Some("Jürgen 张"))).common_name.as_deref(), Some("Jürgen 张"));
    }

    #[test]
    fn a_subject_that_is_no_name_needs_somebody_to_vouch_for_it() {
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let client = testing::profile("client");
        let ask = |names: &[Name], subject| {
            let record = AuthorizationRecord { subject, ..evidence(names, Method::Administrator) };
            client.decide(&key, names, Some("Jane Doe"), &record, NOW)
        };
        for names in [vec![], names(&["a.example.test"])] {
            let _ = terms(ask(&names, Some(Method::Administrator)));
            assert!(why(ask(&names, None)).contains("needs somebody to vouch"));
            for method in [Method::Unproven, Method::Http01] {
                assert!(why(ask(&names, Some(method))).contains("does not take"));
            }
        }
    }

    #[test]
    fn a_renewal_names_what_it_renews_and_nothing_that_is_unproven_is_a_wildcard() {
        let text = include_str!("../../../packaging/profiles/server.toml")
            .replace("\"administrator\", \"console\"]", "\"renewal\", \"unproven\"]");
        let profile = Profile::from_toml("server.toml", &text).unwrap();
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let ask = |name: &str, method, replaces| {
            let names = names(&[name]);
            profile.decide(&key, &names, None, &AuthorizationRecord { replaces, ..evidence(&names, method) }, NOW)
        };
        assert!(why(ask("a.test", Method::Renewal, None)).contains("only of a certificate that is named"));
        let _ = terms(ask("*.a.test", Method::Renewal, Some(testing::serial(1))));
        let _ = terms(ask("a.test", Method::Unproven, None));
        assert!(why(ask("*.a.test", Method::Unproven, None)).contains("wildcard"));
        assert!(why(ask("a.test", Method::Registration, None)).contains("does not take registration"));
    }

    #[test]
    fn a_certificate_has_a_name() {
        let key = KeyPair::generate(KeyAlgorithm::P256).public();
        let record = evidence(&[], Method::Console);
        assert!(why(decide("server", &[], Method::Console)).contains("at least one name"));
        let client = testing::profile("client");
        assert!(why(client.decide(&key, &[], None, &record, NOW)).contains("at least one name"));
        let _ = terms(client.decide(&key, &[], Some("Jane Doe"), &record, NOW));
    }

    #[test]
    fn names_are_limited_in_number_permitted_and_not_excluded() {
        let many: Vec<String> = (0..101).map(|index| format!("h{index}.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(why(decide("server", &many, Method::Http01)).contains("100 names"));
        assert!(why(decide("server", &["192.0.2.1"], Method::Http01)).contains("does not permit"));
        let text = include_str!("../../../packaging/profiles/server.toml")
            .replace("excluded = []", "excluded = [\"root.example.test\", \".secret.test\"]");
        let profile = Profile::from_toml("server.toml", &text).unwrap();
        for name in ["root.example.test", "*.example.test", "a.secret.test", "*.secret.test"] {
            let refusal = profile.allows_name(&Name::parse(name).unwrap()).unwrap_err();
            assert!(refusal.why.contains("excludes"), "{name}");
        }
        profile.allows_name(&Name::parse("secret.test").unwrap()).unwrap();
    }

    #[test]
    fn a_csr_must_ask_for_exactly_the_names_of_the_order() {
        let key = KeyPair::generate(KeyAlgorithm::P256);
        let csr = Csr::from_der(&key.request("CN=a.example.test", vec![])).unwrap();
        csr_matches(&csr, &names(&["a.example.test"])).unwrap();
        let more = csr_matches(&csr, &names(&["a.example.test", "b.example.test"])).unwrap_err();
        assert!(more.why.contains("does not ask for"));
        let other = csr_matches(&csr, &names(&["b.example.test"])).unwrap_err();
        assert_eq!(other.name, names(&["a.example.test"]).pop());
    }
}
