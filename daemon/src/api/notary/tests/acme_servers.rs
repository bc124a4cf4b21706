//! Section 5: ACME servers of other CAs. Their secrets are kept, and never come back.

use http::Method;
use serde_json::{Value, json};

use super::world::World;

const SERVERS: &str = "/api/v1/acme_servers";

fn server(name: &str) -> Value {
    json!({
        "name": name, "directory_url": "https://acme.example.test/directory", "email": "ops@example.com",
        "dns_provider": "hetzner"
    })
}

fn with(name: &str, variables: Value) -> Value {
    let mut server = server(name);
    server["env_vars"] = variables;
    server
}

#[tokio::test]
async fn acme_servers_end_to_end() {
    let (world, admin) = World::administered().await;
    let at = |id: u64| format!("{SERVERS}/{id}");
    assert_eq!(world.get(&admin, SERVERS).await.data(200), json!([]));
    for body in [
        json!({"name": "incomplete"}),
        json!({"name": "a", "directory_url": "http://a.test/d", "email": "a@b.c", "dns_provider": "x"}),
        with("a", json!({"": "x"})),
        with("a", json!({"A": "x".repeat(5000)})),
    ] {
        let refused = world.post(&admin, SERVERS, body.clone()).await;
        assert!(refused.status == 400 && refused.body.contains("invalid request: "), "{body}: {refused:?}");
    }
    let made = world.post(&admin, SERVERS, with("First", json!({"TOKEN": "very-secret", "EXTRA": "1"}))).await;
    let expected = json!({
        "id": 1, "name": "First", "directory_url": "https://acme.example.test/directory", "email": "ops@example.com",
        "dns_provider": "hetzner", "active": false, "env_var_keys": ["EXTRA", "TOKEN"]
    });
    assert_eq!(made.data(201), expected);
    assert_eq!(world.get(&admin, &at(1)).await.data(200), expected);
    world.get(&admin, &at(99)).await.is_missing();
    let put = |path: String, body: Option<Value>| {
        let (world, admin) = (&world, &admin);
        async move { world.ask(admin, Method::PUT, &path, body).await }
    };
    // Variables stay if none are sent, and go if there are to be none.
    for (variables, keys) in
        [(json!({"TOKEN": "another"}), json!(["TOKEN"])), (Value::Null, json!(["TOKEN"])), (json!({}), json!([]))]
    {
        let changed = put(at(1), Some(with("Renamed", variables))).await.data(200);
        assert_eq!((&changed["name"], &changed["env_var_keys"]), (&json!("Renamed"), &keys));
    }
    put(at(99), Some(server("Ghost"))).await.is_missing();
    put(format!("{}/active", at(99)), None).await.is_missing();
    // One is active.
    world.post(&admin, SERVERS, with("Second", json!({"TOKEN": "very-secret"}))).await.data(201);
    for (active, other) in [(1, 2), (2, 1)] {
        assert_eq!(put(format!("{}/active", at(active)), None).await.data(200)["active"], json!(true));
        assert_eq!(world.get(&admin, &at(other)).await.data(200)["active"], json!(false));
    }
    let deleted = world.ask(&admin, Method::DELETE, &at(1), None).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.as_str()), (204, ""));
    world.ask(&admin, Method::DELETE, &at(1), None).await.is_missing();
    let list = world.get(&admin, SERVERS).await;
    assert_eq!(list.data(200).as_array().unwrap().len(), 1);
    assert!(!list.body.contains("very-secret"));
    assert_eq!(world.journalled("very-secret"), 0);
    assert_eq!((world.journalled("server_removed"), world.journalled("server_set")), (1, 7));
}
