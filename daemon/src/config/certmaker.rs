//! `[certmaker]`: what the CertMaker dialect offers, and what must be shown before it issues.

use std::ops::RangeInclusive;

use policy::evidence::Method;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{Wrong, wrong};
use super::{Switch, shown};

/// The CertMaker dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertMaker {
    /// The ways in which control of names can be shown; none: it need not be.
    pub challenges: Vec<Method>,
    /// Whether CSRs are certified.
    pub csr_requests: Switch,
    /// Ports that a client may have http-01 look at; 80 stands for `[validation] http01_port`.
    #[serde(serialize_with = "shown::ports")]
    pub http01_ports: Vec<RangeInclusive<u16>>,
    /// The profile of all its certificates.
    pub profile: String,
    /// Whether keys are made for clients that send names only.
    pub simple_requests: Switch,
}

impl CertMaker {
    /// Whether http-01 may look at this port.
    pub fn allows_port(&self, port: u16) -> bool {
        self.http01_ports.iter().any(|range| range.contains(&port))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    challenges: Option<Vec<Spanned<String>>>,
    csr_requests: Option<bool>,
    http01_ports: Option<Vec<Spanned<Ports>>>,
    profile: Option<String>,
    simple_requests: Option<bool>,
}

/// `80`, or `"1024-65535"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ports {
    One(u16),
    Range(String),
}

pub(super) fn parse(raw: Raw) -> Result<CertMaker, Wrong> {
    let challenges = match raw.challenges {
        None => CHALLENGES.map(|(_, method)| method).to_vec(),
        Some(names) => names.into_iter().map(challenge).collect::<Result<_, _>>()?,
    };
    let http01_ports = match raw.http01_ports {
        None => vec![80..=80],
        Some(all) => all.into_iter().map(ports).collect::<Result<_, _>>()?,
    };
    Ok(CertMaker {
        challenges,
        csr_requests: raw.csr_requests.is_none_or(|on| on).into(),
        http01_ports,
        profile: raw.profile.unwrap_or_else(|| "certmaker".to_owned()),
        simple_requests: raw.simple_requests.is_none_or(|on| on).into(),
    })
}

/// CertMaker's names of its challenges.
const CHALLENGES: [(&str, Method); 2] = [("http-01", Method::CertMakerHttp01), ("dns-01", Method::CertMakerDns01)];

fn challenge(name: Spanned<String>) -> Result<Method, Wrong> {
    match CHALLENGES.iter().find(|(known, _)| known == name.get_ref()) {
        Some((_, method)) => Ok(*method),
        None => wrong(&name, "CertMaker's challenges are \"http-01\" and \"dns-01\""),
    }
}

fn ports(raw: Spanned<Ports>) -> Result<RangeInclusive<u16>, Wrong> {
    let range = match raw.get_ref() {
        Ports::One(port) => Some(*port..=*port),
        Ports::Range(text) => {
            let ends = text
                .split_once('-')
                .and_then(|(from, to)| Some((from.trim().parse::<u16>().ok()?, to.trim().parse::<u16>().ok()?)));
            ends.map(|(from, to)| from..=to)
        }
    };
    match range.filter(|range| *range.start() > 0 && !range.is_empty()) {
        Some(range) => Ok(range),
        None => wrong(&raw, "write a port, such as 80, or a range of them, such as \"8000-8099\""),
    }
}
