//! Everything that relying parties are told of certificates, in one place.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use policy::crl::Scope;
use policy::effects::Clock;
use policy::profile::CrlPlace;
use policy::tbs::Issuer;

use super::branches::{Branches, Open};
use super::files::Files;
use super::ocsp::Responder;
use super::office::Office;
use super::publish::{List, Publisher};
use super::root::RootCrl;
use super::schedule::Freshness;
use super::tables::CRLS;
use super::watch::Watch;
use crate::config::{self, Address};
use crate::current::{Current, Profiles};
use crate::issuance::ca::Ca;
use crate::store::Store;
use crate::store::status::after_prefix;

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
        let published = published(&store, &issuer_key);
        let lists = lists(&profiles, &issuer.now(), &published, crl.delta_every.is_some());
        for scope in published.iter().filter(|scope| lists.iter().all(|list| list.scope != **scope)) {
            tracing::warn!(
                %scope,
                "no profile names this CRL any more, so it is not renewed, and certificates that name it cannot be \
                 checked once it has run out: leave its `[urls]` in a profile until they have expired"
            );
        }
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

    /// Publishes what the certificates of these profiles name, beside what was published before.
    pub fn reload(&self, profiles: &Arc<Profiles>) {
        let (office, deltas) = (&self.office, self.publisher.config.delta_every.is_some());
        let published = published(&office.store, &office.issuer_key);
        self.publisher.publish_instead(lists(profiles, &office.issuer.now(), &published, deltas));
        self.branches.reload(Arc::clone(profiles));
    }

    /// What cannot be renewed, and what the watchdog found wrong: a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let branches = self.branches.all();
        let of_branches = branches.iter().flat_map(|branch| {
            let name = &branch.office.issuer_key;
            let named = |(what, why): (String, String)| match what.contains(&**name) {
                true => (what, why),
                false => (format!("{what} of {name}"), why),
            };
            branch.office.troubles().into_iter().map(named).collect::<Vec<_>>()
        });
        let troubles = self.office.troubles().into_iter().chain(of_branches);
        let troubles = troubles.map(|(what, why)| format!("{what} cannot be renewed: {why}"));
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

/// The lists of an issuer: of everything, those that the profiles' certificates name, and those that were
/// published before, because certificates from before name them.
pub(super) fn lists(profiles: &Profiles, issuer: &Issuer, published: &[Scope], deltas: bool) -> Vec<List> {
    let places: Vec<&CrlPlace> = profiles.values().filter_map(|profile| profile.crl_place()).collect();
    let mut scopes: BTreeSet<Scope> = places.iter().flat_map(|place| place.scopes()).collect();
    scopes.extend(published);
    scopes.insert(Scope::All);
    let list = |scope: Scope| {
        let urls: BTreeSet<String> = places.iter().filter_map(|place| place.url(issuer, scope)).collect();
        // Where the complete one is, the delta is, too.
        let delta_url = urls.iter().find_map(|url| delta_url(url, scope)).filter(|_| deltas);
        // The list of everything needs no name; a shard that no profile names any more has none to repeat.
        let urls: Vec<String> = if scope == Scope::All { Vec::new() } else { urls.into_iter().collect() };
        (scope == Scope::All || !urls.is_empty()).then_some(List { scope, urls, delta_url })
    };
    scopes.into_iter().filter_map(list).collect()
}

/// `…/NAME.crl` has its delta at `…/NAME/delta.crl`, `…/NAME/3-of-16.crl` at `…/NAME/3-of-16-delta.crl`.
fn delta_url(url: &str, scope: Scope) -> Option<String> {
    let stem = url.strip_suffix(".crl")?;
    Some(match scope {
        Scope::All => format!("{stem}/delta.crl"),
        Scope::Shard(_) => format!("{stem}-delta.crl"),
    })
}

/// The scopes of the CRLs that are published already. A store that fails says so to everybody who
/// needs it more.
pub(super) fn published(store: &Store, issuer_key: &str) -> Vec<Scope> {
    let prefix = [issuer_key.as_bytes(), &[0]].concat();
    let end = after_prefix(&prefix);
    let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
    let rows = store.scan(&CRLS, range, MOST, false).unwrap_or_default();
    rows.iter().filter_map(|(key, _)| std::str::from_utf8(key.get(prefix.len()..)?).ok()?.parse().ok()).collect()
}

/// Lists of one issuer: every shard of a few divisions, and their deltas.
const MOST: usize = 16 * 1024;
