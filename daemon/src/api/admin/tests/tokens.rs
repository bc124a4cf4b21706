//! API tokens over the surface.

use policy::rights::Permission;

use super::*;

/// Makes a token; its id and itself.
pub(super) async fn create(
    surface: &Surface,
    administrator: &Peer,
    permissions: &[Permission],
    scope: &str,
) -> (String, String) {
    let rights = json!({"permissions": permissions, "scope": scope});
    let grant = json!({"owner": "a test", "rights": rights, "names": [], "profiles": [], "expires": null});
    let body = Some(json!({"grant": grant, "lifetime": null}));
    let (status, created) = surface.ask(administrator, Method::POST, "/admin/v1/tokens", body).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    (created["id"].as_str().unwrap().to_owned(), created["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_shown_once_acts_within_its_rights_and_is_revoked_for_ever() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let anonymous = Peer { from: "test".to_owned(), certificate: None };
    let get = async |secret: &str, path: &str| {
        surface.send_as(&anonymous, Some(secret), &Method::GET, path, None).await.status().as_u16()
    };
    let (narrow, secret) = create(&surface, &administrator, &[Permission::ReadStatus], "own").await;
    assert!(secret.starts_with("signet_") && secret.len() == 50, "{secret}");
    // Own is not everything: a route that shows everything does not open.
    assert_eq!(get(&secret, "/admin/v1/status").await, 403);
    assert_eq!(surface.signer.state.lock().unwrap().acts, 1);

    let (wide, secret) = create(&surface, &administrator, &[Permission::ReadStatus], "everything").await;
    assert_eq!(get(&secret, "/admin/v1/status").await, 200);
    assert_eq!(get(&secret, "/admin/v1/tokens").await, 403);

    let (_, page) = surface.ask(&administrator, Method::GET, "/admin/v1/tokens?limit=1", None).await;
    assert_eq!(page["tokens"].as_array().unwrap().len(), 1);
    let next = page["next"].as_str().unwrap();
    let (_, rest) = surface.ask(&administrator, Method::GET, &format!("/admin/v1/tokens?cursor={next}"), None).await;
    let both = BTreeSet::from([page["tokens"][0]["id"].as_str(), rest["tokens"][0]["id"].as_str()]);
    assert_eq!((both, &rest["next"]), (BTreeSet::from([Some(&*narrow), Some(&*wide)]), &Value::Null));
    assert!(!page.to_string().contains(&secret) && !rest.to_string().contains(&secret));

    let path = format!("/admin/v1/tokens/{wide}");
    for (state, expected) in [("disabled", 401), ("enabled", 200), ("locked", 401), ("enabled", 200), ("revoked", 401)]
    {
        let set = Some(json!({"state": state}));
        let (set, _) = surface.ask(&administrator, Method::PUT, &format!("{path}/state"), set).await;
        assert_eq!((set, get(&secret, "/admin/v1/status").await), (StatusCode::NO_CONTENT, expected), "{state}");
    }
    let set = Some(json!({"state": "enabled"}));
    let (conflict, _) = surface.ask(&administrator, Method::PUT, &format!("{path}/state"), set).await;
    assert_eq!(conflict, StatusCode::CONFLICT);
    let (_, shown) = surface.ask(&administrator, Method::GET, &path, None).await;
    assert_eq!((&shown["state"], &shown["changed_by"]), (&json!("revoked"), &shown["created_by"]));
    assert_eq!(surface.ask(&administrator, Method::GET, "/admin/v1/tokens/00", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_that_would_be_too_strong_useless_or_over_is_not_made() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let certify = json!(["certify"]);
    for (permissions, profiles, expires, expected) in [
        (json!(["unseal"]), json!([]), Value::Null, StatusCode::FORBIDDEN),
        (json!(["manage-tokens", "certify"]), json!([]), Value::Null, StatusCode::FORBIDDEN),
        (json!([]), json!([]), Value::Null, StatusCode::CONFLICT),
        (certify.clone(), json!(["nobody"]), Value::Null, StatusCode::CONFLICT),
        (certify.clone(), json!([]), json!(NOW.0 - 1), StatusCode::CONFLICT),
        (json!(["everything"]), json!([]), Value::Null, StatusCode::BAD_REQUEST),
        (certify, json!([]), json!(-1), StatusCode::BAD_REQUEST),
    ] {
        let rights = json!({"permissions": permissions, "scope": "own"});
        let grant = json!({"owner": "x", "rights": rights, "names": [], "profiles": profiles, "expires": expires});
        let body = Some(json!({"grant": grant, "lifetime": null}));
        let (status, problem) = surface.ask(&administrator, Method::POST, "/admin/v1/tokens", body).await;
        assert_eq!(status, expected, "{problem}");
    }
    assert_eq!(surface.signer.state.lock().unwrap().acts, 0);
}
