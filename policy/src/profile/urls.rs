//! Where relying parties find what they need: `[urls]` of a profile.

use std::num::NonZeroU16;

use serde::Deserialize;
use toml::Spanned;

use super::file::Complaint;
use crate::crl::{Scope, Shard};
use crate::serial::Serial;
use crate::tbs::Issuer;

/// The URLs in one certificate, each plain HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Urls {
    pub(crate) crl: Option<String>,
    pub(crate) ocsp: Option<String>,
    pub(crate) ca_issuers: Option<String>,
}

/// The same for every certificate of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) crl: Option<CrlPlace>,
    ocsp: Option<Pattern>,
    ca_issuers: Option<Pattern>,
}

/// Where the CRL of a profile's certificates is, and into how many shards it is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlPlace {
    pattern: Pattern,
    /// None for one CRL of everything.
    shards: Option<NonZeroU16>,
}

/// What a URL in a certificate leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The issuer's certificate (RFC 5280 section 4.2.2.1).
    CaIssuers,
    /// The issuer's CRL of that scope.
    Crl(Scope),
    /// The issuer's OCSP responder.
    Ocsp,
}

/// A URL with `{issuer}` for the issuer's key identifier, and perhaps `{shard}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(String);

const ISSUER: &str = "{issuer}";
const SHARD: &str = "{shard}";

impl CrlPlace {
    /// The scopes of the CRLs that certificates of this profile name.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        let shards = self.shards.into_iter().flat_map(Shard::all).map(Scope::Shard);
        shards.chain(self.shards.is_none().then_some(Scope::All))
    }

    /// The URL by which certificates of `issuer` name the CRL of `scope`; none if they name no CRL of
    /// such a scope. Shards of another number than today's have a URL, too: certificates from before
    /// name them.
    pub fn url(&self, issuer: &Issuer, scope: Scope) -> Option<String> {
        let url = self.pattern.at(issuer);
        match (scope, self.shards) {
            (Scope::All, None) => Some(url),
            (Scope::Shard(shard), Some(_)) => Some(url.replace(SHARD, &shard.to_string())),
            _ => None,
        }
    }

    /// The scope of the CRL that is to list `serial`.
    fn scope(&self, serial: Serial) -> Scope {
        self.shards.map_or(Scope::All, |count| Scope::Shard(Shard::of(serial, count)))
    }
}

impl Places {
    /// What stands in the certificate with this issuer and serial number.
    pub(super) fn of(&self, issuer: &Issuer, serial: Serial) -> Urls {
        let at = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.at(issuer));
        Urls {
            crl: self.crl.as_ref().and_then(|place| place.url(issuer, place.scope(serial))),
            ocsp: at(&self.ocsp),
            ca_issuers: at(&self.ca_issuers),
        }
    }
}

impl Places {
    /// Every URL that certificates of `issuer` name, and what it leads to.
    pub(super) fn all(&self, issuer: &Issuer) -> Vec<(Place, String)> {
        let crls = self.crl.iter().flat_map(|place| place.scopes().map(move |scope| (place, scope)));
        let crls = crls.filter_map(|(place, scope)| Some((Place::Crl(scope), place.url(issuer, scope)?)));
        let others = [(Place::CaIssuers, &self.ca_issuers), (Place::Ocsp, &self.ocsp)];
        let others = others.into_iter().filter_map(|(place, url)| Some((place, url.as_ref()?.at(issuer))));
        crls.chain(others).collect()
    }
}

impl Pattern {
    fn at(&self, issuer: &Issuer) -> String {
        let identifier: String = issuer.key_identifier().iter().map(|octet| format!("{octet:02x}")).collect();
        self.0.replace(ISSUER, &identifier)
    }
}

/// The section as it is written; each field may be absent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileUrls {
    crl: Option<Spanned<String>>,
    shards: Option<Spanned<u16>>,
    ocsp: Option<Spanned<String>>,
    ca_issuers: Option<Spanned<String>>,
}

impl FileUrls {
    pub(super) fn judge(self) -> Result<Places, Complaint> {
        Ok(Places {
            crl: crl(self.crl, self.shards)?,
            ocsp: self.ocsp.map(pattern).transpose()?,
            ca_issuers: self.ca_issuers.map(pattern).transpose()?,
        })
    }
}

fn crl(url: Option<Spanned<String>>, shards: Option<Spanned<u16>>) -> Result<Option<CrlPlace>, Complaint> {
    let divided = url.as_ref().is_some_and(|url| url.get_ref().contains(SHARD));
    let count = match (&shards, divided) {
        (Some(shards), true) => match NonZeroU16::new(*shards.get_ref()) {
            Some(count) if (2..=Shard::MOST).contains(&count.get()) => Some(count),
            _ => return Err((shards.span(), format!("a CRL is divided into 2 to {} shards", Shard::MOST))),
        },
        (Some(shards), false) => {
            let problem =
                "the shards need URLs of their own; write `{shard}` into `crl`, or remove `shards`".to_owned();
            return Err((shards.span(), problem));
        }
        (None, true) => {
            let span = url.as_ref().map_or(0..0, Spanned::span);
            return Err((span, "`{shard}` needs the number of shards; write `shards = 16`".to_owned()));
        }
        (None, false) => None,
    };
    let Some(url) = url else { return Ok(None) };
    let longest = format!("{0}-of-{0}", Shard::MOST);
    check(&url, &url.get_ref().replace(SHARD, &longest))?;
    Ok(Some(CrlPlace { pattern: Pattern(url.into_inner()), shards: count }))
}

fn pattern(url: Spanned<String>) -> Result<Pattern, Complaint> {
    check(&url, url.get_ref())?;
    Ok(Pattern(url.into_inner()))
}

/// Whether it is a URL that can stand in a certificate.
pub(crate) fn is_plain_http(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
    url.len() <= 255 && url.bytes().all(is_plain) && !host.is_none_or(str::is_empty)
}

/// `filled` is the URL without `{shard}`.
fn check(url: &Spanned<String>, filled: &str) -> Result<(), Complaint> {
    let filled = filled.replace(ISSUER, &"0".repeat(KEY_IDENTIFIER));
    if !is_plain_http(&filled) {
        // RFC 5280 section 8: with https, fetching the proof of revocation needs what it proves.
        let problem = format!(
            "`{}` does not serve; write a plain URL such as `http://pki.example.test/crl/{{issuer}}.crl` (http, ASCII, at most 255 octets, `{{issuer}}` for the issuer's key identifier, and in `crl` `{{shard}}`)",
            url.get_ref()
        );
        return Err((url.span(), problem));
    }
    Ok(())
}

/// Digits of the longest key identifier that is used: SHA-256 of foreign CAs.
const KEY_IDENTIFIER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;
    use crate::profile::Profile;
    use crate::testing::{Hierarchy, serial};

    const SERVER: &str = include_str!("../../../packaging/profiles/server.toml");

    fn profile(urls: &str) -> Result<Profile, crate::profile::ProfileError> {
        Profile::from_toml("server.toml", &format!("{SERVER}\n[urls]\n{urls}\n"))
    }

    #[test]
    fn a_certificate_names_the_shard_of_its_serial() {
        let cas = Hierarchy::new(KeyAlgorithm::P256);
        let profile =
            profile("crl = \"http://a.test/{issuer}/{shard}.crl\"\nshards = 16\nocsp = \"http://a.test/\"").unwrap();
        let place = profile.crl_place().unwrap();
        assert_eq!(place.scopes().count(), 16);
        let identifier: String = cas.issuing.key_identifier().iter().map(|octet| format!("{octet:02x}")).collect();
        for seed in 0..20 {
            let urls = profile.urls(&cas.issuing, serial(seed));
            let scope = place.scopes().find(|scope| scope.holds(serial(seed))).unwrap();
            assert_eq!(urls.crl, place.url(&cas.issuing, scope));
            assert_eq!(urls.crl.unwrap(), format!("http://a.test/{identifier}/{scope}.crl"));
            assert_eq!(urls.ocsp.as_deref(), Some("http://a.test/"));
        }
        assert_eq!(place.url(&cas.issuing, Scope::All), None);
        let urls = profile.named_urls(&cas.issuing);
        assert_eq!(urls.len(), 17);
        assert!(urls.contains(&(Place::Ocsp, "http://a.test/".to_owned())));
        let third = "3-of-16".parse().unwrap();
        assert!(urls.contains(&(Place::Crl(third), place.url(&cas.issuing, third).unwrap())));
        let before = place.url(&cas.issuing, "3-of-8".parse().unwrap()).unwrap();
        assert!(before.ends_with("/3-of-8.crl"));
        assert!(profile.names_crl(&before, &cas.issuing, "3-of-8".parse().unwrap()));
        assert!(!profile.names_crl(&before, &cas.issuing, "4-of-8".parse().unwrap()));
        assert!(!profile.names_crl(&before, &cas.root, "3-of-8".parse().unwrap()));
    }

    #[test]
    fn without_shards_there_is_one_crl() {
        let cas = Hierarchy::new(KeyAlgorithm::P256);
        let profile = profile("crl = \"http://a.test/x.crl\"").unwrap();
        let place = profile.crl_place().unwrap();
        assert_eq!(place.scopes().collect::<Vec<_>>(), [Scope::All]);
        assert_eq!(place.url(&cas.issuing, Scope::All).as_deref(), Some("http://a.test/x.crl"));
        assert_eq!(profile.urls(&cas.issuing, serial(1)).crl.as_deref(), Some("http://a.test/x.crl"));
        assert!(self::profile("").unwrap().crl_place().is_none());
    }

    #[test]
    fn a_section_that_contradicts_itself_is_refused_with_what_to_write() {
        for (urls, advice) in [
            ("crl = \"http://a.test/{shard}.crl\"", "shards = 16"),
            ("crl = \"http://a.test/x.crl\"\nshards = 16", "`{shard}`"),
            ("shards = 16", "`{shard}`"),
            ("crl = \"http://a.test/{shard}.crl\"\nshards = 1", "2 to 1024"),
            ("crl = \"http://a.test/{shard}.crl\"\nshards = 1025", "2 to 1024"),
            ("crl = \"http://a.test/{shrad}.crl\"", "{issuer}"),
            ("ocsp = \"http://a.test/{shard}\"", "{issuer}"),
            ("ocsp = \"http://{issuer\"", "{issuer}"),
        ] {
            let error = profile(urls).unwrap_err();
            assert!(error.problem.contains(advice), "{urls}: {error}");
        }
        let long = format!("crl = \"http://a.test/{}{{issuer}}\"", "a".repeat(200));
        assert!(profile(&long).unwrap_err().problem.contains("255"));
    }
}
