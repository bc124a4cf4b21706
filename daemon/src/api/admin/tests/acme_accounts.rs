//! ACME accounts and external account keys, as administrators see them.

use super::*;

fn grant(names: &[&str]) -> Value {
    json!({
        "label": "web team", "names": names, "profiles": ["server"], "orders": 10, "certificates": null,
        "expires": null, "reuse": "many", "limits": "apply",
    })
}

#[tokio::test]
async fn a_key_is_shown_with_its_secret_once_and_without_it_for_ever_after() {
    let surface = surface();
    surface.seal_is(SealStatus::Unsealed).await;
    let administrator = surface.administrator().await;
    let body = json!({"grant": grant(&[".example.test", "10.0.0.0/8"]), "lifetime": 3600});
    let (status, created) = surface.ask(&administrator, Method::POST, "/admin/v1/acme/eab", Some(body)).await;
    assert_eq!((status, created["standing"].as_str()), (StatusCode::CREATED, Some("active")), "{created}");
    assert_eq!(created["grant"]["expires"], NOW.0 + 3600);
    let (id, secret) = (created["id"].as_str().unwrap(), created["mac_key"].as_str().unwrap());
    assert_eq!((id.len(), secret.len()), (32, 86));
    let path = format!("/admin/v1/acme/eab/{id}");
    for path in ["/admin/v1/acme/eab", &path] {
        let (status, shown) = surface.ask(&administrator, Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK);
        let text = shown.to_string();
        assert!(text.contains(id) && text.contains("web team") && !text.contains(secret), "{text}");
    }
    let revoke = |accounts: &str| Some(json!({ "accounts": accounts }));
    let path = format!("{path}/revoke");
    for (accounts, expected) in [("keep", StatusCode::OK), ("keep", StatusCode::CONFLICT), ("end", StatusCode::OK)] {
        assert_eq!(surface.ask(&administrator, Method::POST, &path, revoke(accounts)).await.0, expected);
    }
    let (_, list) = surface.ask(&administrator, Method::GET, "/admin/v1/acme/eab", None).await;
    assert_eq!(list["keys"][0]["standing"], "revoked");
    assert!(list["keys"][0]["revoked"]["by"].as_str().unwrap().starts_with("admin:"));
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused_in_a_sentence() {
    let surface = surface();
    surface.seal_is(SealStatus::Unsealed).await;
    let administrator = surface.administrator().await;
    let with = |member: &str, value: Value| {
        let mut grant = grant(&[]);
        grant[member] = value;
        json!({"grant": grant, "lifetime": null})
    };
    for (body, status, words) in [
        (with("names", json!(["*.example.*"])), StatusCode::BAD_REQUEST, "DNS name"),
        (with("names", json!(vec![".example.test"; 101])), StatusCode::BAD_REQUEST, "at most 100"),
        (with("label", json!("x".repeat(129))), StatusCode::BAD_REQUEST, "at most 128 octets"),
        (with("label", json!("a\nb")), StatusCode::BAD_REQUEST, "a line"),
        (with("reuse", json!("twice")), StatusCode::BAD_REQUEST, "unknown variant"),
        (with("secret", json!("mine")), StatusCode::BAD_REQUEST, "unknown field"),
        (with("profiles", json!(["nothing"])), StatusCode::CONFLICT, "not offered: use one of server"),
        (with("expires", json!(1)), StatusCode::CONFLICT, "expired already"),
    ] {
        let (answered, problem) = surface.ask(&administrator, Method::POST, "/admin/v1/acme/eab", Some(body)).await;
        assert_eq!(answered, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_missing_and_what_is_no_parameter_is_refused() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, body, expected) in [
        (&get, "/admin/v1/acme/accounts/none", None, StatusCode::NOT_FOUND),
        (&post, "/admin/v1/acme/accounts/none/deactivate", None, StatusCode::NOT_FOUND),
        (&post, "/admin/v1/acme/accounts/none/bind", Some(json!({"eab": "x"})), StatusCode::NOT_FOUND),
        (&get, "/admin/v1/acme/eab/none", None, StatusCode::NOT_FOUND),
        (&post, "/admin/v1/acme/eab/none/revoke", Some(json!({"accounts": "keep"})), StatusCode::NOT_FOUND),
        (&post, "/admin/v1/acme/eab/none/revoke", Some(json!({"accounts": "some"})), StatusCode::BAD_REQUEST),
        (&get, "/admin/v1/acme/accounts?page=2", None, StatusCode::BAD_REQUEST),
        (&get, "/admin/v1/acme/eab?limit=x", None, StatusCode::BAD_REQUEST),
        (&get, "/admin/v1/acme/accounts?limit=7&eab=none", None, StatusCode::OK),
    ] {
        let (status, answer) = surface.ask(&administrator, method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(status == StatusCode::OK || answer["detail"].as_str().is_some_and(|detail| detail.len() > 10));
    }
}
