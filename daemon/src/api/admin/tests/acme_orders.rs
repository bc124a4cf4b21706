//! Orders, authorizations, and certificates by what they rest on, as administrators see them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::service::acme::accounts::{Account, NewAccount, Opened};
use crate::service::acme::identifiers::Identifier;
use crate::service::acme::orders::NewOrder;

impl Surface {
    async fn acme(&self) -> &Arc<Acme> {
        self.acme.get_or_init(|| async { Acme::start(Arc::clone(&self.services)).await.unwrap() }).await
    }

    async fn account(&self) -> Account {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let key = serde_json::from_value(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).unwrap();
        match self.acme().await.open_account(key, NewAccount::default()).await.unwrap() {
            Opened::Created(account) | Opened::Found(account) => account,
        }
    }

    async fn order(&self, account: &Account, name: &str) -> String {
        let identifiers = vec![Identifier { kind: "dns".to_owned(), value: name.to_owned() }];
        let wish = NewOrder { identifiers, ..NewOrder::default() };
        self.acme().await.new_order(account, wish).await.unwrap().id
    }
}

#[tokio::test]
async fn an_order_is_listed_shown_and_cancelled_once() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let (one, other) = (surface.account().await, surface.account().await);
    let id = surface.order(&one, "a.example.test").await;
    for number in 0..3 {
        surface.order(&other, &format!("{number}.example.test")).await;
    }
    let get = async |path: &str| surface.ask(&administrator, Method::GET, path, None).await;
    let (_, all) = get("/admin/v1/acme/orders").await;
    assert_eq!(all["orders"].as_array().unwrap().len(), 4, "{all}");
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let (_, page) = get(&format!("/admin/v1/acme/orders?account={}&limit=2{cursor}", other.id)).await;
        seen += page["orders"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 3);
    let path = format!("/admin/v1/acme/orders/{id}");
    let (status, shown) = get(&path).await;
    assert_eq!(
        (status, &shown["status"], &shown["names"]),
        (StatusCode::OK, &json!("pending"), &json!(["a.example.test"]))
    );
    assert_eq!(shown["account"], one.id);
    let cancel = format!("{path}/cancel");
    for expected in [StatusCode::NO_CONTENT, StatusCode::CONFLICT] {
        assert_eq!(surface.ask(&administrator, Method::POST, &cancel, None).await.0, expected);
    }
    let (_, shown) = get(&path).await;
    assert_eq!(shown["status"], "invalid");
    assert!(shown["why"].as_str().unwrap().contains("cancelled"), "{shown}");
    for path in ["/admin/v1/acme/orders/none", "/admin/v1/acme/authorizations/none"] {
        assert_eq!(get(path).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(get("/admin/v1/acme/orders?state=x").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_authorization_is_shown_without_its_tokens_and_taken_back_once() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let account = surface.account().await;
    let order = surface.order(&account, "a.example.test").await;
    let (_, shown) = surface.ask(&administrator, Method::GET, &format!("/admin/v1/acme/orders/{order}"), None).await;
    let path = format!("/admin/v1/acme/authorizations/{}", shown["authorizations"][0].as_str().unwrap());
    let (status, shown) = surface.ask(&administrator, Method::GET, &path, None).await;
    assert_eq!(
        (status, &shown["status"], &shown["name"]),
        (StatusCode::OK, &json!("pending"), &json!("a.example.test"))
    );
    assert_eq!(shown["challenges"].as_array().unwrap().len(), 3);
    assert!(!shown.to_string().contains("token"), "{shown}");
    let deactivate = format!("{path}/deactivate");
    for expected in [StatusCode::NO_CONTENT, StatusCode::CONFLICT] {
        assert_eq!(surface.ask(&administrator, Method::POST, &deactivate, None).await.0, expected);
    }
    let (_, shown) = surface.ask(&administrator, Method::GET, &path, None).await;
    assert_eq!(shown["status"], "revoked");
    let (_, shown) = surface.ask(&administrator, Method::GET, &format!("/admin/v1/acme/orders/{order}"), None).await;
    assert_eq!(shown["status"], "invalid");
}

#[tokio::test]
async fn certificates_that_depend_on_something_are_one_query() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let record = surface.certificate(&["a.example.test"]).await;
    let get = async |query: &str| {
        let path = format!("/admin/v1/certificates?{query}");
        surface.ask(&administrator, Method::GET, &path, None).await
    };
    for query in ["account=1", "method=http-01", "validator=1", "name=a.example.test", "method=http-01&account=1"] {
        let (status, list) = get(query).await;
        assert_eq!((status, &list["certificates"][0]["serial"]), (StatusCode::OK, &json!(record.serial)), "{query}");
    }
    for query in
        ["account=2", "method=dns-01", "validator=2", "address=127.0.0.1", "account=%20", "method=http-01&account=2"]
    {
        let (status, list) = get(query).await;
        assert_eq!((status, &list["certificates"]), (StatusCode::OK, &json!([])), "{query}");
    }
    assert_eq!(get("method=dns-02").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(get("address=here").await.0, StatusCode::BAD_REQUEST);
}
