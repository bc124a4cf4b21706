//! `[validation]`: how control of names is validated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::dnssec::TrustAnchors;
use policy::name::DnsName;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{HOUR, MILLISECOND, Wrong, duration, number, wrong};
use super::{AllowedNetworks, Network};

/// How control of names is validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// Addresses that validation may connect to.
    pub allowed_networks: AllowedNetworks,
    /// Attempts before a challenge becomes invalid.
    pub attempts: u32,
    /// Issuer domain names by which CAA and dns-persist-01 records name this CA: lower case, at most
    /// ten, none if the public URL has an address for a host and none is configured.
    pub caa_identities: Vec<String>,
    /// Whether DNS answers are validated.
    pub dnssec: Dnssec,
    /// Port of http-01 (RFC 8555 section 8.3 says 80).
    pub http01_port: u16,
    /// Largest body read of an answer, in bytes.
    pub max_body: usize,
    /// Most redirects followed.
    pub max_redirects: u32,
    /// DNS resolvers to ask; those of the system when empty.
    pub resolvers: Vec<SocketAddr>,
    /// Pause before the second attempt; it doubles with each.
    #[serde(serialize_with = "super::shown::time")]
    pub retry_after: Duration,
    /// Longest time for one attempt, redirects included.
    #[serde(serialize_with = "super::shown::time")]
    pub timeout: Duration,
    /// Port of tls-alpn-01 (RFC 8737 section 3 says 443).
    pub tls_alpn01_port: u16,
}

/// Whether DNS answers are validated with DNSSEC (RFC 4035 section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// With the keys of the root zone and these, DNSKEY records in zone file form: for zones that the
    /// root does not sign.
    Anchors(Vec<String>),
    /// They are taken as the resolver gives them.
    Off,
    /// With the keys of the root zone.
    Root,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    allowed_networks: Option<Spanned<Vec<Spanned<String>>>>,
    attempts: Option<Spanned<u64>>,
    caa_identities: Option<Spanned<Vec<Spanned<String>>>>,
    dnssec: Option<Spanned<bool>>,
    dnssec_anchors: Option<Spanned<Vec<Spanned<String>>>>,
    http01_port: Option<Spanned<u64>>,
    max_body: Option<Spanned<u64>>,
    max_redirects: Option<Spanned<u64>>,
    resolvers: Option<Vec<Spanned<String>>>,
    retry_after: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    tls_alpn01_port: Option<Spanned<u64>>,
}

pub(super) fn check(raw: Raw, public_url: &str) -> Result<Validation, Wrong> {
    let port = 1..=65_535;
    Ok(Validation {
        allowed_networks: allowed_networks(raw.allowed_networks)?,
        attempts: number(raw.attempts.as_ref(), 3, 1..=10)?,
        caa_identities: caa_identities(raw.caa_identities, public_url)?,
        dnssec: dnssec(raw.dnssec.as_ref(), raw.dnssec_anchors)?,
        http01_port: number(raw.http01_port.as_ref(), 80, port.clone())?,
        max_body: number(raw.max_body.as_ref(), 4 << 10, 128..=1 << 20)?,
        max_redirects: number(raw.max_redirects.as_ref(), 10, 0..=20)?,
        resolvers: raw.resolvers.unwrap_or_default().iter().map(resolver).collect::<Result<_, _>>()?,
        retry_after: duration(raw.retry_after.as_ref(), "3s", MILLISECOND..=HOUR)?,
        timeout: duration(raw.timeout.as_ref(), "10s", MILLISECOND..=HOUR)?,
        tls_alpn01_port: number(raw.tls_alpn01_port.as_ref(), 443, port)?,
    })
}

fn allowed_networks(raw: Option<Spanned<Vec<Spanned<String>>>>) -> Result<AllowedNetworks, Wrong> {
    let Some(networks) = raw else { return Ok(AllowedNetworks::Default) };
    if networks.get_ref().is_empty() {
        return wrong(&networks, "no address could be validated: name a network, or leave this out for the default");
    }
    let parse = |text: Spanned<String>| match text.get_ref().parse::<Network>() {
        Ok(network) => Ok(network),
        Err(error) => wrong(&text, error.to_string()),
    };
    Ok(AllowedNetworks::Only(networks.into_inner().into_iter().map(parse).collect::<Result<_, _>>()?))
}

/// The host of the public URL stands for the CA if nothing else is said.
fn caa_identities(raw: Option<Spanned<Vec<Spanned<String>>>>, public_url: &str) -> Result<Vec<String>, Wrong> {
    let is_name = |text: &str| DnsName::parse(text).is_ok_and(|name| !name.is_wildcard());
    let Some(names) = raw else {
        let uri = public_url.parse::<http::Uri>().ok();
        let host = uri.and_then(|uri| uri.host().map(str::to_ascii_lowercase));
        return Ok(host.filter(|host| is_name(host)).into_iter().collect());
    };
    if !(1..=MAX_IDENTITIES).contains(&names.get_ref().len()) {
        return wrong(
            &names,
            format!("write one to {MAX_IDENTITIES} domain names, or leave this out for the host of `public_url`"),
        );
    }
    if let Some(name) = names.get_ref().iter().find(|name| !is_name(name.get_ref())) {
        return wrong(name, "an issuer domain name is a DNS name in lower case: write for example \"ca.example.com\"");
    }
    Ok(names.into_inner().into_iter().map(Spanned::into_inner).collect())
}

fn dnssec(raw: Option<&Spanned<bool>>, anchors: Option<Spanned<Vec<Spanned<String>>>>) -> Result<Dnssec, Wrong> {
    let on = raw.is_some_and(|on| *on.get_ref());
    match anchors {
        None if on => Ok(Dnssec::Root),
        None => Ok(Dnssec::Off),
        Some(anchors) if !on => wrong(&anchors, "nothing is validated with these keys: write `dnssec = true`, too"),
        Some(anchors) if anchors.get_ref().is_empty() => {
            wrong(&anchors, "nothing could be validated: name a key, or leave this out for those of the root zone")
        }
        Some(anchors) => {
            if let Some(bad) = anchors.get_ref().iter().find(|record| !is_anchor(record.get_ref())) {
                return wrong(
                    bad,
                    "this is not a DNSKEY record: write it as in a zone file, such as \"corp.example. 3600 IN DNSKEY 257 3 13 …\"",
                );
            }
            Ok(Dnssec::Anchors(anchors.into_inner().into_iter().map(Spanned::into_inner).collect()))
        }
    }
}

/// One DNSKEY record on one line.
fn is_anchor(text: &str) -> bool {
    text.contains("DNSKEY") && !text.contains('\n') && text.parse::<TrustAnchors>().is_ok()
}

fn resolver(text: &Spanned<String>) -> Result<SocketAddr, Wrong> {
    let with_port = || text.get_ref().parse::<SocketAddr>();
    let without = text.get_ref().parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    match without.or_else(|_| with_port()) {
        Ok(address) => Ok(address),
        Err(_) => wrong(text, "a resolver is an IP address, with a port if it is not 53: write \"192.0.2.53\""),
    }
}

const DNS_PORT: u16 = 53;

/// Most issuer domain names: what a challenge of dns-persist-01 may list (draft section 3.1).
const MAX_IDENTITIES: usize = 10;
