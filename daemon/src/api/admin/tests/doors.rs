//! Every route against every identity: who gets in is what the one table of rights says.

use policy::rights::{Actor, Permission, Role as Rank, Scope, TokenRights, Verdict, permits, tokens_may};

use super::*;
use crate::api::route::{Key, Route};
use crate::config;

/// Somebody at the door.
struct Visitor {
    what: &'static str,
    peer: Peer,
    token: Option<String>,
    /// Who he is to the table; nobody in particular, if what he shows does not count.
    is: Actor,
    /// Whether his certificate has expired: it still opens the status and the seal.
    expired: bool,
    /// What he hears at doors that are closed to him.
    refusal: StatusCode,
}

impl Visitor {
    fn enters(&self, route: &Route) -> bool {
        let opens_expired = matches!(route.permission, Permission::ReadStatus | Permission::Unseal);
        let nobody = Actor::Anonymous;
        let is = if self.expired && !opens_expired { &nobody } else { &self.is };
        match permits(is, route.permission) {
            Verdict::Granted(Scope::Everything) => true,
            Verdict::Granted(Scope::Own) => route.scope == Scope::Own,
            Verdict::ProveYourself | Verdict::Refused => false,
        }
    }
}

fn nobody(what: &'static str, peer: Peer, refusal: StatusCode) -> Visitor {
    Visitor { what, peer, token: None, is: Actor::Anonymous, expired: false, refusal }
}

/// Everybody there is.
async fn visitors(surface: &Surface) -> Vec<Visitor> {
    let anonymous = Peer { from: "test".to_owned(), certificate: None };
    let print = |peer: &Peer| peer.certificate.as_ref().unwrap().fingerprint.clone();
    let revoked = surface.enrolled(1, None).await;
    let mut record = surface.certificate(&[]).await;
    record.serial = revoked.certificate.as_ref().unwrap().serial.unwrap();
    record.revoked = Some(Revocation { at: NOW, reason: None, invalidity: None, actor: "console".to_owned() });
    let mut change = Change::new();
    change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
    surface.services.store.commit(change).await.unwrap();
    let client = surface.somebody(1);
    let mut visitors = vec![
        nobody("anonymous", anonymous, StatusCode::UNAUTHORIZED),
        nobody("removed", surface.enrolled(1, Some(NOW)).await, StatusCode::FORBIDDEN),
        nobody("expired client", surface.somebody(60), StatusCode::FORBIDDEN),
        nobody("revoked", revoked, StatusCode::FORBIDDEN),
        Visitor { is: Actor::Client(print(&client)), ..nobody("client", client, StatusCode::FORBIDDEN) },
    ];
    for (what, role, days) in [
        ("auditor", Rank::Auditor, 1),
        ("operator", Rank::Operator, 1),
        ("administrator", Rank::Administrator, 1),
        ("expired administrator", Rank::Administrator, 60),
    ] {
        let peer = surface.enrolled_as(role, days, None).await;
        let is = Actor::Administrator(role, print(&peer));
        visitors.push(Visitor { is, expired: days > 30, ..nobody(what, peer, StatusCode::FORBIDDEN) });
    }
    let administrator = surface.administrator().await;
    let all: Vec<Permission> = Permission::ALL.iter().copied().filter(|&one| tokens_may(one)).collect();
    for (what, permissions, state) in [
        ("token", &all[..], "enabled"),
        ("token without the right", &[Permission::ReadPublic], "enabled"),
        ("disabled token", &all, "disabled"),
        ("locked token", &all, "locked"),
        ("revoked token", &all, "revoked"),
    ] {
        let (id, secret) = tokens::create(surface, &administrator, permissions, "everything").await;
        let path = format!("/admin/v1/tokens/{id}/state");
        let (status, _) = surface.ask(&administrator, Method::PUT, &path, Some(json!({"state": state}))).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        let rights = TokenRights { permissions: permissions.iter().copied().collect(), scope: Scope::Everything };
        let (is, refusal) = match state {
            "enabled" => (Actor::Token(id, rights), StatusCode::FORBIDDEN),
            _ => (Actor::Anonymous, StatusCode::UNAUTHORIZED),
        };
        // The certificate of the connection does not help: the token alone decides.
        let peer = administrator.clone();
        visitors.push(Visitor { what, peer, token: Some(secret), is, expired: false, refusal });
    }
    let unknown = nobody("unknown token", administrator, StatusCode::UNAUTHORIZED);
    visitors.push(Visitor { token: Some("signet_0".to_owned()), ..unknown });
    visitors
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_of_rights_says_and_nothing_changes_for_the_others() {
    let surface = surface();
    surface.seal_is(SealStatus::Unsealed).await;
    let visitors = visitors(&surface).await;
    let routes = surface.routes().await;
    assert!(routes.table().len() > 40);
    let (mut entered, mut refused) = (0, 0);
    for route in routes.table() {
        for visitor in &visitors {
            surface.seal_is(SealStatus::Unsealed).await;
            let acts = surface.signer.state.lock().unwrap().acts;
            // No body: whoever gets past the door hears of that.
            let token = visitor.token.as_deref();
            let response = surface.send_as(&visitor.peer, token, &route.method, &route.path, None).await;
            let status = response.status();
            let place = format!("{} at {} {}: {status}", visitor.what, route.method, route.path);
            if visitor.enters(route) {
                assert!(!matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{place}");
                entered += 1;
                continue;
            }
            refused += 1;
            assert_eq!(status, visitor.refusal, "{place}");
            assert_eq!(response.headers().contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
            let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["status"], status.as_u16(), "{place}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{place}");
            let state = surface.signer.state.lock().unwrap();
            assert_eq!((state.acts, &state.seal), (acts, &SealStatus::Unsealed), "{place}");
        }
    }
    assert!(entered > 100 && refused > 300, "{entered} {refused}");
}

#[tokio::test]
async fn no_route_of_any_surface_lets_in_whom_the_table_of_rights_does_not_name() {
    let surface = surface();
    let visitors = visitors(&surface).await;
    let acme = Acme::start(Arc::clone(&surface.services)).await.unwrap();
    let mut refused = 0;
    for carried in config::Surface::ALL {
        let routes = crate::http::surface_routes(&surface.services, &acme, carried);
        let (table, router) = (routes.table().to_vec(), routes.into_router());
        for route in &table {
            for visitor in &visitors {
                if visitor.enters(route) {
                    continue;
                }
                surface.seal_is(SealStatus::Unsealed).await;
                let acts = surface.signer.state.lock().unwrap().acts;
                let token = visitor.token.as_deref();
                let request = surface.request(&visitor.peer, token, &route.method, &route.path, None);
                let status = router.clone().oneshot(request).await.unwrap().status();
                let place = format!("{} at {} {}: {status}", visitor.what, route.method, route.path);
                match carried {
                    config::Surface::Admin => assert_eq!(status, visitor.refusal, "{place}"),
                    // uPKI knows no other.
                    config::Surface::Upki => assert_eq!(status, StatusCode::UNAUTHORIZED, "{place}"),
                    // Who asks proves himself by what he sends, and sent nothing.
                    _ => assert!(status.is_client_error(), "{place}"),
                }
                assert_eq!(surface.signer.state.lock().unwrap().acts, acts, "{place}");
                refused += 1;
            }
        }
    }
    assert!(refused > 600, "{refused}");
}

#[tokio::test]
async fn what_needs_the_key_says_that_it_is_sealed_before_it_asks_who_is_there() {
    let surface = surface();
    let visitors = visitors(&surface).await;
    surface.seal_is(SealStatus::Sealed).await;
    let routes = surface.routes().await;
    let with_key: Vec<&Route> = routes.table().iter().filter(|route| route.key == Key::Needed).collect();
    assert!(with_key.len() >= 4);
    for route in with_key {
        for visitor in &visitors {
            let token = visitor.token.as_deref();
            let response = surface.send_as(&visitor.peer, token, &route.method, &route.path, None).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{} at {}", visitor.what, route.path);
            assert!(response.headers().contains_key("retry-after"));
            let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["detail"], "strongbox sealed");
        }
    }
}

#[tokio::test]
async fn who_shows_a_certificate_sees_and_revokes_that_one_and_no_other() {
    let surface = surface();
    let (own, other) = (surface.certificate(&["a.test"]).await, surface.certificate(&["b.test"]).await);
    let certificate = PeerCertificate::read(&own.certificate).unwrap();
    let client = Peer { from: "test".to_owned(), certificate: Some(certificate) };
    let show =
        async |serial| surface.ask(&client, Method::GET, &format!("/admin/v1/certificates/{serial}"), None).await.0;
    assert_eq!((show(own.serial).await, show(other.serial).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    // The list holds that one, and was not looked for among the others, of which one cannot be read.
    const NO_RECORD: Table<u8> = Table::new("certificates");
    let mut change = Change::new();
    change.put(&NO_RECORD, [1; 20], &1);
    surface.services.store.commit(change).await.unwrap();
    let (status, list) = surface.ask(&client, Method::GET, "/admin/v1/certificates", None).await;
    assert_eq!((status, list["certificates"].as_array().unwrap().len()), (StatusCode::OK, 1), "{list}");
    assert_eq!(list["certificates"][0]["serial"], json!(own.serial));
    let (_, list) = surface.ask(&client, Method::GET, "/admin/v1/certificates?name=b.test", None).await;
    assert_eq!(list["certificates"], json!([]));
    let revoke = async |serial| {
        let path = format!("/admin/v1/certificates/{serial}/revoke");
        surface.ask(&client, Method::POST, &path, Some(json!({"reason": null}))).await.0
    };
    assert_eq!(revoke(other.serial).await, StatusCode::NOT_FOUND);
    assert_eq!(surface.signer.state.lock().unwrap().acts, 0);
    // The signer of this test writes no journal, so no effect follows, but it was told.
    let _ = revoke(own.serial).await;
    assert!(surface.signer.state.lock().unwrap().acts > 0);
    let acts = Some(json!({"deed": {"act": "hold"}, "serials": [own.serial, other.serial]}));
    let (status, _) = surface.ask(&client, Method::POST, "/admin/v1/certificates/act", acts).await;
    assert_ne!(status, StatusCode::OK);
}
