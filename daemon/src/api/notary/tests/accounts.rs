//! Sections 1, 4 and 5: accounts, sign-in, status, configuration.

use hsm::wire::SealStatus;
use http::Method;
use serde_json::json;

use super::world::{ADMIN, PASSWORD, World};

const WEAK: &str = "Password must have 8 or more characters, must include at least one capital letter, one lowercase \
                    letter, and either a number or a symbol.";

#[tokio::test]
async fn accounts_end_to_end() {
    let world = World::new().await;
    let status = world.get("", "/status").await.data(200);
    assert_eq!((&status["initialized"], &status["oidc_enabled"]), (&json!(false), &json!(false)));
    // The first one is an administrator's, whatever is asked for.
    let first = json!({"email": ADMIN, "password": PASSWORD, "role_id": 3});
    assert_eq!(world.post("", "/api/v1/accounts", first).await.created(), 1);
    assert_eq!(world.get("", "/status").await.data(200)["initialized"], json!(true));
    world.post("", "/api/v1/accounts", json!({"email": "b@example.com", "password": PASSWORD})).await.is_unauthorized();
    let admin = world.login(ADMIN).await;
    let own = world.get(&admin, "/api/v1/accounts/me").await.data(200);
    let expected = json!({
        "id": 1, "email": ADMIN, "role_id": 0, "has_password": true, "has_oidc": false, "auth_methods": ["local"]
    });
    assert_eq!(own, expected);
    let (id, user) = world.account(&admin, "user@example.com", 1).await;
    assert_eq!(id, 2);
    let again = json!({"email": "USER@example.com", "password": PASSWORD, "role_id": 1});
    let said = "account with given email already exists";
    world.post(&admin, "/api/v1/accounts", again).await.is_error(400, said, said);
    let list = world.get(&admin, "/api/v1/accounts").await.data(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(world.get(&admin, "/api/v1/accounts/2").await.data(200)["email"], "user@example.com");
    world.get(&admin, "/api/v1/accounts/3").await.is_missing();
    world.get(&admin, "/api/v1/accounts/x").await.is_error(400, "invalid ID", "Invalid ID");

    // A role counts at once; that of the first account stays.
    world.ask(&admin, Method::PUT, "/api/v1/accounts/2/role", Some(json!({"role_id": 2}))).await.done(201);
    assert_eq!(world.get(&user, "/api/v1/accounts/me").await.data(200)["role_id"], 2);
    let said = (
        "updating the default admin account role is not allowed.",
        "Updating the default admin account role is not allowed.",
    );
    let refused = world.ask(&admin, Method::PUT, "/api/v1/accounts/1/role", Some(json!({"role_id": 1}))).await;
    refused.is_error(400, said.0, said.1);
    world.ask(&admin, Method::PUT, "/api/v1/accounts/9/role", Some(json!({"role_id": 1}))).await.is_missing();

    // Another password ends the sessions of before.
    world.post(&user, "/api/v1/accounts/me/change_password", json!({"password": "Another-horse1"})).await.done(201);
    world.get(&user, "/api/v1/accounts/me").await.is_unauthorized();
    let body = json!({"password": PASSWORD});
    world.post(&admin, "/api/v1/accounts/2/change_password", body.clone()).await.done(201);
    world.post(&admin, "/api/v1/accounts/9/change_password", body).await.is_missing();
    let user = world.login("user@example.com").await;

    // A removed account has no session.
    world.ask(&admin, Method::DELETE, "/api/v1/accounts/2", None).await.done(202);
    world.get(&user, "/api/v1/accounts/me").await.is_unauthorized();
    world.ask(&admin, Method::DELETE, "/api/v1/accounts/2", None).await.is_missing();
    let said = "cannot delete the last user account when OIDC is not enabled";
    let refused = world.ask(&admin, Method::DELETE, "/api/v1/accounts/1", None).await;
    refused.is_error(400, said, "Cannot delete the last user account when OIDC is not enabled");
    // Nor the last administrator's.
    let (id, reader) = world.account(&admin, "reader@example.com", 3).await;
    assert_eq!(id, 3, "no number is used twice");
    let refused = world.ask(&admin, Method::DELETE, "/api/v1/accounts/1", None).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    world.ask(&admin, Method::PUT, "/api/v1/accounts/3/role", Some(json!({"role_id": 0}))).await.done(201);
    world.ask(&reader, Method::DELETE, "/api/v1/accounts/1", None).await.done(202);
    world.get(&admin, "/api/v1/accounts/me").await.is_unauthorized();
    let deeds = ["account_created", "account_removed", "password_set", "role_set"].map(|deed| world.journalled(deed));
    assert_eq!(deeds, [3, 2, 2, 2]);
    assert_eq!(world.journalled("\"actor\":\"notary:1\""), 6);
}

#[tokio::test]
async fn of_many_first_accounts_there_is_one() {
    let world = World::new().await;
    let ask = |number: usize| {
        let body = json!({"email": format!("a{number}@example.com"), "password": PASSWORD});
        world.post("", "/api/v1/accounts", body)
    };
    let answers = tokio::join!(ask(0), ask(1), ask(2));
    let made = [&answers.0, &answers.1, &answers.2].into_iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, world.journalled("account_created")), (1, 1), "{answers:?}");
}

#[tokio::test]
async fn an_account_that_cannot_be_is_refused_and_nothing_is_journalled() {
    let (world, admin) = World::administered().await;
    let before = world.inner.signer.inner().lines.len();
    for (body, newer) in [
        (json!({"password": PASSWORD, "role_id": 1}), "email is required"),
        (json!({"email": "a@example.com", "role_id": 1}), "password is required"),
        (json!({"email": "a@example.com", "password": "password", "role_id": 1}), WEAK),
        (json!({"email": "a@example.com", "password": PASSWORD, "role_id": -1}), "invalid role ID: use 0 to 3"),
        (json!({"email": "a@example.com", "password": PASSWORD, "role_id": 999}), "invalid role ID: use 0 to 3"),
        (json!({"email": 1}), "invalid JSON format"),
        (json!(["a@example.com", PASSWORD, 1]), "invalid JSON format"),
    ] {
        let answer = world.post(&admin, "/api/v1/accounts", body.clone()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["message"]), (400, &json!(newer)), "{body}");
    }
    for email in ["a.example.com", "@example.com", "a@.example.com", "a@example..com", "a@example.com."] {
        let answer = world.post(&admin, "/api/v1/accounts", json!({"email": email, "password": PASSWORD})).await;
        let said = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && said.starts_with("invalid email format: "), "{answer:?}");
    }
    for body in [json!({}), json!({"password": "x"})] {
        let own = world.post(&admin, "/api/v1/accounts/me/change_password", body).await;
        assert_eq!(own.status, 400, "{own:?}");
    }
    let answer = world.send(Method::POST, "/login", &[], b"{".to_vec()).await;
    answer.is_error(400, "invalid JSON format", "Invalid JSON format");
    assert_eq!(world.inner.signer.inner().lines.len(), before);
}

#[tokio::test]
async fn signing_in_gives_a_token_and_a_cookie_and_either_opens_until_logout() {
    let (world, _) = World::administered().await;
    for (body, status, newer, older) in [
        (json!({"password": PASSWORD}), 400, "email is required", "Email is required"),
        (json!({"email": ADMIN}), 400, "password is required", "Password is required"),
        (
            json!({"email": ADMIN, "password": "Wrong-horse1"}),
            401,
            "invalid credentials",
            "The email or password is incorrect",
        ),
        (
            json!({"email": "no@example.com", "password": PASSWORD}),
            401,
            "invalid credentials",
            "The email or password is incorrect",
        ),
        (
            json!({"email": "nobody", "password": PASSWORD}),
            401,
            "invalid credentials",
            "The email or password is incorrect",
        ),
    ] {
        world.post("", "/login", body).await.is_error(status, newer, older);
    }
    let answer = world.post("", "/login", json!({"email": "Admin@Example.com", "password": PASSWORD})).await;
    let token = answer.json()["result"]["token"].as_str().unwrap().to_owned();
    let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!(cookie, format!("user_token={token}; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    let bearer = format!("Bearer {token}");
    let cookie = format!("theme=dark; user_token={token}");
    for headers in [
        &[("authorization", bearer.as_str())][..],
        &[("cookie", &cookie)],
        &[("cookie", &cookie), ("authorization", &bearer)],
    ] {
        world.send(Method::GET, "/api/v1/accounts/me", headers, Vec::new()).await.data(200);
    }
    // A page of somebody else's cannot use the cookie; one under our own URL can.
    for (origin, status) in [("https://evil.example", 403), (crate::service::acme::testing::BASE, 200)] {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        let answer = world.send(Method::POST, "/logout", &headers, Vec::new()).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    for headers in [[("authorization", bearer.as_str())], [("cookie", &cookie)], [("authorization", "Basic YTpi")]] {
        world.send(Method::GET, "/api/v1/accounts/me", &headers, Vec::new()).await.is_unauthorized();
    }
    let answer = world.send(Method::POST, "/logout", &[], Vec::new()).await;
    answer.done(200);
    assert!(answer.headers["set-cookie"].to_str().unwrap().starts_with("user_token=; Path=/; Max-Age=0;"));
}

#[tokio::test]
async fn a_session_lasts_an_hour_and_signing_in_is_limited_by_account_and_address() {
    let (world, admin) = World::administered().await;
    world.inner.clock.advance(3599);
    world.get(&admin, "/api/v1/accounts/me").await.data(200);
    world.inner.clock.advance(1);
    world.get(&admin, "/api/v1/accounts/me").await.is_unauthorized();
    // Counted before the password is looked at, so that guessing costs the guesser and not us.
    for _ in 0..120 {
        let taken = world.services().limits.sign_in(None, "user@example.com", world.services().clock.now());
        assert!(taken.is_ok());
    }
    let answer = world.post("", "/login", json!({"email": "user@example.com", "password": PASSWORD})).await;
    assert!(answer.status == 429 && answer.headers.contains_key("retry-after"), "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().contains("sign_ins_per_account"), "{answer:?}");
    world.login(ADMIN).await;
}

#[tokio::test]
async fn what_is_too_large_or_not_there_is_said_in_the_dialects_form() {
    let (world, admin) = World::administered().await;
    let bearer = format!("Bearer {admin}");
    let large =
        world.send(Method::POST, "/api/v1/accounts", &[("authorization", &bearer)], vec![b' '; 100 * 1024 + 1]).await;
    large.is_error(413, "request body too large", "Request body too large");
    world.get(&admin, "/api/v1/nothing").await.is_missing();
    let answer = world.ask(&admin, Method::PATCH, "/api/v1/accounts", None).await;
    answer.is_error(405, "method not allowed", "Method not allowed");
}

#[tokio::test]
async fn sealed_everything_but_the_status_says_so_before_it_asks_who_is_there() {
    let (world, admin) = World::administered().await;
    let config = world.get(&admin, "/api/v1/config").await.data(200);
    assert_eq!((&config["port"], &config["encryption_backend_type"]), (&json!(443), &json!("pkcs11")));
    world.seal_is(SealStatus::Sealed);
    let _ = world.services().ca.status().await;
    for (method, path) in [
        (Method::POST, "/login"),
        (Method::POST, "/logout"),
        (Method::GET, "/api/v1/accounts/me"),
        (Method::POST, "/api/v1/accounts"),
        (Method::GET, "/api/v1/config"),
        (Method::GET, "/api/v1/certificate_requests"),
        (Method::POST, "/api/v1/certificate_requests"),
        (Method::POST, "/api/v1/certificate_requests/1/sign"),
    ] {
        for session in ["", &admin] {
            let answer = world.ask(session, method.clone(), path, None).await;
            answer.is_error(503, "strongbox sealed", "strongbox sealed");
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    assert_eq!(world.get("", "/status").await.data(200)["initialized"], json!(true));
}
