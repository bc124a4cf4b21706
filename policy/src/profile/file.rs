//! The profile file: strict TOML, every complaint with its line and what to write instead.

use std::ops::Range;

use aws_lc_rs::digest;
use serde::Deserialize;
use toml::Spanned;

use super::pattern::Pattern;
use super::urls::FileUrls;
use super::{
    Approval, CaaRule, CommonNameRule, ExtendedUsage, Holds, KeyUsage, Profile, ProfileError, Renewal, Wildcards,
};
use crate::evidence::{MAX_EVIDENCE_AGE, Method};
use crate::key::KeyAlgorithm;

/// Version of the file format.
const VERSION: i64 = 1;

/// Longest validity, in seconds: ten years. A leaf that lives longer than most CAs is a mistake.
const MAX_VALIDITY: u64 = 3653 * DAY;

/// Longest backdating, in seconds: 48 hours, BR 7.1.2.7.
const MAX_BACKDATE: u64 = 2 * DAY;

/// Most names that a profile may allow in one certificate.
const MAX_NAMES: u16 = 1000;

const DAY: u64 = 86_400;

#[derive(Deserialize)]
struct VersionOnly {
    version: Option<Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    description: Option<Spanned<String>>,
    validity: Option<Spanned<String>>,
    backdate: Option<Spanned<String>>,
    keys: Option<Spanned<Keys>>,
    usage: Option<Spanned<Usage>>,
    names: Option<Spanned<Names>>,
    subject: Option<Spanned<Subject>>,
    evidence: Option<Spanned<Evidence>>,
    renewal: Option<Spanned<FileRenewal>>,
    urls: Option<FileUrls>,
    revocation: Option<Revocation>,
    approval: Option<Spanned<FileApproval>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    algorithms: Option<Spanned<Vec<KeyAlgorithm>>>,
    rsa_bits: Option<Spanned<Vec<u16>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usage {
    extended: Option<Spanned<Vec<ExtendedUsage>>>,
    key: Option<Spanned<Vec<KeyUsage>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    permitted: Option<Spanned<Vec<Spanned<String>>>>,
    excluded: Option<Spanned<Vec<Spanned<String>>>>,
    wildcards: Option<Spanned<Wildcards>>,
    maximum: Option<Spanned<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    common_name: Option<Spanned<CommonNameRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    methods: Option<Spanned<Vec<Method>>>,
    max_age: Option<Spanned<String>>,
    #[serde(default)]
    caa: CaaRule,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRenewal {
    opens: Option<Spanned<String>>,
    closes: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileApproval {
    required: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    hold: Option<Holds>,
}

/// Where in the text, and what is wrong with it.
pub(crate) type Complaint = (Range<usize>, String);

/// Reads the file's text; see [`Profile::from_toml`].
pub(super) fn read(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let parsed = || {
        let name = head(file, text)?;
        let parsed: File = toml::from_str(text).map_err(|error| from_toml_error(&error))?;
        build(&name, file, text, parsed)
    };
    parsed().map_err(|complaint| complain(file, text, complaint))
}

/// The name of the profile in a file, whose version is known.
pub(crate) fn head(file: &str, text: &str) -> Result<String, Complaint> {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    check_stem(stem)?;
    check_version(text)?;
    Ok(stem.to_owned())
}

/// The error that says where a complaint stands.
pub(crate) fn complain(file: &str, text: &str, (span, problem): Complaint) -> ProfileError {
    ProfileError { file: file.to_owned(), line: line(text, span.start), problem }
}

/// The line of a field of a file that was read, or of the last table above it that is there.
pub(super) fn line_of(text: &str, field: &str) -> usize {
    let Ok(table) = toml::de::DeTable::parse(text) else { return 1 };
    let (mut table, mut at) = (Some(table.get_ref()), 0);
    for part in field.split('.') {
        let Some((key, value)) = table.and_then(|table| table.get_key_value(part)) else { break };
        at = key.span().start;
        table = value.get_ref().as_table();
    }
    line(text, at)
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

pub(crate) fn from_toml_error(error: &toml::de::Error) -> Complaint {
    // One sentence: the parser's own words, without line breaks.
    (error.span().unwrap_or(0..0), error.message().split_whitespace().collect::<Vec<_>>().join(" "))
}

fn check_stem(stem: &str) -> Result<(), Complaint> {
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if (1..=64).contains(&stem.len()) && is_name(stem) {
        return Ok(());
    }
    Err((0..0, "the file's name is the profile's name; write 1 to 64 lower-case letters, digits and hyphens, as in `server.toml`".to_owned()))
}

/// Looks at the version before anything else: a newer file would only give misleading complaints.
fn check_version(text: &str) -> Result<(), Complaint> {
    let head: VersionOnly = toml::from_str(text).map_err(|error| from_toml_error(&error))?;
    match head.version {
        None => Err((0..0, "the format version is missing; write `version = 1`".to_owned())),
        Some(version) if version.get_ref().as_integer() == Some(VERSION) => Ok(()),
        Some(version) => {
            let problem =
                format!("format version {} is not known to this program; write `version = 1`", version.get_ref());
            Err((version.span(), problem))
        }
    }
}

fn build(name: &str, path: &str, text: &str, file: File) -> Result<Profile, Complaint> {
    let whole = 0..0;
    let description = required(file.description, &whole, "description = \"what it is for, in one line\"")?;
    let validity = required(file.validity, &whole, "validity = \"90d\"")?;
    let backdate = required(file.backdate, &whole, "backdate = \"1h\"")?;
    let keys = required(file.keys, &whole, "a section [keys]")?;
    let usage = required(file.usage, &whole, "a section [usage]")?;
    let names = required(file.names, &whole, "a section [names]")?;
    let subject = required(file.subject, &whole, "a section [subject]")?;
    let evidence = required(file.evidence, &whole, "a section [evidence]")?;

    let description = one_line(&description)?;
    let seconds = duration(&validity, 60, MAX_VALIDITY)?;
    let backdate_seconds = duration(&backdate, 0, MAX_BACKDATE)?;
    if backdate_seconds >= seconds {
        return Err((
            backdate.span(),
            "certificates would be over when they are signed; write a backdate shorter than the validity".to_owned(),
        ));
    }

    let (algorithms, rsa_bits) = read_keys(keys)?;
    let (extended_usage, key_usage) = read_usage(usage, &algorithms)?;

    let span = names.span();
    let names = names.into_inner();
    let permitted = required(names.permitted, &span, "permitted = [\".example.test\"]")?;
    let excluded = required(names.excluded, &span, "excluded = []")?;
    let wildcards = required(names.wildcards, &span, "wildcards = \"refuse\"")?;
    let maximum = required(names.maximum, &span, "maximum = 100")?;
    if !(1..=MAX_NAMES).contains(maximum.get_ref()) {
        return Err((maximum.span(), format!("write a maximum from 1 to {MAX_NAMES}")));
    }
    let permitted_span = permitted.span();
    let permitted = patterns(permitted)?;
    if permitted.is_empty() {
        return Err((
            permitted_span,
            "no name would be permitted; write at least one pattern, as in `permitted = [\".example.test\"]`"
                .to_owned(),
        ));
    }
    let excluded_span = excluded.span();
    let excluded = patterns(excluded)?;
    if let Some(pattern) = excluded.iter().find(|pattern| permitted.contains(pattern)) {
        return Err((excluded_span, format!("`{pattern}` is permitted and excluded; write it in one of the two")));
    }
    if excluded.contains(&Pattern::AnyDns) {
        return Err((
            excluded_span,
            "`*` would exclude every DNS name; write networks only under `permitted` instead".to_owned(),
        ));
    }

    let span = subject.span();
    let common_name = required(subject.into_inner().common_name, &span, "common_name = \"none\"")?.into_inner();

    let span = evidence.span();
    let evidence = evidence.into_inner();
    let methods = required(evidence.methods, &span, "methods = [\"http-01\", \"dns-01\"]")?;
    distinct(&methods, "method")?;
    let max_age = required(evidence.max_age, &span, "max_age = \"30d\"")?;
    let max_evidence_age = duration(&max_age, 60, MAX_EVIDENCE_AGE)?;
    if *wildcards.get_ref() == Wildcards::Allow && !methods.get_ref().iter().any(|method| method.proves_wildcards()) {
        return Err((
            wildcards.span(),
            "no method under [evidence] can prove a wildcard; write `wildcards = \"refuse\"` or add \"dns-01\" to the methods".to_owned(),
        ));
    }

    let mut profile_digest = [0; 32];
    profile_digest.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    Ok(Profile {
        name: name.to_owned(),
        description,
        digest: profile_digest,
        seconds,
        backdate: backdate_seconds,
        algorithms,
        rsa_bits,
        extended_usage,
        key_usage,
        permitted,
        excluded,
        wildcards: wildcards.into_inner(),
        max_names: usize::from(maximum.into_inner()),
        common_name,
        methods: methods.into_inner(),
        max_evidence_age,
        caa: evidence.caa,
        renewal: read_renewal(file.renewal, seconds)?,
        places: file.urls.unwrap_or_default().judge()?,
        holds: file.revocation.and_then(|revocation| revocation.hold).unwrap_or(Holds::Refuse),
        approval: read_approval(file.approval)?,
        file: path.to_owned(),
        text: text.to_owned(),
    })
}

/// A description: one line of text.
pub(crate) fn one_line(description: &Spanned<String>) -> Result<String, Complaint> {
    let text = description.get_ref().trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        let problem = "the description is one line of text that says what the profile is for";
        return Err((description.span(), problem.to_owned()));
    }
    Ok(text.to_owned())
}

fn read_approval(approval: Option<Spanned<FileApproval>>) -> Result<Approval, Complaint> {
    let Some(approval) = approval else { return Ok(Approval::NotNeeded) };
    let span = approval.span();
    let required = required(approval.into_inner().required, &span, "required = true")?.into_inner();
    Ok(if required { Approval::Needed } else { Approval::NotNeeded })
}

fn read_keys(keys: Spanned<Keys>) -> Result<(Vec<KeyAlgorithm>, Vec<u16>), Complaint> {
    let span = keys.span();
    let keys = keys.into_inner();
    let algorithms = required(keys.algorithms, &span, "algorithms = [\"p256\", \"p384\"]")?;
    distinct(&algorithms, "algorithm")?;
    let has_rsa = algorithms.get_ref().contains(&KeyAlgorithm::Rsa);
    let rsa_bits = match (keys.rsa_bits, has_rsa) {
        (Some(bits), true) => {
            distinct(&bits, "size")?;
            if let Some(size) = bits.get_ref().iter().find(|size| ![2048, 3072, 4096].contains(*size)) {
                return Err((bits.span(), format!("{size} is no size for an RSA key here; write 2048, 3072 or 4096")));
            }
            bits.into_inner()
        }
        (Some(bits), false) => {
            return Err((
                bits.span(),
                "sizes of RSA keys without \"rsa\" among the algorithms; add it or remove `rsa_bits`".to_owned(),
            ));
        }
        (None, true) => {
            return Err((
                algorithms.span(),
                "\"rsa\" needs its sizes; write `rsa_bits = [2048, 3072, 4096]` or fewer of them".to_owned(),
            ));
        }
        (None, false) => Vec::new(),
    };
    Ok((algorithms.into_inner(), rsa_bits))
}

fn read_usage(
    usage: Spanned<Usage>,
    algorithms: &[KeyAlgorithm],
) -> Result<(Vec<ExtendedUsage>, Vec<KeyUsage>), Complaint> {
    let span = usage.span();
    let usage = usage.into_inner();
    let extended = required(usage.extended, &span, "extended = [\"serverAuth\"]")?;
    distinct(&extended, "usage")?;
    let key = required(usage.key, &span, "key = [\"digitalSignature\", \"keyEncipherment\"]")?;
    distinct(&key, "usage")?;
    if !key.get_ref().contains(&KeyUsage::DigitalSignature) {
        return Err((key.span(), "no TLS 1.3 handshake works without \"digitalSignature\"; add it".to_owned()));
    }
    if key.get_ref().contains(&KeyUsage::KeyEncipherment) && !algorithms.contains(&KeyAlgorithm::Rsa) {
        return Err((
            key.span(),
            "\"keyEncipherment\" is for RSA keys only, and \"rsa\" is not among the algorithms; remove it".to_owned(),
        ));
    }
    Ok((extended.into_inner(), key.into_inner()))
}

fn read_renewal(renewal: Option<Spanned<FileRenewal>>, validity: u64) -> Result<Option<Renewal>, Complaint> {
    let Some(renewal) = renewal else { return Ok(None) };
    let span = renewal.span();
    let renewal = renewal.into_inner();
    let opens = required(renewal.opens, &span, "opens = \"30d\"")?;
    let closes = required(renewal.closes, &span, "closes = \"15d\"")?;
    let (first, last) = (duration(&opens, 1, validity)?, duration(&closes, 0, validity)?);
    if last >= first {
        let problem = "the window would close before it opens; both count back from the end of the validity, so write \
                       `opens` longer than `closes`";
        return Err((closes.span(), problem.to_owned()));
    }
    Ok(Some(Renewal { opens: first, closes: last }))
}

pub(crate) fn required<T>(
    value: Option<Spanned<T>>,
    section: &Range<usize>,
    example: &str,
) -> Result<Spanned<T>, Complaint> {
    value.ok_or_else(|| (section.clone(), format!("a field is missing; write {}", quoted(example))))
}

fn quoted(example: &str) -> String {
    if example.starts_with("a section") { example.to_owned() } else { format!("`{example}`") }
}

fn distinct<T: PartialEq + std::fmt::Debug>(list: &Spanned<Vec<T>>, what: &str) -> Result<(), Complaint> {
    let items = list.get_ref();
    if items.is_empty() {
        return Err((list.span(), format!("the list is empty; write at least one {what}")));
    }
    match items.iter().enumerate().find(|(index, item)| items[..*index].contains(item)) {
        Some((_, item)) => Err((list.span(), format!("the {what} {item:?} stands twice; write it once"))),
        None => Ok(()),
    }
}

fn patterns(list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<Pattern>, Complaint> {
    let read = |text: Spanned<String>| Pattern::parse(text.get_ref()).map_err(|problem| (text.span(), problem));
    list.into_inner().into_iter().map(read).collect()
}

/// Reads `90d`, `12h`, `30m` or `45s`, which must lie between `least` and `most` seconds.
pub(crate) fn duration(text: &Spanned<String>, least: u64, most: u64) -> Result<u64, Complaint> {
    let seconds = text.get_ref().char_indices().last().and_then(|(at, unit)| {
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY,
            _ => return None,
        };
        let digits = &text.get_ref()[..at];
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()?.checked_mul(factor))?
    });
    match seconds {
        Some(seconds) if (least..=most).contains(&seconds) => Ok(seconds),
        Some(_) => Err((
            text.span(),
            format!("`{}` is out of range; write {} to {}", text.get_ref(), in_words(least), in_words(most)),
        )),
        None => Err((
            text.span(),
            format!("`{}` is not a duration; write a number and d, h, m or s, as in `90d`", text.get_ref()),
        )),
    }
}

fn in_words(seconds: u64) -> String {
    if seconds > 0 && seconds.is_multiple_of(DAY) { format!("{}d", seconds / DAY) } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: &str = include_str!("../../../packaging/profiles/server.toml");

    /// The complaint about the server profile with one change.
    fn complaint(from: &str, to: &str) -> ProfileError {
        assert!(SERVER.contains(from), "{from}");
        read("etc/server.toml", &SERVER.replace(from, to)).unwrap_err()
    }

    #[test]
    fn a_fault_is_reported_with_file_line_and_what_to_write_instead() {
        for (from, to, at, advice) in [
            ("version = 1", "version = 2", "version = 2", "write `version = 1`"),
            ("version = 1", "version = \"1\"", "version = \"1\"", "write `version = 1`"),
            ("version = 1", "", "# TLS servers", "write `version = 1`"),
            ("description = \"TLS servers, 90 days\"", "description = \" \"", "description", "one line"),
            ("validity = \"90d\"", "", "# TLS servers", "validity = \"90d\""),
            ("validity = \"90d\"", "validity = \"90\"", "validity = \"90\"", "as in `90d`"),
            ("validity = \"90d\"", "validity = \"0d\"", "validity = \"0d\"", "write 60s to 3653d"),
            ("validity = \"90d\"", "validity = \"4000d\"", "validity = \"4000d\"", "write 60s to 3653d"),
            ("validity = \"90d\"", "validity = \"99999999999999999999d\"", "validity", "as in `90d`"),
            ("validity = \"90d\"", "validity = \"+9d\"", "validity", "as in `90d`"),
            ("validity = \"90d\"", "validity = 90", "validity = 90", "expected a string"),
            ("validity = \"90d\"", "validity = \"1h\"", "backdate", "shorter than the validity"),
            ("backdate = \"1h\"", "backdate = \"3d\"", "backdate = \"3d\"", "write 0s to 2d"),
            ("backdate = \"1h\"", "backdat = \"1h\"", "backdat = \"1h\"", "expected one of"),
            ("\"p384\", \"rsa\"]", "\"dsa\"]", "algorithms", "expected one of"),
            ("\"p384\", \"rsa\"]", "\"p256\", \"rsa\"]", "algorithms", "write it once"),
            ("algorithms = [\"p256\", \"p384\", \"rsa\"]", "algorithms = []", "algorithms", "at least one"),
            ("algorithms = [\"p256\", \"p384\", \"rsa\"]", "", "[keys]", "algorithms = "),
            ("\"p384\", \"rsa\"]", "\"p384\"]", "rsa_bits", "remove `rsa_bits`"),
            ("rsa_bits = [2048, 3072, 4096]", "", "algorithms", "rsa_bits = ["),
            ("rsa_bits = [2048,", "rsa_bits = [1024,", "rsa_bits", "2048, 3072 or 4096"),
            ("extended = [\"serverAuth\"]", "extended = [\"OCSPSigning\"]", "extended", "expected"),
            ("key = [\"digitalSignature\", ", "key = [", "key = [", "add it"),
            ("wildcards = \"allow\"", "wildcards = \"yes\"", "wildcards = \"yes\"", "expected"),
            ("maximum = 100", "maximum = 0", "maximum = 0", "from 1 to 1000"),
            ("maximum = 100", "maximum = -1", "maximum = -1", "expected"),
            ("excluded = []", "excluded = [\"A.test\"]", "excluded", "lower case"),
            ("excluded = []", "excluded = [\"10.0.0.0/8\"]", "excluded", "`10.0.0.0/8` is permitted and excluded"),
            ("excluded = []", "excluded = [\n  \"a.test\",\n  \"10.0.0.1/8\",\n]", "  \"10.0.0.1/8\"", "first address"),
            ("common_name = \"first-dns-name\"", "common_name = \"email\"", "common_name", "expected"),
            ("max_age = \"30d\"", "max_age = \"399d\"", "max_age = \"399d\"", "write 60s to 398d"),
            (
                "methods = [\"http-01\", \"dns-01\", \"tls-alpn-01\", \"administrator\", \"console\"]",
                "methods = [\"http-01\"]",
                "wildcards",
                "add \"dns-01\"",
            ),
            ("caa = \"check\"", "caa = \"no\"", "caa = \"no\"", "expected"),
            ("# [urls]", "[urls]\ncrl = \"https://pki.example.test/a.crl\"", "crl = \"https", "http://pki"),
            ("# [urls]", "[urls]\ncrl = \"http:///a.crl\"", "crl = \"http:///", "http://pki"),
            ("# [urls]", "[urls]\ncrls = \"http://pki.example.test/a.crl\"", "crls", "expected one of"),
            ("# [urls]", "[url]", "[url]", "expected one of"),
            ("[subject]", "[subject", "[subject", "]"),
            ("maximum = 100", "maximum = 100\nmaximum = 100", "maximum = 100\n\n", "duplicate"),
        ] {
            let error = complaint(from, to);
            let text = SERVER.replace(from, to);
            let line = 1 + text[..text.find(at).unwrap()].matches('\n').count();
            assert_eq!((error.file.as_str(), error.line), ("etc/server.toml", line), "{to}: {error}");
            assert!(error.problem.contains(advice), "{to}: {error}");
            assert!(!error.problem.contains('\n'), "{error}");
        }
    }

    #[test]
    fn caa_is_asked_unless_the_file_says_otherwise() {
        assert_eq!(read("server.toml", SERVER).unwrap().caa, CaaRule::Check);
        assert_eq!(read("server.toml", &SERVER.replace("caa = \"check\"\n", "")).unwrap().caa, CaaRule::Check);
        let skipping = SERVER.replace("caa = \"check\"\n", "caa = \"skip\"\n");
        assert_eq!(read("server.toml", &skipping).unwrap().caa, CaaRule::Skip);
    }

    #[test]
    fn a_missing_section_is_named() {
        let text = &SERVER[..SERVER.find("[evidence]").unwrap()];
        assert!(read("server.toml", text).unwrap_err().problem.contains("[evidence]"));
    }

    #[test]
    fn the_files_name_is_the_profiles_name() {
        assert_eq!(read("a/b/my-servers.toml", SERVER).unwrap().name, "my-servers");
        for file in ["Server.toml", "my servers.toml", ".toml", ""] {
            assert!(read(file, SERVER).unwrap_err().problem.contains("`server.toml`"), "{file}");
        }
    }

    #[test]
    fn every_shipped_file_explains_each_field() {
        for text in [
            SERVER,
            include_str!("../../../packaging/profiles/shortlived.toml"),
            include_str!("../../../packaging/profiles/client.toml"),
            include_str!("../../../packaging/profiles/node.toml"),
        ] {
            let lines: Vec<&str> = text.lines().collect();
            for (index, line) in lines.iter().enumerate().skip(1) {
                let is_field = line.contains(" = ") && !line.starts_with(['#', ' ']);
                assert!(!is_field || lines[index - 1].starts_with('#'), "line {} has no comment above", index + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn a_mutilated_file_never_panics(at in any::<prop::sample::Index>(), length in 0usize..40, insert in "\\PC{0,6}") {
            let mut text: Vec<char> = SERVER.chars().collect();
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
            let text: String = text.into_iter().collect();
            if let Err(error) = read("server.toml", &text) {
                prop_assert!((1..=text.lines().count() + 1).contains(&error.line));
            }
        }
    }
}
