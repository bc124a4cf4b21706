//! What the holder of a certificate may do with it.

use http::Method;
use policy::rights::Role;
use policy::tbs::Certificate;
use serde_json::json;

use super::world::{World, csr, holder, nobody};

#[tokio::test]
async fn a_client_sees_its_certificate_and_nobody_else_does() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (peer, issued) = world.certified("app.example.test", None).await;
    let serial = issued.integer("serial");
    let shown = world.ask(&peer, Method::GET, "/api/v1/client/certificate").await;
    assert_eq!(shown.data()["certificate"], issued.data()["certificate"]);
    let status = world.ask(&peer, Method::GET, "/api/v1/client/status").await;
    let data = status.data();
    assert_eq!(status.integer("serial"), serial);
    assert_eq!(
        (&data["dn"], &data["status"], &data["ocsp"]["status"]),
        (&json!("/CN=app.example.test"), &json!("valid"), &json!("good"))
    );
    for (method, path) in [
        (Method::GET, "/api/v1/client/certificate"),
        (Method::GET, "/api/v1/client/status"),
        (Method::POST, "/api/v1/client/renew"),
        (Method::POST, "/api/v1/client/revoke"),
    ] {
        world.ask(&nobody(), method, path).await.is_error(401, "AUTH_ERROR");
    }
}

#[tokio::test]
async fn a_renewal_has_the_same_names_and_another_key_and_supersedes_the_old_one() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (peer, issued) = world.certified("app.example.test", None).await;
    let old = issued.integer("serial");
    let renewed = world.post(&peer, "/api/v1/client/renew", json!({"profile": "client"})).await;
    let data = renewed.data();
    assert_ne!(renewed.integer("serial"), old);
    assert_eq!((&data["dn"], &data["profile"]), (&json!("/CN=app.example.test"), &json!("server")));
    assert!(data["private_key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    let status = world.post(&nobody(), "/api/v1/ocsp", json!({"serial": old})).await.data();
    assert_eq!(status["revoke_reason"], "superseded");
    assert!(world.get("/api/v1/certs/app.example.test").await.data()["is_valid"].as_bool().unwrap());
    // The old one opens nothing any more; the new one does, with a key of the client's own.
    world.ask(&peer, Method::GET, "/api/v1/client/status").await.is_error(401, "AUTHZ_ERROR");
    let peer = holder(&data["certificate"]);
    let own = world.post(&peer, "/api/v1/client/renew", json!({"csr": csr("app.example.test")})).await.data();
    assert!(own.get("private_key").is_none());
    // Without a body, too.
    let peer = holder(&own["certificate"]);
    let bare = world.ask(&peer, Method::POST, "/api/v1/client/renew").await.data();
    let (_, der) = der::pem::decode_vec(bare["certificate"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(Certificate::from_der(&der).unwrap().names().len(), 1);
    // It is still the node's: the administrator who deletes it finds it.
    let administrator = world.administrator(Role::Administrator).await;
    world.ask(&administrator, Method::DELETE, "/api/v1/private/nodes/app.example.test").await;
    world.ask(&holder(&bare["certificate"]), Method::GET, "/api/v1/client/status").await.is_error(401, "AUTHZ_ERROR");
}

#[tokio::test]
async fn a_renewal_is_for_the_same_names_only() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (peer, _) = world.certified("app.example.test", None).await;
    let signed = world.inner.signer.certificates().len();
    let other = json!({"csr": csr("other.example.test")});
    world.post(&peer, "/api/v1/client/renew", other).await.is_error(400, "VALIDATION_ERROR");
    assert_eq!(world.inner.signer.certificates().len(), signed);
    world.ask(&peer, Method::GET, "/api/v1/client/status").await.data();
}

#[tokio::test]
async fn a_client_revokes_its_own_certificate_for_a_reason_that_is_its_to_give() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (peer, _) = world.certified("app.example.test", None).await;
    for wrong in ["cACompromise", "certificateHold", "removeFromCRL", "because"] {
        world.post(&peer, "/api/v1/client/revoke", json!({"reason": wrong})).await.is_error(400, "VALIDATION_ERROR");
    }
    // Sealed or not.
    world.seal();
    let _ = world.services().ca.status().await;
    let done = world.post(&peer, "/api/v1/client/revoke", json!({})).await;
    assert_eq!(done.json(), json!({"status": "success", "message": "Certificate revoked successfully"}));
    world.post(&peer, "/api/v1/client/revoke", json!({})).await.is_error(401, "AUTHZ_ERROR");
}
