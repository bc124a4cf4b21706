//! What administrators may do, and nobody else.

use base64::Engine as _;
use http::{Method, StatusCode};
use policy::rights::Role;
use policy::tbs::Certificate;
use serde_json::{Value, json};

use super::world::{World, csr, nobody};

const ROUTES: [(Method, &str); 9] = [
    (Method::GET, "/api/v1/private/nodes"),
    (Method::POST, "/api/v1/private/nodes"),
    (Method::DELETE, "/api/v1/private/nodes/app.example.test"),
    (Method::GET, "/api/v1/private/admins"),
    (Method::POST, "/api/v1/private/admins"),
    (Method::DELETE, "/api/v1/private/admins/%2FCN%3DSomebody"),
    (Method::POST, "/api/v1/private/crl/generate"),
    (Method::GET, "/api/v1/private/config"),
    (Method::GET, "/api/v1/private/options"),
];

#[tokio::test]
async fn whoever_is_no_administrator_gets_401_whatever_headers_he_sends() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (client, _) = world.certified("app.example.test", None).await;
    let forged = [
        ("content-type", "application/json"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-ssl-client-s-dn", "/CN=Somebody who is administrator"),
    ];
    let before = world.inner.signer.inner().lines.len();
    for (method, path) in ROUTES {
        let answer = world.send(&nobody(), method.clone(), path, &forged, b"{}".to_vec()).await;
        answer.is_error(401, "AUTH_ERROR");
        let answer = world.send(&client, method, path, &forged, b"{}".to_vec()).await;
        answer.is_error(401, "AUTHZ_ERROR");
    }
    assert_eq!(world.inner.signer.inner().lines.len(), before, "nothing was journalled");
    // An auditor looks, and changes nothing.
    let auditor = world.administrator(Role::Auditor).await;
    for (method, path) in ROUTES {
        let answer = world.send(&auditor, method.clone(), path, &forged[..1], b"{}".to_vec()).await;
        match method {
            Method::GET => assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}"),
            _ => drop(answer.is_error(401, "AUTHZ_ERROR")),
        }
    }
}

#[tokio::test]
async fn registering_a_node_makes_its_key_and_certificate_and_deleting_it_revokes_them() {
    let world = World::new().await;
    let administrator = world.administrator(Role::Operator).await;
    let body = json!({"cn": "Web-1.example.test", "profile": "server", "sans": ["www.example.test", "10.0.0.7"]});
    let answer = world.post(&administrator, "/api/v1/private/nodes", body.clone()).await;
    let node = answer.data()["node"].clone();
    assert_eq!((&node["dn"], &node["profile"]), (&json!("/CN=web-1.example.test"), &json!("server")));
    let serial = answer.integer("serial");
    let (label, der) = der::pem::decode_vec(node["certificate"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(label, "CERTIFICATE");
    assert_eq!(Certificate::from_der(&der).unwrap().names().len(), 3);
    let (label, _) = der::pem::decode_vec(node["private_key"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(label, "PRIVATE KEY");

    let list = world.ask(&administrator, Method::GET, "/api/v1/private/nodes").await;
    let listed = list.data()["nodes"].as_array().unwrap().iter().find(|one| one["cn"] == "web-1.example.test").cloned();
    let listed = listed.unwrap_or_else(|| panic!("{list:?}"));
    assert_eq!(
        (&listed["dn"], &listed["state"], &listed["profile"]),
        (&json!("/CN=web-1.example.test"), &json!("certified"), &json!("server"))
    );
    assert!(list.body.contains(&format!("\"serial\":{serial}")));

    // Once is enough.
    world.post(&administrator, "/api/v1/private/nodes", body).await.is_error(400, "OPERATION_FAILED");
    let removed = world.ask(&administrator, Method::DELETE, "/api/v1/private/nodes/web-1.example.test").await;
    assert_eq!(removed.json(), json!({"status": "success", "message": "Node deleted"}));
    let status = world.post(&nobody(), "/api/v1/ocsp", json!({"serial": serial})).await.data();
    assert_eq!((&status["status"], &status["revoke_reason"]), (&json!("revoked"), &json!("cessationOfOperation")));
    world.ask(&administrator, Method::DELETE, "/api/v1/private/nodes/web-1.example.test").await.is_missing();
    world.ask(&administrator, Method::DELETE, "/api/v1/private/nodes/never.example.test").await.is_missing();
}

#[tokio::test]
async fn a_node_may_bring_its_own_key_and_what_policy_refuses_is_not_registered() {
    let world = World::new().await;
    let administrator = world.administrator(Role::Administrator).await;
    let body = json!({"cn": "own.example.test", "csr": csr("own.example.test")});
    let node = world.post(&administrator, "/api/v1/private/nodes", body).await.data()["node"].clone();
    assert!(node.get("private_key").is_none() && node["certificate"].is_string());
    for wrong in [
        json!({"cn": ""}),
        json!({"cn": "a.example.test", "profile": "none"}),
        json!({"cn": "a.example.test", "profile": "ca"}),
        json!({"cn": "a.example.test", "sans": ["no name"]}),
        json!({"cn": "a.example.test", "sans": ["203.0.113.1"]}),
        json!({"cn": "No Server", "profile": "server"}),
        json!({"cn": "a.example.test", "csr": "no CSR"}),
    ] {
        let answer = world.post(&administrator, "/api/v1/private/nodes", wrong.clone()).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{wrong}: {answer:?}");
    }
    let nodes = world.ask(&administrator, Method::GET, "/api/v1/private/nodes").await.data();
    let names: Vec<&Value> = nodes["nodes"].as_array().unwrap().iter().map(|node| &node["cn"]).collect();
    assert_eq!(names, [&json!("Somebody who is administrator"), &json!("own.example.test")]);
}

#[tokio::test]
async fn administrators_are_listed_by_name_and_a_name_makes_nobody_one() {
    let world = World::new().await;
    let administrator = world.administrator(Role::Administrator).await;
    world.administrator(Role::Auditor).await;
    let list = world.ask(&administrator, Method::GET, "/api/v1/private/admins").await.data();
    let mut names: Vec<String> = list["admins"].as_array().unwrap().iter().map(|one| one["dn"].to_string()).collect();
    names.sort();
    assert_eq!(names, ["\"/CN=Somebody who is administrator\"", "\"/CN=Somebody who is auditor\""]);

    let body = json!({"admins": ["/CN=Somebody who is auditor", "/CN=Mallory"]});
    let added = world.post(&administrator, "/api/v1/private/admins", body).await.data();
    let results = added["results"].as_array().unwrap();
    assert_eq!(results[0], json!({"dn": "/CN=Somebody who is auditor", "success": true}));
    assert_eq!((&results[1]["dn"], &results[1]["success"]), (&json!("/CN=Mallory"), &json!(false)));
    assert!(results[1]["error"].as_str().unwrap().contains("signetctl admin add"));
    let none = json!({"admins": []});
    world.post(&administrator, "/api/v1/private/admins", none).await.is_error(400, "VALIDATION_ERROR");

    let encoded = base64::engine::general_purpose::STANDARD.encode("/CN=Somebody who is auditor");
    let remove = |name: String| format!("/api/v1/private/admins/{name}");
    world
        .ask(&administrator, Method::DELETE, &remove("%2FCN%3DMallory".into()))
        .await
        .is_error(400, "OPERATION_FAILED");
    let removed = world.ask(&administrator, Method::DELETE, &remove(encoded.clone())).await;
    assert_eq!(removed.json(), json!({"status": "success", "message": "Admin removed"}));
    world.ask(&administrator, Method::DELETE, &remove(encoded)).await.is_error(400, "OPERATION_FAILED");
    // The last one stays.
    let last = remove("/CN=Somebody%20who%20is%20administrator".into());
    world.ask(&administrator, Method::DELETE, &last).await.is_error(400, "OPERATION_FAILED");
}

#[tokio::test]
async fn crl_configuration_and_options_are_answered() {
    let world = World::new().await;
    let administrator = world.administrator(Role::Administrator).await;
    let crl = world.ask(&administrator, Method::POST, "/api/v1/private/crl/generate").await.data();
    assert_eq!(crl, world.get("/api/v1/crl").await.data());
    let config = world.ask(&administrator, Method::GET, "/api/v1/private/config").await.data();
    assert_eq!(
        (&config["ca_host"], &config["ca_port"], &config["registered"]),
        (&json!("ca.test"), &json!(443), &json!(true))
    );
    assert!(config["data_dir"].is_string());
    let options = world.ask(&administrator, Method::GET, "/api/v1/private/options").await.data();
    assert_eq!(
        options,
        json!({
            "key_types": [
                {"type": "rsa", "sizes": [2048, 3072, 4096]},
                {"type": "ec", "curves": ["prime256v1", "secp384r1"]},
                {"type": "ed25519"},
            ],
            "digests": ["sha256"],
            "profiles": ["client", "laptop", "server", "user", "webapp"],
            "validity_days": {"min": 60, "max": 90, "default": 60},
        })
    );
}
