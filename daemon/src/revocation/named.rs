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
        let issuer = &*self.office.issuer.now();
        let mut urls: BTreeSet<(Named, String)> = BTreeSet::new();
        for profile in profiles {
            urls.extend(profile.named_urls(issuer).into_iter().map(|(place, url)| (Named::ByProfile(place), url)));
        }
        let lists = self.publisher.lists();
        // Those of certificates from before among them.
        let complete = lists.iter().flat_map(|list| list.urls.iter().map(|url| (list.scope, url.clone())));
        urls.extend(complete.map(|(scope, url)| (Named::ByProfile(Place::Crl(scope)), url)));
        let deltas = lists.iter().filter_map(|list| Some((list.scope, list.delta_url.clone()?)));
        urls.extend(deltas.map(|(scope, url)| (Named::Delta(scope), url)));
        if let Ok(own) = Certificate::from_der(issuer.certificate()) {
            urls.extend(own.crl_urls().into_iter().map(|url| (Named::RootCrl, url)));
            urls.extend(own.ca_issuers_urls().into_iter().map(|url| (Named::Root, url)));
        }
        urls
    }

    /// Whether there is something to be found there: a CRL may not have been published yet, and the publisher
    /// says why.
    pub fn is_published(&self, named: Named) -> bool {
        let (scope, kind) = match named {
            Named::ByProfile(Place::Crl(scope)) => (scope, Kind::Complete),
            Named::Delta(scope) => (scope, Kind::Delta),
            Named::ByProfile(Place::CaIssuers | Place::Ocsp) | Named::Root | Named::RootCrl => return true,
        };
        let key = list_key(&self.office.issuer_key, &scope.to_string(), kind);
        self.publisher.record(&key).is_ok_and(|record| record.is_some())
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
        let issuer = &self.office.issuer.now();
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use policy::profile::Profile;

    use super::*;
    use crate::issuance::ca::Ca;
    use crate::issuance::testing::{KEY, TestClock, TestSigner};
    use crate::store::{self, EngineKind, Store};

    const PROFILE: &str = include_str!("../../../packaging/profiles/server.toml");

    /// Answers one request.
    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/place", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            stream.write_all(&answer).unwrap();
        });
        url
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    struct Scene {
        desk: Arc<Desk>,
        signer: Arc<TestSigner>,
        clock: Arc<TestClock>,
        _directory: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let signer = TestSigner::start(directory.path());
            let store = Store::new(store::open(EngineKind::Sqlite, &directory.path().join("store")).unwrap());
            let (ca, clock) = (Ca::new(signer.client(), store.clone()), TestClock::new());
            let desk = Desk::shipped(&ca, clock.clone(), &signer.issuer, KEY, &store, directory.path());
            Self { desk, signer, clock, _directory: directory }
        }

        async fn look(&self, named: Named, text: &str) -> Result<Option<Last>, String> {
            let url = Url::parse(text).unwrap();
            self.desk
                .look_at_url(named, text, (&url, &["127.0.0.1".parse().unwrap()]), self.signer.issuer.certificate())
                .await
        }
    }

    #[tokio::test]
    async fn every_url_of_every_profile_is_named_once() {
        let scene = Scene::new();
        let profile = |urls: &str| Profile::from_toml("server.toml", &format!("{PROFILE}\n[urls]\n{urls}\n")).unwrap();
        let one = profile("crl = \"http://a.test/{shard}.crl\"\nshards = 4\nocsp = \"http://a.test/ocsp\"");
        let other = profile("ocsp = \"http://a.test/ocsp\"\nca_issuers = \"http://a.test/ca\"");
        assert_eq!(scene.desk.named_urls([&one, &other]).len(), 4 + 1 + 1);
    }

    #[tokio::test]
    async fn a_ca_certificate_is_der_or_cms_and_the_right_one() {
        let scene = Scene::new();
        let certificate = scene.signer.issuer.certificate();
        let right = Named::ByProfile(Place::CaIssuers);
        assert_eq!(scene.look(right, &serve(ok(certificate))).await, Ok(None));
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(64));
        for (answer, words) in [
            (ok(&certificate[1..]), "another certificate"),
            (ok(pem.as_bytes()), "DER"),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404"),
            (
                b"HTTP/1.1 301 Moved\r\nLocation: https://a.test/\r\nContent-Length: 0\r\n\r\n".to_vec(),
                "redirects to https://a.test/",
            ),
            (b"nonsense".to_vec(), "breaks off"),
        ] {
            let why = scene.look(right, &serve(answer)).await.unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = scene.look(right, &format!("http://{closed}/")).await.unwrap_err();
        assert!(why.contains("cannot be reached"), "{why}");
    }

    #[tokio::test]
    async fn a_crl_is_of_this_issuer_of_the_named_kind_in_time_and_no_newer_than_what_was_published() {
        let scene = Scene::new();
        let list = scene.desk.publisher.lists()[0].clone();
        let file = || {
            let served =
                scene.desk.publisher.served(&list_key(KEY, "all", Kind::Complete), crate::revocation::Coding::Identity);
            match served.unwrap().unwrap().contents {
                crate::revocation::Contents::Bytes(bytes) => bytes,
                crate::revocation::Contents::File(..) => panic!("it is small"),
            }
        };
        scene.desk.publisher.publish(&list, Kind::Complete).await.unwrap();
        let first = file();
        let right = Named::ByProfile(Place::Crl(Scope::All));
        assert!(scene.look(right, &serve(ok(&first))).await.unwrap().is_some());
        let shard = Named::ByProfile(Place::Crl("1-of-4".parse().unwrap()));
        let other = Scene::new();
        let mut broken = first.to_vec();
        *broken.last_mut().unwrap() ^= 1;
        for (scene, named, answer, words) in [
            (&scene, Named::Delta(Scope::All), ok(&first), "kind"),
            (&scene, shard, ok(&first), "distribution point"),
            (&scene, right, ok(&broken), "signature"),
            (&scene, right, ok(b"<html>"), ""),
            (&other, right, ok(&first), ""),
        ] {
            let why = scene.look(named, &serve(answer)).await.unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
        // A copy that is older is good until it has run out.
        scene.clock.advance(60);
        scene.desk.publisher.publish(&list, Kind::Complete).await.unwrap();
        assert!(scene.look(right, &serve(ok(&first))).await.is_ok());
        scene.clock.advance(400 * 86_400);
        let why = scene.look(right, &serve(ok(&first))).await.unwrap_err();
        assert!(why.contains("run out"), "{why}");
    }
}
