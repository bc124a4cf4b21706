//! Section 3: certificate authorities, as far as no token is needed. What comes of them is tried end to end.

use http::Method;
use serde_json::json;

use super::world::World;

const AUTHORITIES: &str = "/api/v1/certificate_authorities";

#[tokio::test]
async fn the_ceremonys_ca_is_shown_and_cannot_be_changed() {
    let (world, admin) = World::administered().await;
    let list = world.get(&admin, AUTHORITIES).await.data(200);
    let shown = list.as_array().unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0]["id"], &shown[0]["enabled"], &shown[0]["status"]),
        (&json!(1), &json!(true), &json!("active"))
    );
    assert!(shown[0]["certificate"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(world.get(&admin, &format!("{AUTHORITIES}/1")).await.data(200), shown[0]);
    let body = json!({"enabled": false, "certificate_chain": "x", "certificate_authority_id": "1"});
    for (method, what) in [(Method::PUT, ""), (Method::DELETE, ""), (Method::POST, "/sign"), (Method::POST, "/revoke")]
    {
        let path = format!("{AUTHORITIES}/1{what}");
        let refused = world.ask(&admin, method.clone(), &path, Some(body.clone())).await;
        assert!(matches!(refused.status.as_u16(), 400 | 404), "{method} {path}: {refused:?}");
        world.ask(&admin, method.clone(), &format!("{AUTHORITIES}/99{what}"), Some(body.clone())).await.is_missing();
        let wrong = world.ask(&admin, method, &format!("{AUTHORITIES}/x{what}"), Some(body.clone())).await;
        wrong.is_error(400, "invalid ID", "Invalid ID");
    }
    world.get("", &format!("{AUTHORITIES}/99/crl")).await.is_missing();
}

#[tokio::test]
async fn a_ca_that_cannot_be_made_is_refused_with_what_is_wrong() {
    let (world, admin) = World::administered().await;
    for body in [
        json!({"self_signed": true}),
        json!({"self_signed": true, "common_name": "A CA", "not_valid_after": "tomorrow"}),
    ] {
        let refused = world.post(&admin, AUTHORITIES, body).await;
        assert!(refused.status == 400 && refused.body.contains("invalid request: "), "{refused:?}");
    }
    // No profile for authorities is configured here.
    let refused = world.post(&admin, AUTHORITIES, json!({"self_signed": true, "common_name": "A CA"})).await;
    assert!(refused.status == 503 && refused.body.contains("[notary]"), "{refused:?}");
    let sign = world.post(&admin, &format!("{AUTHORITIES}/1/sign"), json!({"certificate_authority_id": "x"})).await;
    sign.is_error(400, "invalid certificate authority ID", "Invalid certificate authority ID");
}

#[tokio::test]
async fn what_is_made_is_checked_before_the_signer_is_asked() {
    let world = World::new().await;
    let inner = world.inner.reassemble(|services| {
        services.notary.authorities = Some(("departments".to_owned(), policy::key::KeyKind::P256));
    });
    let inner = inner.await;
    let router = crate::api::notary::routes(std::sync::Arc::clone(&inner.services)).into_router();
    let world = World { router, inner };
    let admin = world.first().await;
    let before = world.inner.signer.inner().lines.len();
    for (field, value) in [
        ("country_name", "Germany"),
        ("not_valid_after", "2020-01-01T00:00:00Z"),
        ("organization_name", &"x".repeat(65)),
        ("sans_dns", "a.example.test, -b"),
    ] {
        let mut body = json!({"self_signed": true, "common_name": "A CA"});
        body[field] = value.into();
        let refused = world.post(&admin, AUTHORITIES, body).await;
        assert!(refused.status == 400 && refused.body.contains("invalid request: "), "{field}: {refused:?}");
    }
    assert_eq!(world.inner.signer.inner().lines.len(), before);
}
