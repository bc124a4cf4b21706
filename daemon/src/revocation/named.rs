//! The URLs that certificates name, looked at as a relying party finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use policy::crl::{Facts, Scope};
use policy::ocsp::{CertId, HashAlgorithm};
use policy::profile::{Place, Profile};
use policy::serial::Serial;
use policy::tbs::{Certificate, Issuer};

use super::desk::Desk;
use super::fetch::Target;
use super::ocsp::{self, request_path};
use super::schedule::{Freshness, Last};
use super::tables::{Kind, list_key};
use super::watch::timeout;

pub use super::fetch::Url;

/// What must be found at a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    /// What the certificates of a profile name.
    ByProfile(Place),
    /// The delta of a CRL, which the complete one names.
    Delta(Scope),
    /// The root's certificate, which the issuing one names.
    Root,
    /// The root's CRL, which the issuing certificate names.
    RootCrl,
}

impl Named {
    /// What it is called.
    pub fn label(self) -> String {
        match self {
            Self::ByProfile(Place::CaIssuers) => "CA certificate".to_owned(),
            Self::ByProfile(Place::Crl(scope)) => format!("CRL {scope}"),
            Self::ByProfile(Place::Ocsp) => "OCSP".to_owned(),
            Self::Delta(scope) => format!("CRL {scope}-delta"),
            Self::Root => "root certificate".to_owned(),
            Self::RootCrl => "CRL of the root".to_owned(),
        }
    }
}

impl Desk {
    /// Every URL that certificates of this issuer name, the issuing one's own included.
    pub fn named_urls<'a>(&self, profiles: impl IntoIterator<Item = &'a Profile>) -> BTreeSet<(Named, String)> {
        let issuer = &*self.office.issuer;
        let mut urls: BTreeSet<(Named, String)> = BTreeSet::new();
        for profile in profiles {
            urls.extend(profile.named_urls(issuer).into_iter().map(|(place, url)| (Named::ByProfile(place), url)));
        }
        let deltas = self.publisher.lists().iter().filter_map(|list| Some((list.scope, list.delta_url.clone()?)));
        urls.extend(deltas.map(|(scope, url)| (Named::Delta(scope), url)));
        if let Ok(own) = Certificate::from_der(issuer.certificate()) {
            urls.extend(own.crl_urls().into_iter().map(|url| (Named::RootCrl, url)));
            urls.extend(own.ca_issuers_urls().into_iter().map(|url| (Named::Root, url)));
        }
        urls
    }

    /// Looks at a URL at the addresses of its host: the first one that is right will do. Gives how long
    /// what is there is good, if that has an end.
    pub async fn look_at_url(
        &self,
        named: Named,
        text: &str,
        (url, addresses): (&Url, &[IpAddr]),
        root: &[u8],
    ) -> Result<Option<Last>, String> {
        let mut failed = BTreeMap::new();
        for address in addresses {
            let target = url.at(*address);
            match timeout(self.look_at_target(named, text, &target, root)).await {
                Ok(last) => return Ok(last),
                Err(why) => failed.insert(why, address),
            };
        }
        let failed: Vec<String> = failed.into_iter().map(|(why, address)| format!("at {address}: {why}")).collect();
        Err(failed.join("; "))
    }

    async fn look_at_target(
        &self,
        named: Named,
        text: &str,
        target: &Target,
        root: &[u8],
    ) -> Result<Option<Last>, String> {
        let issuer = &self.office.issuer;
        match named {
            Named::ByProfile(Place::CaIssuers) => certificate(target, issuer.certificate()).await.map(|()| None),
            Named::Root => certificate(target, root).await.map(|()| None),
            Named::ByProfile(Place::Ocsp) => {
                let sampled = self.sample().map_err(|error| error.to_string())?.pop().map(|(_, serial)| serial);
                // When nothing has been issued yet, there is an answer all the same.
                let serial = sampled.unwrap_or_else(|| Serial::from_slice(&[1]).expect("one is a serial number"));
                let id = CertId::new(HashAlgorithm::Sha1, issuer, serial);
                let got = target.below(&request_path(&id)).get().await?;
                self.read_ocsp(serial, &got).and_then(|said| self.fresh(said.last))?;
                // What a cache has may be older than a revocation; no cache answers a POST.
                let before = self.is_revoked(serial)?;
                let posted = target.post(ocsp::request(&id)).await.map_err(|why| format!("POST: {why}"))?;
                let said = self.read_ocsp(serial, &posted).map_err(|why| format!("POST: {why}"))?;
                if sampled.is_some() {
                    self.compare_status(serial, before, &said)?;
                }
                self.fresh(said.last)
            }
            Named::ByProfile(Place::Crl(scope)) => {
                let facts = target.crl(Arc::clone(issuer)).await?;
                if scope != Scope::All && !facts.urls.iter().any(|url| url == text) {
                    return Err("the CRL's issuing distribution point does not name this URL".to_owned());
                }
                self.judge_crl(scope, Kind::Complete, &facts)
            }
            Named::Delta(scope) => {
                let facts = target.crl(Arc::clone(issuer)).await?;
                self.judge_crl(scope, Kind::Delta, &facts)
            }
            Named::RootCrl => {
                let root = Issuer::from_der(root).map_err(|error| error.to_string())?;
                let facts = target.crl(Arc::new(root)).await?;
                self.fresh(Last { this_update: facts.this_update, next_update: facts.next_update })
            }
        }
    }

    /// A copy may be older than what is published, but not other than it, nor over.
    fn judge_crl(&self, scope: Scope, kind: Kind, facts: &Facts) -> Result<Option<Last>, String> {
        let key = list_key(&self.office.issuer_key, &scope.to_string(), kind);
        let record = self.publisher.record(&key).map_err(|error| error.to_string())?;
        let published = record.map_or(0, |record| record.number);
        if facts.base.is_some() != (kind == Kind::Delta) {
            return Err(
                "it is not a CRL of the kind that is named: a delta in place of a complete one, or the reverse"
                    .to_owned(),
            );
        }
        if facts.number.is_none_or(|number| number > published) {
            let number = facts.number.unwrap_or_default();
            return Err(format!("CRL {number} is served, and {published} is the last that was published"));
        }
        self.fresh(Last { this_update: facts.this_update, next_update: facts.next_update })
    }

    fn fresh(&self, last: Last) -> Result<Option<Last>, String> {
        match Freshness::of(last, self.office.clock.now()) {
            Freshness::Expired => Err("what is served has run out".to_owned()),
            Freshness::Early => Err("what is served begins later than now: a clock is wrong".to_owned()),
            Freshness::Critical | Freshness::Good | Freshness::Late => Ok(Some(last)),
        }
    }
}

/// A CA certificate, as DER or in CMS (RFC 5280 section 4.2.2.1).
async fn certificate(target: &Target, expected: &[u8]) -> Result<(), String> {
    let body = target.get().await?;
    if body.starts_with(b"-----BEGIN") {
        return Err("PEM is served where RFC 5280 section 4.2.2.1 wants DER".to_owned());
    }
    match &*body == expected || body.windows(expected.len()).any(|some| some == expected) {
        true => Ok(()),
        false => Err("another certificate is served".to_owned()),
    }
}
