//! What anybody may ask, at both prefixes.

use http::{Method, StatusCode};
use policy::tbs::Certificate;
use serde_json::json;

use super::world::{World, nobody};

const PREFIXES: [&str; 2] = ["/api/v1", "/api/v1/public"];

#[tokio::test]
async fn health_ca_and_profiles_are_there_sealed_or_not() {
    let world = World::new().await;
    for sealed in [false, true] {
        if sealed {
            world.seal();
            let _ = world.services().ca.status().await;
        }
        for prefix in PREFIXES {
            let at = |path: &str| format!("{prefix}{path}");
            assert_eq!(world.get(&at("/health")).await.data(), json!({"status": "healthy"}));
            let pem = world.get(&at("/ca")).await.data()["certificate"].as_str().unwrap().to_owned();
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"));
            assert_eq!(world.get(&at("/certs/ca.crt")).await.data()["certificate"], json!(pem));
            assert_eq!(
                world.get(&at("/profiles")).await.data(),
                json!(["client", "laptop", "server", "user", "webapp"])
            );
        }
    }
}

#[tokio::test]
async fn a_profile_is_described_in_the_words_of_code_and_documentation() {
    let world = World::new().await;
    let server = world.get("/api/v1/public/profiles/server").await.data();
    for (field, value) in [
        ("keyType", json!("rsa")),
        ("keyLen", json!(2048)),
        ("duration", json!(60)),
        ("digest", json!("sha256")),
        ("altnames", json!(true)),
        ("domain", json!(null)),
        ("subject", json!({})),
        ("keyUsage", json!(["digitalSignature", "keyEncipherment"])),
        ("extendedKeyUsage", json!(["serverAuth", "clientAuth"])),
        ("certType", json!("server")),
        ("name", json!("server")),
        ("type", json!("server")),
        ("validity", json!(60)),
        ("key_type", json!("rsa")),
        ("key_length", json!(2048)),
        ("ca", json!(false)),
        ("key_usage", json!(["digitalSignature", "keyEncipherment"])),
        ("extended_key_usage", json!(["serverAuth", "clientAuth"])),
        ("subject_alt_name", json!(true)),
    ] {
        assert_eq!(server[field], value, "{field}");
    }
    let user = world.get("/api/v1/profiles/user").await.data();
    assert_eq!((&user["certType"], &user["duration"]), (&json!("client"), &json!(90)));
    for unknown in ["/api/v1/profiles/none", "/api/v1/profiles/node", "/api/v1/magic/none", "/api/v1/public/magic/ca"] {
        world.get(unknown).await.is_missing();
    }
}

#[tokio::test]
async fn the_crl_is_base64_of_der() {
    use base64::Engine as _;
    let world = World::new().await;
    // None was signed yet: not the client's fault.
    world.get("/api/v1/crl").await.is_error(503, "CA_ERROR");
    world.services().publish_crls(&world.permitted()).await.unwrap();
    for path in ["/api/v1/crl", "/api/v1/public/crl", "/api/v1/certs/crl.pem"] {
        let answer = world.get(path).await;
        let text = answer.data()["crl"].as_str().unwrap().to_owned();
        let der = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        assert_eq!(der[0], 0x30);
        let length = answer.headers.get("content-length").map(|length| length.to_str().unwrap().to_owned());
        assert!(length.is_none_or(|length| length == answer.body.len().to_string()));
    }
}

#[tokio::test]
async fn certificates_are_listed_and_taken_apart_by_the_name_of_their_node() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (_, issued) = world.certified("app.example.test", None).await;
    let serial = issued.integer("serial");
    for prefix in PREFIXES {
        let list = world.get(&format!("{prefix}/certs")).await;
        let mut only = list.data()["certificates"][0].clone();
        assert_eq!(list.integer("serial"), serial);
        only["serial"].take();
        assert_eq!(
            only,
            json!({"dn": "/CN=app.example.test", "cn": "app.example.test", "profile": "server", "state": "valid",
                "serial": null})
        );
        assert_eq!(list.data()["certificates"].as_array().unwrap().len(), 1);
        for name in ["app.example.test", "APP.example.test", "%2FCN%3Dapp.example.test", "/CN=app.example.test"] {
            let answer = world.get(&format!("{prefix}/certs/{name}")).await;
            let shown = answer.data();
            assert_eq!(answer.integer("serial_number"), serial);
            for (field, value) in [
                ("subject", json!({"commonName": "app.example.test"})),
                ("sans", json!([{"type": "DNS", "value": "app.example.test"}])),
                ("is_valid", json!(true)),
                ("is_revoked", json!(false)),
                ("revoke_reason", json!(null)),
                ("is_ca", json!(false)),
                ("revoked", json!(false)),
                ("revoke_date", json!(null)),
                ("deleted", json!(false)),
                ("renewed", json!(false)),
            ] {
                assert_eq!(shown[field], value, "{field}");
            }
            assert_eq!(shown["key_usage"]["digital_signature"], true);
            assert_eq!(shown["extensions"]["subjectAltName"]["critical"], false);
            assert_eq!(shown["not_valid_before"].as_str().unwrap().len(), "2026-11-23T00:00:00Z".len());
            assert_eq!(shown["fingerprint"].as_str().unwrap().len(), 64);
            assert_eq!(shown["certificate"], issued.data()["certificate"]);
        }
    }
    for unknown in ["other.example.test", "%2FCN%3D", "a%00b", "x".repeat(2000).as_str()] {
        world.get(&format!("/api/v1/certs/{unknown}")).await.is_missing();
    }
}

#[tokio::test]
async fn a_list_is_read_in_pages_and_shows_no_certificate_of_the_ca_itself() {
    let world = World::new().await;
    let administrator = world.administrator(policy::rights::Role::Administrator).await;
    for name in ["a.example.test", "b.example.test", "c.example.test"] {
        world.register(name).await;
        world.certified(name, None).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/certs?limit=2".to_owned();
    loop {
        let page = world.ask(&administrator, Method::GET, &path).await.data();
        seen.extend(page["certificates"].as_array().unwrap().iter().map(|one| one["cn"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/certs?limit=2&cursor={next}"),
            None => break,
        }
    }
    seen.sort_by_key(ToString::to_string);
    let somebody = "Somebody who is administrator";
    assert_eq!(seen, [json!(somebody), json!("a.example.test"), json!("b.example.test"), json!("c.example.test")]);
    for wrong in ["limit=x", "cursor=zz", "page=1"] {
        world.get(&format!("/api/v1/certs?{wrong}")).await.is_error(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn the_status_of_a_serial_number_is_answered_in_json() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (peer, issued) = world.certified("app.example.test", None).await;
    let decimal = issued.integer("serial");
    let (_, der) = der::pem::decode_vec(issued.data()["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let hexadecimal: String =
        Certificate::from_der(&der).unwrap().serial().iter().map(|octet| format!("{octet:02x}")).collect();
    for serial in [&decimal, &hexadecimal, &hexadecimal.to_uppercase(), &format!("0x{hexadecimal}")] {
        let answer = world.post(&nobody(), "/api/v1/ocsp", json!({"serial": serial})).await;
        let status = answer.data();
        assert_eq!(answer.integer("serial"), decimal);
        assert_eq!((&status["status"], &status["cn"]), (&json!("good"), &json!("app.example.test")));
        assert_eq!((&status["revoke_reason"], &status["revoke_date"]), (&json!(null), &json!(null)));
    }
    world.post(&peer, "/api/v1/client/revoke", json!({"reason": "keyCompromise"})).await;
    let revoked = world.post(&nobody(), "/api/v1/public/ocsp", json!({"serial": decimal})).await.data();
    assert_eq!((&revoked["status"], &revoked["revoke_reason"]), (&json!("revoked"), &json!("keyCompromise")));
    assert!(revoked["revoke_date"].as_str().unwrap().ends_with('Z'));
    assert_eq!(world.get("/api/v1/certs/app.example.test").await.data()["is_revoked"], true);
    world.post(&nobody(), "/api/v1/ocsp", json!({"serial": "17"})).await.is_missing();
    for wrong in ["x", "-1", "0", &"9".repeat(100)] {
        world.post(&nobody(), "/api/v1/ocsp", json!({"serial": wrong})).await.is_error(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn the_magic_commands_make_a_key_and_a_request_that_the_profile_takes() {
    use std::process::Command;
    let world = World::new().await;
    for (profile, node) in [("server", "magic.example.test"), ("user", "Magic User")] {
        let magic = world.get(&format!("/api/v1/public/magic/{profile}")).await.data();
        assert_eq!(magic["profile"], profile);
        let directory = tempfile::tempdir().unwrap();
        for command in ["generate_key", "generate_csr"] {
            let command = magic["commands"][command].as_str().unwrap().replace("YourName", node);
            assert!(command.starts_with("openssl "), "{command}");
            let output = Command::new("sh").args(["-c", &command]).current_dir(&directory).output().unwrap();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let csr = std::fs::read_to_string(directory.path().join("csr.pem")).unwrap();
        let ours = if profile == "server" { "node" } else { "client" };
        let registration = super::world::registration(node, ours);
        world.services().register_node(&world.permitted(), registration).await.unwrap();
        let body = json!({"csr": csr, "profile": profile, "seed": world.seed(node).await});
        let answer = world.post(&nobody(), "/api/v1/public/certify", body).await;
        assert_eq!(answer.data()["dn"], format!("/CN={node}"), "{answer:?}");
    }
}

#[tokio::test]
async fn other_methods_and_other_paths_are_answered_in_the_dialects_words() {
    let world = World::new().await;
    for (method, path, allow) in [
        (Method::POST, "/api/v1/health", "GET, HEAD"),
        (Method::DELETE, "/api/v1/public/certs", "GET, HEAD"),
        (Method::GET, "/api/v1/certify", "POST"),
        (Method::PUT, "/api/v1/private/nodes", "GET, HEAD, POST"),
        (Method::GET, "/api/v1/private/nodes/a.test", "DELETE"),
        (Method::GET, "/api/v1/client/renew", "POST"),
    ] {
        let answer = world.ask(&nobody(), method, path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers["allow"], allow, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
    }
    for path in ["/api/v1/none", "/api/v1/public", "/api/v1/private/none", "/api/v1/client", "/api/v1/certs/"] {
        world.get(path).await.is_missing();
    }
}
