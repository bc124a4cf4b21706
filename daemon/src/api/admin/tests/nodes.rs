//! `/admin/v1/nodes`: every route, as whom and with what it answers.

use std::collections::BTreeMap;

use super::*;
use policy::profile::Profile;

/// The surface, with the profile `node`.
fn with_nodes() -> Surface {
    let mut surface = surface();
    let text = include_str!("../../../../../packaging/profiles/node.toml");
    let profile = Profile::from_toml("node.toml", text).unwrap();
    let services = Arc::get_mut(&mut surface.services).expect("nobody else has it yet");
    services.profiles.replace(BTreeMap::from([("node".to_owned(), profile.into())]));
    surface
}

#[tokio::test]
async fn a_node_is_registered_changed_shown_and_deleted() {
    let surface = with_nodes();
    let administrator = surface.administrator().await;
    let registration =
        json!({"common_name": "web-1.example.test", "names": [".web-1.example.test"], "profile": "node"});
    let (status, node) = surface.ask(&administrator, Method::POST, "/admin/v1/nodes", Some(registration.clone())).await;
    assert_eq!(
        (status, &node["state"], &node["certificate"]),
        (StatusCode::CREATED, &json!("registered"), &Value::Null)
    );
    assert_eq!(node["registration"]["names"], json!([".web-1.example.test"]));
    let (status, _) = surface.ask(&administrator, Method::POST, "/admin/v1/nodes", Some(registration)).await;
    assert_eq!(status, StatusCode::CONFLICT);

    let path = "/admin/v1/nodes/web-1.example.test";
    let changed = json!({"common_name": "web-1.example.test", "profile": "node"});
    let (status, node) = surface.ask(&administrator, Method::PUT, path, Some(changed)).await;
    assert_eq!((status, &node["registration"]["names"]), (StatusCode::OK, &json!([])));
    let renamed = json!({"common_name": "web-2.example.test", "profile": "node"});
    assert_eq!(surface.ask(&administrator, Method::PUT, path, Some(renamed)).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    let (status, made) = surface.ask(&administrator, Method::POST, &format!("{path}/seeds"), Some(json!({}))).await;
    assert_eq!((status, made["secret"].as_str().unwrap().len()), (StatusCode::CREATED, 64));
    let (status, seeds) = surface.ask(&administrator, Method::GET, &format!("{path}/seeds"), None).await;
    assert_eq!((status, &seeds[0]["standing"]), (StatusCode::OK, &json!("fresh")));
    assert!(!seeds.to_string().contains(made["secret"].as_str().unwrap()));

    let (status, page) = surface.ask(&administrator, Method::GET, "/admin/v1/nodes?limit=1", None).await;
    assert_eq!((status, page["nodes"].as_array().unwrap().len(), &page["next"]), (StatusCode::OK, 1, &Value::Null));
    assert_eq!(surface.ask(&administrator, Method::GET, path, None).await.0, StatusCode::OK);
    let (status, done) = surface.ask(&administrator, Method::DELETE, path, None).await;
    assert_eq!((status, done), (StatusCode::OK, json!({"revoked": 0})));
    assert_eq!(surface.ask(&administrator, Method::DELETE, path, None).await.0, StatusCode::NOT_FOUND);
    let (_, page) = surface.ask(&administrator, Method::GET, "/admin/v1/nodes?deleted=true", None).await;
    assert_eq!(page["nodes"][0]["state"], "deleted");
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let surface = with_nodes();
    let administrator = surface.administrator().await;
    for body in [
        json!({}),
        json!({"common_name": "", "profile": "node"}),
        json!({"common_name": "a.test", "profile": "node", "more": 1}),
        json!({"common_name": "a.test", "profile": 1}),
        json!({"common_name": "a.test", "profile": "node", "names": ["*.a.test."]}),
        json!({"common_name": "a.test", "profile": "node", "account": "x"}),
    ] {
        let (status, said) = surface.ask(&administrator, Method::POST, "/admin/v1/nodes", Some(body.clone())).await;
        assert!(status.is_client_error(), "{body}: {status} {said}");
    }
    let unknown = json!({"common_name": "a.test", "profile": "none"});
    assert_eq!(
        surface.ask(&administrator, Method::POST, "/admin/v1/nodes", Some(unknown)).await.0,
        StatusCode::CONFLICT
    );
    for (method, path) in [
        (Method::GET, "/admin/v1/nodes/a.test"),
        (Method::DELETE, "/admin/v1/nodes/a.test"),
        (Method::GET, "/admin/v1/nodes/a.test/seeds"),
        (Method::GET, "/admin/v1/nodes/%20"),
    ] {
        assert_eq!(surface.ask(&administrator, method, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, page) = surface.ask(&administrator, Method::GET, "/admin/v1/nodes?deleted=true", None).await;
    assert_eq!(page["nodes"], json!([]));
    for query in ["limit=x", "cursor=", "what=1"] {
        let path = format!("/admin/v1/nodes?{query}");
        assert_eq!(surface.ask(&administrator, Method::GET, &path, None).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
}
