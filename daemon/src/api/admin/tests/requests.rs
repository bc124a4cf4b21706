//! Requests, dry runs, profiles and events.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::certificates::{Desk, csr};

const REQUESTS: &str = "/admin/v1/requests";

#[tokio::test]
async fn a_request_is_made_listed_and_decided_by_somebody_else() {
    let desk = Desk::new().await;
    let other = Desk::administrator(&desk.world, "bb").await;
    let body = json!({"profile": "server", "csr": csr("", &["a.example.test"])});
    let (status, made) = desk.ask(Method::POST, REQUESTS, body).await;
    assert_eq!((status, made["status"].as_str()), (StatusCode::CREATED, Some("pending")), "{made}");
    let path = format!("{REQUESTS}/{}", made["id"].as_str().unwrap());
    let (_, page) = desk.ask(Method::GET, &format!("{REQUESTS}?status=pending&limit=1"), Value::Null).await;
    assert_eq!((&page["requests"][0], &page["next"]), (&made, &Value::Null));
    assert_eq!(desk.ask(Method::GET, &path, Value::Null).await, (StatusCode::OK, made.clone()));

    let approval = json!({"digest": made["digest"]}).to_string();
    let approve = async |peer| desk.raw(peer, Method::POST, &format!("{path}/approve"), approval.clone().into()).await;
    let (status, problem) = approve(&desk.administrator).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("somebody else"), "{problem}");
    let (status, issued) = approve(&other).await;
    assert_eq!(status, StatusCode::CREATED, "{issued}");
    assert_eq!(approve(&other).await, (StatusCode::CREATED, issued.clone()));
    let (_, now) = desk.ask(Method::GET, &path, Value::Null).await;
    assert_eq!((now["status"].as_str(), &now["certificate"]), (Some("issued"), &issued["serial"]));
    assert_eq!(desk.world.signer.inner().signed, 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_decision_is_said_and_changes_nothing() {
    let desk = Desk::new().await;
    let other = Desk::administrator(&desk.world, "bb").await;
    let body = json!({"profile": "server", "csr": csr("", &["a.example.test"])});
    let (_, made) = desk.ask(Method::POST, REQUESTS, body).await;
    let path = format!("{REQUESTS}/{}", made["id"].as_str().unwrap());
    let digest = made["digest"].as_str().unwrap();
    let nobody = format!("{REQUESTS}/{}", "0".repeat(32));
    for (path, body, expected) in [
        (format!("{path}/approve"), json!({"digest": "0"}), StatusCode::CONFLICT),
        (format!("{path}/approve"), json!({}), StatusCode::BAD_REQUEST),
        (format!("{path}/approve"), json!({"digest": digest, "force": true}), StatusCode::BAD_REQUEST),
        (format!("{nobody}/approve"), json!({"digest": digest}), StatusCode::NOT_FOUND),
        (format!("{path}/reject"), json!({"digest": digest}), StatusCode::BAD_REQUEST),
        (format!("{path}/reject"), json!({"digest": digest, "why": ""}), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("{path}/reject"), json!({"digest": digest, "why": "a\nb"}), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("{path}/reject"), json!({"digest": "0", "why": "no"}), StatusCode::CONFLICT),
    ] {
        let (status, problem) = desk.raw(&other, Method::POST, &path, body.to_string().into()).await;
        assert_eq!(status, expected, "{path} {body}: {problem}");
    }
    for query in ["limit=0", "limit=201", "status=open", "before=x"] {
        let (status, _) = desk.ask(Method::GET, &format!("{REQUESTS}?{query}"), Value::Null).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    assert_eq!(desk.ask(Method::GET, &format!("{REQUESTS}?order=up"), Value::Null).await.0, StatusCode::BAD_REQUEST);
    for id in ["x", &"g".repeat(32), &"0".repeat(32)] {
        let path = format!("{REQUESTS}/{id}");
        assert_eq!(desk.ask(Method::GET, &path, Value::Null).await.0, StatusCode::NOT_FOUND);
    }
    let generate = json!({"profile": "server", "generate": "p256", "names": ["a.example.test"]});
    assert_eq!(desk.ask(Method::POST, REQUESTS, generate).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, now) = desk.ask(Method::GET, &path, Value::Null).await;
    assert_eq!(now, made);
    let reject = json!({"digest": digest, "why": "who is that?"});
    let (status, rejected) = desk.raw(&other, Method::POST, &format!("{path}/reject"), reject.to_string().into()).await;
    assert_eq!((status, rejected["why"].as_str()), (StatusCode::OK, Some("who is that?")));
    assert_eq!(desk.world.signer.inner().signed, 0);
}

#[tokio::test]
async fn a_dry_run_names_the_line_that_decides() {
    let desk = Desk::new().await;
    let explain = async |name: &str, method: Value| {
        let request = json!({"profile": "server", "csr": csr("", &[]), "names": [name]});
        let body = json!({"request": request, "method": method});
        desk.ask(Method::POST, "/admin/v1/profiles/explain", body).await
    };
    let (status, good) = explain("a.example.test", Value::Null).await;
    assert_eq!((status, good["verdict"].as_str()), (StatusCode::OK, Some("issue")), "{good}");
    assert_eq!(good["names"], json!(["a.example.test"]));
    let (_, bad) = explain("192.0.2.1", Value::Null).await;
    assert_eq!((bad["verdict"].as_str(), bad["field"].as_str()), (Some("refuse"), Some("names.permitted")), "{bad}");
    let (_, shown) = desk.ask(Method::GET, "/admin/v1/profiles/server", Value::Null).await;
    let line = shown["text"].as_str().unwrap().lines().nth(bad["line"].as_u64().unwrap() as usize - 1).unwrap();
    assert!(line.starts_with("permitted = "), "{line}");
    assert!(bad["file"].as_str().unwrap().ends_with("server.toml"));
    let (_, bad) = explain("a.example.test", json!("unproven")).await;
    assert_eq!(bad["field"], "evidence.methods");
    assert_eq!(explain("a.example.test", json!("http-01")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(explain("a.example.test", json!("word")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(desk.ask(Method::GET, "/admin/v1/profiles/none", Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(desk.world.signer.inner().signed, 0);
}

#[tokio::test]
async fn events_are_the_journal_and_whoever_waits_hears_of_the_next_one() {
    let desk = Desk::new().await;
    let (status, all) = desk.ask(Method::GET, "/admin/v1/events", Value::Null).await;
    assert_eq!((status, all["events"][0]["event"]["type"].as_str()), (StatusCode::OK, Some("opened")), "{all}");
    let path = format!("/admin/v1/events?wait=20&after={}", all["last"]);
    let body = json!({"profile": "server", "csr": csr("", &["a.example.test"])});
    let (waited, issued) =
        tokio::join!(desk.ask(Method::GET, &path, Value::Null), desk.ask(Method::POST, "/admin/v1/certificates", body));
    assert_eq!(issued.0, StatusCode::CREATED);
    assert_eq!(waited.1["events"][0]["event"]["type"], "certificate", "{}", waited.1);
    let (_, none) = desk.ask(Method::GET, &format!("/admin/v1/events?after={}", u64::MAX), Value::Null).await;
    assert_eq!(none["events"], json!([]));
    for query in ["after=x", "after=-1", "wait=x", "since=1"] {
        let path = format!("/admin/v1/events?{query}");
        assert_eq!(desk.ask(Method::GET, &path, Value::Null).await.0, StatusCode::BAD_REQUEST);
    }
}
