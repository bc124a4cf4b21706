//! Requests that no client sends by mistake: each is answered by a problem document or, where the
//! bytes are no HTTP, by a status line; and afterwards the server is as well as before.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};

use super::jose::encode;
use super::peer::{JOSE, Judged, Peer, challenge, text};
use super::world::World;

/// Short waits, so that the test of them is short.
const SETTINGS: &str = r#"
[acme]
challenges = ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"]

[limits]
header_timeout = "2s"
request_timeout = "4s"

[rate_limits]
exempt_networks = ["127.0.0.0/8"]
"#;

/// Longest wait for an answer, or for the end of a connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// Memory that the daemon may have gained in the end, in bytes.
const GROWTH: u64 = 64 << 20;

pub(crate) fn run() {
    let world = World::with(SETTINGS);
    world.account().issue(&[&world.name("before")]);
    let (pid, before) = (world.rig.pid("signetd"), resident(&world));
    every_member_of_every_request_has_every_wrong_type(&world);
    texts_that_are_hardly_json_are_refused(&world);
    paths_of_all_kinds_lead_nowhere(&world);
    bodies_and_headers_without_end_are_cut(&world);
    what_is_no_http_is_answered_or_ended(&world);
    slow_clients_hold_up_nobody(&world);
    assert_eq!(world.rig.pid("signetd"), pid, "the daemon lives");
    let after = resident(&world);
    assert!(after < before + GROWTH, "{before} bytes of memory have become {after}");
    let log = std::fs::read_to_string(world.rig.layout.log("signetd")).expect("a log");
    let defects: Vec<&str> = log.lines().filter(|line| line.contains("defect") || line.contains("panicked")).collect();
    assert!(defects.is_empty(), "{}", defects.join("\n"));
    assert!(world.faults().is_empty(), "{}", world.faults().join("\n"));
    world.account().issue(&[&world.name("after")]);
}

/// Resident memory of the daemon, in bytes.
fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.rig.pid("signetd"))).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// What a member may be instead of what it should be.
fn wrong_values() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(f64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}\u{feff}%s%n{}\r\n\r\n"),
        json!("../../../etc/passwd"),
        json!("A".repeat(20_000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({"a": {"b": []}}),
        deep,
    ]
}

/// Every copy of a value in which one member, at any depth, is something else or missing.
fn spoiled(value: &Value) -> Vec<Value> {
    let mut all = wrong_values();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let mut without = value.clone();
                without.as_object_mut().expect("an object").remove(name);
                all.push(without);
                all.extend(spoiled(member).into_iter().map(|wrong| {
                    let mut copy = value.clone();
                    copy[name] = wrong;
                    copy
                }));
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                all.extend(spoiled(item).into_iter().map(|wrong| {
                    let mut copy = value.clone();
                    copy[at] = wrong;
                    copy
                }));
            }
        }
        _ => {}
    }
    all
}

/// A valid payload for each kind of request that has one.
fn payloads(world: &World, peer: &mut Peer<'_>) -> Vec<(String, Value)> {
    let issued = peer.issue(&[&world.name("hostile")]);
    let order = peer.order(&[&world.name("hostile")]);
    let (url, authorization) = peer.authorization(&order);
    let jws = json!({"protected": encode("{}"), "payload": encode("{}"), "signature": encode("x")});
    let identifiers = json!([{"type": "dns", "value": world.name("hostile")}]);
    let time = "2027-01-01T00:00:00Z";
    vec![
        (
            world.url("newOrder"),
            json!({"identifiers": identifiers, "profile": "server", "notBefore": time, "notAfter": time, "replaces": "a.b"}),
        ),
        (text(&order.object["finalize"]), json!({"csr": encode("no CSR")})),
        (text(&challenge(&authorization, "http-01")["url"]), json!({"attObj": "x"})),
        (url, json!({"status": "valid"})),
        (world.url("revokeCert"), json!({"certificate": encode(&issued.leaf), "reason": 2})),
        (world.url("keyChange"), jws.clone()),
        (peer.kid(), json!({"contact": ["tel:1"], "status": "x", "termsOfServiceAgreed": false})),
        (
            world.url("newAccount"),
            json!({
                "contact": ["tel:1"], "termsOfServiceAgreed": true, "onlyReturnExisting": true,
                "externalAccountBinding": jws,
            }),
        ),
    ]
}

fn every_member_of_every_request_has_every_wrong_type(world: &World) {
    let mut peer = world.account();
    for (url, payload) in payloads(world, &mut peer) {
        let mut sender = if url == world.url("newAccount") { world.stranger() } else { world.account() };
        let sender = if sender.kid.is_some() { &mut peer } else { &mut sender };
        for wrong in spoiled(&payload) {
            let answer = sender.post(&url, &wrong);
            assert!(answer.status < 500 || answer.status == 503, "{url} {wrong}: {} {}", answer.status, answer.text());
        }
    }
    // The protected header, and the JWS itself.
    let url = world.url("newOrder");
    let mut stranger = world.stranger();
    let header = json!({"alg": "ES256", "nonce": "x", "url": url, "kid": peer.kid(), "jwk": peer.key.jwk(), "crit": [], "b64": true});
    for member in header.as_object().expect("an object").keys() {
        for wrong in spoiled(&header[member]) {
            if member == "jwk" {
                stranger.draft(&world.url("newAccount"), "{}").with(member, wrong).send().refused();
            } else {
                peer.draft(&url, "{}").with(member, wrong).send().refused();
            }
        }
    }
    for member in ["protected", "payload", "signature", "signatures", "header"] {
        for wrong in wrong_values() {
            let alter = |mut jws: Value| {
                jws[member] = wrong.clone();
                jws.to_string().into_bytes()
            };
            peer.draft(&url, "{}").altered(alter).refused();
        }
    }
}

fn texts_that_are_hardly_json_are_refused(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(4000), close.repeat(4000));
    let number = "9".repeat(8000);
    let texts = [
        nested("[", "]"),
        nested("{\"a\":", "}"),
        format!("{{\"identifiers\":{}}}", nested("[", "]")),
        format!("{{\"identifiers\":[],\"x\":{number}}}"),
        format!("{{\"identifiers\":[],\"x\":-{number}.{number}e{number}}}"),
        "{\"identifiers\":[],\"x\":1e400}".into(),
        "{\"identifiers\":[],\"identifiers\":[{\"type\":\"dns\",\"value\":\"twice.example.test\"}]}".into(),
        "{\"identifiers\":[{\"type\":\"dns\",\"type\":\"ip\",\"value\":\"a.example.test\"}]}".into(),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a\u{0}.example.test\"}]}".into(),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"\\u0000.example.test\"}]}".into(),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"\\ud800.example.test\"}]}".into(),
        "{\"identifiers\":[],}".into(),
        "{'identifiers':[]}".into(),
        "{\"identifiers\":[]} {}".into(),
        "{\"identifiers\":[]}\u{0}".into(),
        "\u{feff}{\"identifiers\":[]}".into(),
        "{\"identifiers\":[NaN,Infinity]}".into(),
        "{".into(),
        "\u{0}".repeat(1000),
    ];
    for wrong in &texts {
        peer.draft(&url, wrong).send().problem(400, "malformed");
        peer.draft(&url, "{}").altered(|_| wrong.clone().into_bytes()).problem(400, "malformed");
        peer.draft(&url, "{}").with_header_text(|_| wrong.clone().into_bytes()).problem(400, "malformed");
    }
    // More names than one order may have, in a body that is not too large.
    let many: Vec<Value> = (0..800).map(|at| json!({"type": "dns", "value": format!("{at}.example.test")})).collect();
    peer.post(&url, &json!({"identifiers": many})).refused();
}

fn paths_of_all_kinds_lead_nowhere(world: &World) {
    let mut peer = world.account();
    let long = "a".repeat(8000);
    let paths = [
        "/acme/",
        "/acme",
        "/acme//",
        "/acme/order/",
        "/acme/order/..%2f..%2f",
        "/acme/order/%00",
        "/acme/order/%ff%fe",
        "/acme/order/%",
        "/acme/order/%zz",
        "/acme/account/x/orders?after=%00",
        "/acme/account/x/orders?after=%ff",
        "/acme/account/x/orders?after=a&after=b",
        "/acme/authorization/-1",
        "/acme/challenge/a",
        "/acme/challenge/a/b",
        "/acme/certificate/0",
        "/acme/certificate/x/99999999999999999999",
        "/acme/chall/a.b.c",
        "/acme/renewal-info/",
        "/acme/renewal-info/a/b",
        "/acme/new-order/",
        "/acme/new-order?x",
        "/ACME/new-order",
        "/.well-known/acme-challenge/x",
        "/..",
        "/%2e%2e/",
        "//directory",
        "/directory/",
        "/directory/x",
        "/",
        "/*",
        "/acme/order/{}",
        &format!("/acme/order/{long}"),
    ];
    for path in paths {
        let url = format!("{}{path}", world.base());
        for method in ["GET", "DELETE", "OPTIONS", "BREW"] {
            let answer = peer.plain(method, &url);
            assert!(answer.status < 500, "{method} {path}: {}", answer.status);
        }
        let answer = peer.fetch(&url);
        assert!((400..500).contains(&answer.status), "POST {path}: {} {}", answer.status, answer.text());
    }
    let account = text(&peer.read(&peer.kid())["orders"]);
    for query in ["after=%00", "after=%ff", "after=", &format!("after={long}"), "after=a&after=b", "x=y", "%00"] {
        let answer = peer.fetch(&format!("{account}?{query}"));
        assert!(answer.status < 500, "{query}: {} {}", answer.status, answer.text());
    }
}

/// A TLS connection on which anything can be said.
struct Line {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Line {
    fn open(world: &World) -> Self {
        let socket = TcpStream::connect(world.authority()).expect("a listener");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
        let host = world.authority().rsplit_once(':').expect("a port").0.to_owned();
        let name = ServerName::try_from(host).expect("a name");
        let connection = ClientConnection::new(Arc::clone(&world.tls), name).expect("TLS");
        Self { stream: StreamOwned::new(connection, socket) }
    }

    /// Says as much of it as the server listens to.
    fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        // The server may have had enough: what it says then is read next.
        let _ = self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush());
        self
    }

    /// Everything until the server ends the connection.
    fn rest(&mut self) -> String {
        let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => all.extend_from_slice(&chunk[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the server neither answers nor hangs up: {}", String::from_utf8_lossy(&all))
                }
                // It hangs up without ceremony.
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// A status line from 400 to 499; and if there is a body, it is a problem document.
#[track_caller]
fn assert_refused(what: &str, answer: &str) {
    let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    assert!(answer.starts_with("HTTP/1.") && (400..500).contains(&status), "{what}: {answer:?}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    if !body.is_empty() {
        assert!(head.to_ascii_lowercase().contains("application/problem+json"), "{what}: {answer}");
    }
}

fn bodies_and_headers_without_end_are_cut(world: &World) {
    let path = world.path(&world.url("newOrder"));
    let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {JOSE}\r\n", world.authority());
    let large = "x".repeat(10 << 20);
    // Ten megabytes, announced and sent; announced only; in chunks that announce nothing.
    let mut peer = world.account();
    let answer = peer.draft(&world.url("newOrder"), "{}").altered(|_| vec![b' '; 100_000]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    answer.refused();
    let announced = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", large.len());
    assert_refused("ten megabytes", &Line::open(world).say(&announced).say(&large).rest());
    assert_refused("ten megabytes, announced", &Line::open(world).say(&announced).rest());
    let chunked = format!("{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    let chunks: String = (0..160).map(|_| format!("ffff\r\n{}\r\n", &large[..0xffff])).collect();
    assert_refused("ten megabytes in chunks", &Line::open(world).say(&chunked).say(chunks).rest());
    // Headers.
    let get = format!("GET /directory HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", world.authority());
    assert_refused("one header of ten megabytes", &Line::open(world).say(format!("{get}X: {large}\r\n\r\n")).rest());
    let many = "X: y\r\n".repeat(100_000);
    assert_refused("very many headers", &Line::open(world).say(format!("{get}{many}\r\n")).rest());
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &large[..100_000]);
    assert_refused("a very long path", &Line::open(world).say(long).rest());
}

fn what_is_no_http_is_answered_or_ended(world: &World) {
    let path = world.path(&world.url("newOrder"));
    let host = format!("Host: {}\r\nConnection: close\r\n", world.authority());
    let post = format!("POST {path} HTTP/1.1\r\n{host}Content-Type: {JOSE}\r\n");
    for (what, said) in [
        ("garbage", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        ("no version", "GET /directory\r\n\r\n".into()),
        ("an unknown version", format!("GET /directory HTTP/9.9\r\n{host}\r\n")),
        ("a header without a colon", format!("GET /directory HTTP/1.1\r\n{host}nonsense\r\n\r\n")),
        ("a NUL in a header", format!("GET /directory HTTP/1.1\r\n{host}X: a\u{0}b\r\n\r\n")),
        ("two lengths", format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n")),
        ("a length that is no number", format!("{post}Content-Length: many\r\n\r\n")),
        ("a length beyond numbers", format!("{post}Content-Length: {}\r\n\r\n", "9".repeat(40))),
        ("a chunk beyond numbers", format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")),
        ("a chunk without length", format!("{post}Transfer-Encoding: chunked\r\n\r\n\r\n\r\n")),
        ("chunked twice over", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("no body", format!("{post}\r\n")),
        ("a method of its own", format!("BREW {path} HTTP/1.1\r\n{host}\r\n")),
        ("another site", format!("GET http://evil.example.test/ HTTP/1.1\r\n{host}\r\n")),
        ("no path", format!("GET evil HTTP/1.1\r\n{host}\r\n")),
        ("a tunnel", format!("CONNECT evil.example.test:443 HTTP/1.1\r\n{host}\r\n")),
    ] {
        assert_refused(what, &Line::open(world).say(said).rest());
    }
    // Another protocol gets no answer that it could read, but an end.
    let preface = Line::open(world).say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").rest();
    assert!(!preface.contains("HTTP/1.1 2"), "{preface}");
    // Not even TLS, or half of it.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0x16, 3, 1, 0xff, 0xff, 1], &[0xff; 20_000]] {
        let mut socket = TcpStream::connect(world.authority()).expect("a listener");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // The server may hang up before it has heard everything.
        let _ = socket.write_all(bytes);
        let ended = socket.read_to_end(&mut Vec::new());
        let is_late = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!ended.as_ref().is_err_and(is_late), "the server waits for ever: {ended:?}");
    }
}

/// How many clients say nothing, or next to nothing, at a time.
const SLOW: usize = 40;

fn slow_clients_hold_up_nobody(world: &World) {
    let path = world.path(&world.url("newOrder"));
    let host = world.authority();
    let begun = Instant::now();
    let ends: Vec<(&str, String)> = std::thread::scope(|scope| {
        let slow: Vec<_> = (0..SLOW)
            .map(|number| {
                let (path, kind) = (&path, ["silent", "headers", "body", "reader"][number % 4]);
                scope.spawn(move || {
                    let mut line = Line::open(world);
                    match kind {
                        "headers" => {
                            line.say(format!("GET /directory HTTP/1.1\r\nHost: {host}\r\n"));
                            drip(&mut line, b"X: y\r\n");
                        }
                        "body" => {
                            line.say(format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JOSE}\r\nContent-Length: 60000\r\n\r\n"));
                            drip(&mut line, b"{");
                        }
                        "reader" => {
                            let get = format!("GET /directory HTTP/1.1\r\nHost: {host}\r\n\r\n");
                            line.say(get.repeat(20));
                        }
                        _ => {}
                    }
                    (kind, line.rest())
                })
            })
            .collect();
        // Meanwhile everybody else is served.
        while begun.elapsed() < Duration::from_secs(3) {
            let at = Instant::now();
            world.account();
            assert!(at.elapsed() < PATIENCE / 4, "a client had to wait {:?}", at.elapsed());
        }
        slow.into_iter().map(|one| one.join().expect("a slow client")).collect()
    });
    for (kind, end) in ends {
        match kind {
            // Nothing, or that it took too long.
            "silent" | "headers" => assert!(end.is_empty() || end.starts_with("HTTP/1.1 4"), "{kind}: {end}"),
            "body" => {
                let status: u16 = end.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
                assert!((400..500).contains(&status) || status == 503, "{kind}: {end:?}");
                assert!(end.contains("application/problem+json"), "{kind}: {end}");
            }
            _ => assert_eq!(end.matches("HTTP/1.1 200").count(), 20, "{kind}: {end}"),
        }
    }
}

/// A little at a time, until the server has enough or far longer than it should listen.
fn drip(line: &mut Line, bytes: &[u8]) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE / 2 {
        if line.stream.write_all(bytes).and_then(|()| line.stream.flush()).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
        // Has it answered?
        line.stream.sock.set_nonblocking(true).expect("a socket");
        let readable = line.stream.sock.peek(&mut [0]).is_ok();
        line.stream.sock.set_nonblocking(false).expect("a socket");
        if readable {
            return;
        }
    }
}
