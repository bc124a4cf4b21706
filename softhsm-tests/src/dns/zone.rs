//! What the server knows: lines of `NAME [TTL] TYPE DATA`, or `NAME FAULT [TYPE]`.

use std::collections::HashMap;

use hickory_resolver::proto::rr::rdata::{A, AAAA, CAA, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::signed::Signer;

/// Records and faults by name. The name `*` stands for every name, in place of types that the name
/// itself does not have; without it a name that no line has does not exist.
#[derive(Default)]
pub struct Zone {
    pub(super) records: HashMap<String, Vec<(u32, RData)>>,
    pub(super) faults: HashMap<String, Vec<(Fault, Option<RecordType>)>>,
    pub(super) signer: Option<Signer>,
    pub(super) asked: Vec<String>,
}

/// How an answer goes wrong, for all types of a name or for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its signature is not right.
    Bogus,
    /// Octets that are no DNS message.
    Garbage,
    /// The name does not exist, whatever `*` says.
    NxDomain,
    /// The response code of that number.
    Code(u16),
    /// Other servers are named, and no answer is given.
    Referral,
    /// There is no answer.
    Silent,
    /// Over UDP it is always truncated.
    Truncated,
    /// It has no signatures, in a zone that is signed.
    Unsigned,
}

/// Seconds that a record lasts which does not say so.
const TTL: u32 = 60;

impl Zone {
    /// Parses lines; empty ones and those that begin with `#` mean nothing.
    pub fn parse(lines: &str) -> Result<Self, String> {
        let mut zone = Self::default();
        zone.add(lines)?;
        Ok(zone)
    }

    pub(super) fn add(&mut self, lines: &str) -> Result<(), String> {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            self.line(line).ok_or_else(|| format!("not a line of a zone: {line}"))?;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.records.remove(&name);
        self.faults.remove(&name);
    }

    pub(super) fn sign(&mut self, apex: &str) -> String {
        let signer = Signer::new(apex);
        let record = signer.record();
        self.signer = Some(signer);
        record
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (name, rest) = word(line)?;
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (first, after) = word(rest).unwrap_or((rest, ""));
        let fault = match first {
            "BOGUS" => Some(Fault::Bogus),
            "GARBAGE" => Some(Fault::Garbage),
            "NXDOMAIN" => Some(Fault::NxDomain),
            "REFERRAL" => Some(Fault::Referral),
            "REFUSED" => Some(Fault::Code(5)),
            "SERVFAIL" => Some(Fault::Code(2)),
            "SILENT" => Some(Fault::Silent),
            "STRANGE" => Some(Fault::Code(3841)),
            "TRUNCATED" => Some(Fault::Truncated),
            "UNSIGNED" => Some(Fault::Unsigned),
            _ => None,
        };
        if let Some(fault) = fault {
            let kind = if after.is_empty() { None } else { Some(after.parse().ok()?) };
            self.faults.entry(name).or_default().push((fault, kind));
            return Some(());
        }
        let (ttl, rest) = match first.parse() {
            Ok(ttl) => (ttl, after),
            Err(_) => (TTL, rest),
        };
        let (kind, data) = word(rest)?;
        self.records.entry(name).or_default().push((ttl, parse(kind, data)?));
        Some(())
    }
}

fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    Some((word, rest.trim_start()))
}

fn parse(kind: &str, data: &str) -> Option<RData> {
    Some(match kind {
        "A" => RData::A(A(data.parse().ok()?)),
        "AAAA" => RData::AAAA(AAAA(data.parse().ok()?)),
        "CNAME" => RData::CNAME(CNAME(Name::from_ascii(format!("{}.", data.trim_end_matches('.'))).ok()?)),
        // RFC 1035 section 3.3: a text is strings of at most 255 octets.
        "TXT" if unquoted(data).is_empty() => RData::TXT(TXT::from_bytes(vec![b""])),
        "TXT" => RData::TXT(TXT::from_bytes(unquoted(data).as_bytes().chunks(255).collect())),
        "CAA" => {
            let (flags, rest) = word(data)?;
            let (tag, value) = word(rest)?;
            let flags: u8 = flags.parse().ok()?;
            let mut caa = CAA::new_issue(flags & 128 != 0, None, Vec::new());
            caa.reserved_flags = flags & 127;
            tag.clone_into(&mut caa.tag);
            caa.value = unquoted(value).into();
            RData::CAA(caa)
        }
        _ => return None,
    })
}

/// Without the quotation marks around it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}
