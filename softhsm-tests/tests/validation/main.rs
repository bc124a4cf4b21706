//! The validators against a DNS server that can do everything wrong.

mod caa;
mod dns;
mod resolver;
mod targets;

use std::time::Duration;

use daemon::config::{AllowedNetworks, Dnssec, Validation};
use daemon::validation::{Attempt, Failure, FailureKind, Shown, Validator, Wildcard};
use policy::effects::UnixTime;
use policy::evidence::{MAX_SEEN, Method};
use policy::name::Name;
use softhsm_tests::dns::Server;

const ACCOUNT: &str = "https://ca.example.test/acme/account/1";
const AUTHORIZATION: &str = "token.thumbprint";
/// base64url(SHA-256("token.thumbprint"))
const DIGEST: &str = "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn settings(server: &Server) -> Validation {
    Validation {
        allowed_networks: AllowedNetworks::Only(vec!["127.0.0.0/8".parse().expect("a network")]),
        attempts: 3,
        caa_identities: vec!["ca.example.test".into(), "ca.test".into()],
        dnssec: Dnssec::Off,
        http01_port: 80,
        max_body: 4096,
        max_redirects: 10,
        resolvers: vec![server.address],
        retry_after: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        tls_alpn01_port: 443,
    }
}

fn attempt(name: &Name, method: Method) -> Attempt<'_> {
    Attempt {
        name,
        wildcard: Wildcard::No,
        method,
        token: "token",
        key_authorization: AUTHORIZATION,
        account: ACCOUNT,
        now: NOW,
    }
}

async fn validate(server: &Server, method: Method, name: &str) -> Result<Shown, Failure> {
    let shown = Validator::new(&settings(server)).validate(&attempt(&name_of(name), method)).await;
    if let Ok(Shown { seen, .. }) = &shown {
        let texts = [&seen.address, &seen.dns].into_iter().flatten();
        assert!(texts.into_iter().all(|text| text.len() <= MAX_SEEN), "{seen:?} is too long");
    }
    shown
}

async fn failure(server: &Server, method: Method, name: &str) -> Failure {
    validate(server, method, name).await.expect_err("a failure")
}

fn name_of(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

#[track_caller]
fn assert_failure(failure: &Failure, kind: FailureKind, said: &[&str]) {
    assert_eq!(failure.kind, kind, "{failure:?}");
    for said in said {
        assert!(failure.detail.contains(said), "{said} is not in {failure:?}");
    }
    assert!(failure.detail.len() <= 600 && failure.detail.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
}

#[tokio::test]
async fn a_method_that_cannot_show_a_name_says_so() {
    let server = Server::start("* A 127.0.0.1");
    for method in [Method::Dns01, Method::DnsAccount01, Method::DnsPersist01] {
        assert_failure(&failure(&server, method, "127.0.0.1").await, FailureKind::Unauthorized, &["127.0.0.1"]);
    }
    for method in [Method::Http01, Method::TlsAlpn01, Method::Administrator] {
        let name = name_of("example.test");
        let attempt = Attempt { wildcard: Wildcard::Yes, ..attempt(&name, method) };
        let failure = Validator::new(&settings(&server)).validate(&attempt).await.expect_err("a failure");
        assert_failure(&failure, FailureKind::Unauthorized, &["*.example.test", method.as_str()]);
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}
