//! Bodies that are not what their path takes: a clear 4xx in the dialect's shape, and nothing changes.

use http::{Method, StatusCode};
use policy::rights::Role;
use serde_json::{Value, json};

use super::world::{World, csr, nobody};

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_as_fastapi_says_it() {
    let world = World::new().await;
    let administrator = world.administrator(Role::Administrator).await;
    let before = world.inner.signer.inner().lines.len();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let good = csr("app.example.test");
    for (path, body, kind, place) in [
        ("/api/v1/certify", "{}".to_owned(), "missing", json!(["body", "csr"])),
        ("/api/v1/public/certify", json!({"csr": "short"}).to_string(), "string_too_short", json!(["body", "csr"])),
        ("/api/v1/certify", json!({"csr": "x".repeat(10_001)}).to_string(), "string_too_long", json!(["body", "csr"])),
        ("/api/v1/certify", json!({"csr": 7}).to_string(), "string_type", json!(["body", "csr"])),
        (
            "/api/v1/certify",
            json!({"csr": good, "profile": ["server"]}).to_string(),
            "string_type",
            json!(["body", "profile"]),
        ),
        ("/api/v1/certify", json!({"csr": good, "more": 1}).to_string(), "extra_forbidden", json!(["body", "more"])),
        ("/api/v1/certify", format!("{{\"csr\": {deep}}}"), "json_invalid", json!(["body"])),
        ("/api/v1/certify", "{\"csr\": \"a\", \"csr\": \"b\"}".to_owned(), "model_attributes_type", json!(["body"])),
        ("/api/v1/certify", "{".to_owned(), "json_invalid", json!(["body"])),
        ("/api/v1/certify", "[]".to_owned(), "model_attributes_type", json!(["body"])),
        ("/api/v1/certify", String::new(), "json_invalid", json!(["body"])),
        ("/api/v1/ocsp", "{}".to_owned(), "missing", json!(["body", "serial"])),
        ("/api/v1/ocsp", json!({"serial": 17}).to_string(), "string_type", json!(["body", "serial"])),
        ("/api/v1/private/nodes", "{}".to_owned(), "missing", json!(["body", "cn"])),
        (
            "/api/v1/private/nodes",
            json!({"cn": "a.test", "sans": "a"}).to_string(),
            "list_type",
            json!(["body", "sans"]),
        ),
        (
            "/api/v1/private/nodes",
            json!({"cn": "a.test", "sans": [1]}).to_string(),
            "string_type",
            json!(["body", "sans", 0]),
        ),
        ("/api/v1/private/admins", "{}".to_owned(), "missing", json!(["body", "admins"])),
        ("/api/v1/client/revoke", json!({"reason": 1}).to_string(), "string_type", json!(["body", "reason"])),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = world.send(&administrator, Method::POST, path, &headers, body.clone().into_bytes()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}: {answer:?}");
        let detail = answer.json()["detail"][0].clone();
        assert_eq!((&detail["type"], &detail["loc"]), (&json!(kind), &place), "{path} {body}");
        assert!(detail["msg"].is_string() && detail["input"].is_object(), "{detail}");
    }
    assert_eq!(world.inner.signer.inner().lines.len(), before);
}

#[tokio::test]
async fn a_body_is_json_by_name_and_in_utf_8() {
    let world = World::new().await;
    let body = json!({"csr": csr("app.example.test")}).to_string().into_bytes();
    for headers in
        [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
    {
        let answer = world.send(&nobody(), Method::POST, "/api/v1/certify", headers, body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json()["detail"][0]["type"], "model_attributes_type");
    }
    let headers = [("content-type", "application/json; charset=utf-8")];
    let answer = world.send(&nobody(), Method::POST, "/api/v1/certify", &headers, vec![b'{', 0xff, b'}']).await;
    assert_eq!(answer.json()["detail"][0]["type"], "json_invalid");
}

#[tokio::test]
async fn a_request_that_is_none_is_400() {
    let world = World::new().await;
    let filler = "x".repeat(200);
    let garbage =
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", "QUJD".repeat(40));
    for csr in [filler, garbage] {
        let answer = world.post(&nobody(), "/api/v1/certify", json!({"csr": csr, "seed": "s"})).await;
        answer.is_error(400, "VALIDATION_ERROR");
    }
    let nameless = super::world::pem("CERTIFICATE REQUEST", &crate::service::acme::testing::csr(&["app.example.test"]));
    let answer = world.post(&nobody(), "/api/v1/certify", json!({"csr": nameless, "seed": "s"})).await;
    assert!(answer.is_error(400, "VALIDATION_ERROR").contains("no common name"));
}

#[tokio::test]
async fn problems_of_the_http_layer_have_the_dialects_form() {
    use axum::response::IntoResponse as _;
    let problem = crate::problem::Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "too large").into_response();
    let answer = crate::api::upki::present(problem).await;
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &"application/json".parse().unwrap())
    );
    let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({"status": "error", "code": "VALIDATION_ERROR", "message": "too large"}));
}
