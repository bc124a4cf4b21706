//! Which router carries which surface.

use std::sync::Arc;

use axum::Router;

use crate::api;
use crate::api::route::Routes;
use crate::config::Surface;
use crate::service::Services;
use crate::service::acme::Acme;
use crate::service::certmaker::CertMaker;

/// What one listener serves.
#[derive(Clone)]
pub struct Site {
    /// Every path.
    pub(super) router: Router,
    surfaces: Arc<[Surface]>,
}

impl Site {
    /// A router, and the surfaces that it carries.
    pub fn new(router: Router, surfaces: &[Surface]) -> Self {
        Self { router, surfaces: surfaces.into() }
    }

    /// The surface that claims `path`.
    pub(super) fn surface(&self, path: &str) -> Option<Surface> {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.surfaces.iter().copied().find(|surface| surface.paths().iter().any(|root| below(root)))
    }
}

/// What one listener serves. The ACME surface says itself, in its own words, that the CA is sealed.
pub fn routes(services: &Arc<Services>, acme: &Arc<Acme>, surfaces: &[Surface]) -> Site {
    let merged =
        |router: Router, surface: &Surface| router.merge(surface_routes(services, acme, *surface).into_router());
    Site::new(surfaces.iter().fold(Router::new(), merged), surfaces)
}

/// The routes of one surface.
pub(crate) fn surface_routes(services: &Arc<Services>, acme: &Arc<Acme>, surface: Surface) -> Routes<()> {
    let (services, acme) = (Arc::clone(services), Arc::clone(acme));
    let routes = Routes::new(());
    match surface {
        Surface::Acme => routes.merge(api::acme::routes(acme)),
        Surface::Admin => routes.merge(api::admin::surface(services, acme)),
        Surface::CertMaker => routes.merge(api::certmaker::routes(CertMaker::new(services, &acme))),
        Surface::Health => routes.merge(api::health::routes(services)),
        Surface::Notary => routes.merge(api::notary::routes(services)),
        Surface::Pki => routes.merge(api::pki::routes(services)),
        Surface::Upki => routes.merge(api::upki::routes(services)),
    }
}

/// What the local socket serves, to whoever may open it.
pub fn local(services: &Arc<Services>) -> Site {
    let router = api::health::routes(Arc::clone(services)).into_router();
    Site::new(router.merge(api::metrics::router(Arc::clone(services))), &[Surface::Admin, Surface::Health])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policy::notary;
    use policy::rights::{Actor, Permission, Role, Scope, TokenRights, Verdict, permits};

    use super::*;
    use crate::api::route::Key;
    use crate::testing::{Authority, services};

    /// Who gets in where is a promise, so a change must show up in review. `SIGNET_GOLDEN=write` writes
    /// the file anew.
    #[tokio::test]
    async fn every_route_stands_in_the_golden_file_with_its_permission() {
        let directory = tempfile::tempdir().unwrap();
        let services = services(directory.path(), &Authority::new(), directory.path().join("nobody"));
        let acme = Acme::start(Arc::clone(&services)).await.unwrap();
        let mut lines = BTreeSet::new();
        for surface in Surface::ALL {
            for route in surface_routes(&services, &acme, surface).table() {
                let key = if route.key == Key::Needed { "key" } else { "-" };
                let (name, path, method) = (surface.name(), without_identifiers(&route.path), route.method.as_str());
                let (permission, who) = (route.permission.as_str(), who(surface, route.permission, route.scope));
                lines.insert(format!("{name:<9} {path:<58} {method:<7} {permission:<22} {key:<4} {who}\n"));
            }
        }
        let text = HEAD.to_owned() + &lines.into_iter().collect::<String>();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/routes.txt");
        if std::env::var("SIGNET_GOLDEN").is_ok_and(|golden| golden == "write") {
            std::fs::write(golden, &text).unwrap();
        }
        assert!(std::fs::read_to_string(golden).unwrap() == text, "docs/routes.txt differs: write it and review it");
    }

    const HEAD: &str = "\
# Every route, what it takes, and who has it. A test writes this file from the routers themselves.
# `key`: 503 while the CA's key cannot be used, whoever asks. `(own)`: to what is his own alone. `jws`: the owner of an
# ACME account, or nobody yet, by the JWS in the body. Of `notary`, the roles are those of its own accounts; nobody
# makes the first of them. A token does what it was granted of the rows that name `token`.
# surface, path, method, permission, key, who
";

    fn who(surface: Surface, permission: Permission, least: Scope) -> String {
        if permits(&Actor::Anonymous, permission) == Verdict::Granted(Scope::Everything) {
            return "anybody".to_owned();
        }
        let rights = TokenRights { permissions: Permission::ALL.iter().copied().collect(), scope: Scope::Everything };
        let administrator = |role| Actor::Administrator(role, String::new());
        let others = [
            ("jws", Actor::AcmeAccount(String::new())),
            ("client", Actor::Client(String::new())),
            ("token", Actor::Token(String::new(), rights)),
            ("auditor", administrator(Role::Auditor)),
            ("operator", administrator(Role::Operator)),
            ("administrator", administrator(Role::Administrator)),
        ];
        let account = |role: notary::Role| (role.as_str(), Actor::Notary(role, 0));
        let accounts: Vec<_> =
            [("nobody", Actor::Anonymous)].into_iter().chain(notary::Role::ALL.iter().copied().map(account)).collect();
        let actors = if surface == Surface::Notary { &accounts[..] } else { &others[..] };
        let entry = |(name, actor): &(&str, Actor)| match permits(actor, permission) {
            Verdict::Granted(Scope::Everything) => Some((*name).to_owned()),
            Verdict::Granted(Scope::Own) if least == Scope::Own => Some(format!("{name}(own)")),
            _ => None,
        };
        actors.iter().filter_map(entry).collect::<Vec<_>>().join(" ")
    }

    /// Key identifiers in paths differ from CA to CA.
    fn without_identifiers(path: &str) -> String {
        let name = |part: &str| match part.split_once('.') {
            Some((name, suffix)) if name.len() == 40 => format!("{{key-identifier}}.{suffix}"),
            _ => part.to_owned(),
        };
        path.split('/').map(name).collect::<Vec<_>>().join("/")
    }
}
