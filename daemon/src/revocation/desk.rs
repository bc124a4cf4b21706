//! Everything that relying parties are told of certificates, in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use policy::crl::Scope;
use policy::effects::{Clock, UnixTime};
use policy::tbs::Issuer;

use super::branches::{Branches, Open};
use super::files::Files;
use super::ocsp::Responder;
use super::office::Office;
use super::publish::{List, Publisher};
use super::root::RootCrl;
use super::schedule::Freshness;
use super::watch::Watch;
use crate::config::{self, Address};
use crate::current::{Current, Profiles};
use crate::issuance::ca::Ca;
use crate::store::Store;
use crate::store::status::{CRLS_NAMED, after_prefix};

/// The CRLs and the OCSP answers of the issuing CA, and the root's CRL.
pub struct Desk {
    /// What both have in common.
    pub office: Arc<Office>,
    /// CRLs.
    pub publisher: Arc<Publisher>,
    /// OCSP.
    pub responder: Arc<Responder>,
    /// The root's CRL, if one is configured.
    pub root: Option<Arc<RootCrl>>,
    /// The same of the authorities that were made while the appliance runs.
    pub branches: Arc<Branches>,
    /// What is seen of all of it from outside.
    pub watch: Watch,
}

/// What a desk is made of.
pub struct Parts {
    /// The CA signer.
    pub ca: Ca,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// `[crl]`
    pub crl: config::Crl,
    /// The directory for CRLs.
    pub directory: PathBuf,
    /// The issuing certificate.
    pub issuer: Current<Issuer>,
    /// Label of the issuing key.
    pub issuer_key: String,
    /// `[ocsp]`
    pub ocsp: config::Ocsp,
    /// Whose certificates name CRLs.
    pub profiles: Arc<Profiles>,
    /// The root's CRL, if one is configured.
    pub root: Option<Arc<RootCrl>>,
    /// The records.
    pub store: Store,
}

impl Desk {
    /// Puts the parts together; nothing is signed before [`Desk::run`].
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { ca, clock, crl, directory, issuer, issuer_key, ocsp, profiles, root, store } = parts;
        let deltas = crl.delta_every.is_some();
        let lists = lists(&profiles, &issuer.now(), named(&store, &issuer_key, clock.now()), deltas);
        let branches = Arc::new(Branches {
            ca: ca.clone(),
            clock: Arc::clone(&clock),
            crl: crl.clone(),
            directory: directory.clone(),
            ocsp: ocsp.clone(),
            profiles: Current::new(profiles),
            store: store.clone(),
            open: Open::default().into(),
        });
        let office = Arc::new(Office::new(ca, clock, issuer, issuer_key.into(), store));
        let publisher = Arc::new(Publisher::new(Arc::clone(&office), crl, Files::new(directory), lists));
        let responder = Responder::new(Arc::clone(&office), ocsp);
        Arc::new(Self { office, publisher, responder, root, branches, watch: Watch::default() })
    }

    /// One with the configuration that is shipped, for tests.
    #[cfg(test)]
    pub(crate) fn shipped(
        ca: &Ca,
        clock: Arc<dyn Clock>,
        issuer: &Arc<Issuer>,
        issuer_key: &str,
        store: &Store,
        directory: &std::path::Path,
    ) -> Arc<Self> {
        let text = include_str!("../../../packaging/signetd.toml");
        let config = config::Config::from_toml("signetd.toml", text).unwrap();
        Self::new(Parts {
            ca: ca.clone(),
            clock,
            crl: config.crl,
            directory: directory.join("crl"),
            issuer: Current::new(Arc::clone(issuer)),
            issuer_key: issuer_key.to_owned(),
            ocsp: config.ocsp,
            profiles: Arc::default(),
            root: None,
            store: store.clone(),
        })
    }

    /// Publishes what the certificates of these profiles name, beside what those from before do.
    pub fn reload(&self, profiles: &Arc<Profiles>) {
        publish_instead(&self.publisher, &self.office, profiles);
        self.branches.reload(Arc::clone(profiles));
    }

    /// What cannot be renewed, of every authority, and why.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let of_branches = self.branches.all().into_iter().flat_map(|branch| {
            let name = Arc::clone(&branch.office.issuer_key);
            let named = move |(what, why): (String, String)| match what.contains(&*name) {
                true => (what, why),
                false => (format!("{what} of {name}"), why),
            };
            branch.office.troubles().into_iter().map(named)
        });
        self.office.troubles().into_iter().chain(of_branches).collect()
    }

    /// What cannot be renewed, and what the watchdog found wrong: a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let troubles = self.troubles().into_iter().map(|(what, why)| format!("{what} cannot be renewed: {why}"));
        let seen = self.watch.seen().into_iter().filter_map(|(what, seen)| match (seen.fault, seen.freshness) {
            (Some(why), _) => Some(format!("{what} is not right as it is served: {why}")),
            (None, Some(Freshness::Good) | None) => None,
            (None, Some(Freshness::Early)) => {
                Some(format!("{what} begins later than now: this host's clock is behind"))
            }
            (None, Some(Freshness::Expired)) => Some(format!("{what} has run out")),
            (None, Some(Freshness::Critical)) => {
                Some(format!("{what} runs out soon: less than a tenth of its time is left"))
            }
            (None, Some(Freshness::Late)) => Some(format!("{what} is late: less than a quarter of its time is left")),
        });
        let blind = self.watch.blind().map(str::to_owned);
        troubles.chain(seen).chain(self.unfit()).chain(blind).collect()
    }

    /// What the OCSP responder cannot sign.
    fn unfit(&self) -> Option<String> {
        let aside = self.responder.report().aside;
        let first = aside.first()?;
        let (count, serial, why) = (aside.len(), &first.serial, &first.why);
        Some(format!("the OCSP answers for {count} certificate(s) cannot be signed, {serial} among them: {why}"))
    }

    /// Something changed: what is due is looked at now.
    pub fn wake(&self) {
        self.publisher.wake();
        self.responder.wake();
        self.branches.all().iter().for_each(|branch| branch.wake());
    }

    /// Who answers an OCSPRequest, DER.
    pub fn responder_of(&self, request: &[u8]) -> Arc<Responder> {
        let asked = self.branches.asked(|| policy::ocsp::Request::from_der(request).ok());
        asked.unwrap_or_else(|| Arc::clone(&self.responder))
    }

    /// The same for one as it stands in a path.
    pub fn responder_of_path(&self, text: &str) -> Arc<Responder> {
        let asked = self.branches.asked(|| super::ocsp::from_path(text.as_bytes()).ok());
        asked.unwrap_or_else(|| Arc::clone(&self.responder))
    }

    /// Keeps everything fresh, for ever: boot calls it once.
    ///
    /// What is served at `address`, if anything is in plain HTTP, is looked at from there.
    pub fn start(self: &Arc<Self>, address: Option<Address>) {
        let publisher = Arc::clone(&self.publisher);
        tokio::spawn(async move { publisher.run().await });
        tokio::spawn(Arc::clone(&self.responder).run());
        tokio::spawn(Arc::clone(&self.branches).run());
        match address {
            Some(address) => drop(tokio::spawn(Arc::clone(self).watch(address))),
            None => self.watch.set_blind(),
        }
    }
}

/// Publishes for one issuer what the certificates of these profiles name, beside what those from before do.
pub(super) fn publish_instead(publisher: &Publisher, office: &Office, profiles: &Profiles) {
    let mut named = named(&office.store, &office.issuer_key, office.clock.now());
    // A certificate may be under way that names what stood in a profile until now.
    for list in publisher.lists().iter() {
        named.extend(list.urls.iter().map(|url| (list.scope, url.clone())));
    }
    publisher.publish_instead(lists(profiles, &office.issuer.now(), named, publisher.config.delta_every.is_some()));
}

/// The lists of an issuer: of everything, those that the profiles' certificates name, and those that
/// certificates from before do.
pub(super) fn lists(profiles: &Profiles, issuer: &Issuer, named: BTreeSet<(Scope, String)>, deltas: bool) -> Vec<List> {
    let places = profiles.values().filter_map(|profile| profile.crl_place());
    let places = places.flat_map(|place| place.scopes().map(move |scope| (scope, place.url(issuer, scope))));
    let mut lists = BTreeMap::from([(Scope::All, List::of(Scope::All))]);
    let today = places.filter_map(|(scope, url)| Some((scope, url?)));
    for (scope, url) in today.chain(named) {
        let list = lists.entry(scope).or_insert_with(|| List::of(scope));
        // Where the complete one is, the delta is, too; today's place comes first.
        list.delta_url = list.delta_url.take().or_else(|| delta_url(&url, scope).filter(|_| deltas));
        list.urls.insert(url);
    }
    lists.into_values().collect()
}

/// `…/NAME.crl` has its delta at `…/NAME/delta.crl`, `…/NAME/3-of-16.crl` at `…/NAME/3-of-16-delta.crl`.
fn delta_url(url: &str, scope: Scope) -> Option<String> {
    let stem = url.strip_suffix(".crl")?;
    Some(match scope {
        Scope::All => format!("{stem}/delta.crl"),
        Scope::Shard(_) => format!("{stem}-delta.crl"),
    })
}

/// The CRLs that certificates name which have not expired. A store that fails says so to everybody who needs
/// it more.
pub(super) fn named(store: &Store, issuer_key: &str, now: UnixTime) -> BTreeSet<(Scope, String)> {
    let prefix = [issuer_key.as_bytes(), &[0]].concat();
    let (from, end) = ([prefix.as_slice(), &now.0.to_be_bytes()].concat(), after_prefix(&prefix));
    let range = (Bound::Included(from.as_slice()), Bound::Excluded(end.as_slice()));
    let rows = store.scan(&CRLS_NAMED, range, usize::MAX, false).unwrap_or_default();
    let read = |key: &[u8]| {
        let (scope, url) = std::str::from_utf8(key.get(from.len()..)?).ok()?.split_once('\0')?;
        Some((scope.parse().ok()?, url.to_owned()))
    };
    rows.iter().filter_map(|(key, _)| read(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuance::testing::{KEY, NOW, TestSigner};
    use crate::store::status::named_key;
    use crate::store::{self, Change, EngineKind};

    /// I11: what a certificate names is there for as long as it lives, whatever the profiles say by then.
    #[test]
    fn a_crl_is_published_while_a_certificate_names_it_that_has_not_expired() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(store::open(EngineKind::Sqlite, &place.path().join("store")).unwrap());
        let issuer = TestSigner::start(place.path()).issuer.clone();
        let (old, moved) = ("http://old.test/1-of-2.crl", "http://new.test/1-of-2.crl");
        let week = 7 * 86_400;
        let mut change = Change::new();
        for (key, ends, scope, url) in [
            (KEY, NOW.plus(week), "1-of-2", old),
            (KEY, NOW.plus(9 * week), "1-of-2", moved),
            (KEY, NOW.plus(9 * week), "all", "http://old.test/all.crl"),
            ("issuing-2", NOW.plus(9 * week), "2-of-2", old),
        ] {
            change.put(&CRLS_NAMED, named_key(key, ends, scope, url), &());
        }
        store.commit_blocking(change).unwrap();
        let at = |now| lists(&Profiles::default(), &issuer, named(&store, KEY, now), true);
        let shard: Scope = "1-of-2".parse().unwrap();
        let list = |urls: &[&str], delta: &str| List {
            scope: shard,
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            delta_url: Some(delta.to_owned()),
        };
        let all = List {
            scope: Scope::All,
            urls: BTreeSet::from(["http://old.test/all.crl".to_owned()]),
            delta_url: Some("http://old.test/all/delta.crl".to_owned()),
        };
        assert_eq!(at(NOW), [all.clone(), list(&[moved, old], "http://new.test/1-of-2-delta.crl")]);
        assert_eq!(at(NOW.plus(week)).len(), 2, "it ends in this week");
        assert_eq!(at(NOW.plus(3 * week)), [all, list(&[moved], "http://new.test/1-of-2-delta.crl")]);
        assert_eq!(at(NOW.plus(11 * week)), [List::of(Scope::All)]);
    }
}
