//! Server-side request forgery: what http-01 and tls-alpn-01 must never connect to.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daemon::validation::Retry;

use super::*;

/// Where a name may lead, as DNS says it.
const HOSTILE: &[(&str, &str)] = &[
    ("A", "127.0.0.2"),
    ("A", "0.0.0.0"),
    ("A", "10.0.0.1"),
    ("A", "169.254.169.254"),
    ("A", "100.100.100.200"),
    ("A", "168.63.129.16"),
    ("A", "224.0.0.1"),
    ("A", "255.255.255.255"),
    ("AAAA", "::"),
    ("AAAA", "::1"),
    ("AAAA", "fe80::1"),
    ("AAAA", "fd00:ec2::254"),
    ("AAAA", "fd12:3456::1"),
    ("AAAA", "ff02::1"),
    ("AAAA", "::ffff:127.0.0.2"),
    ("AAAA", "::ffff:169.254.169.254"),
    ("AAAA", "::127.0.0.2"),
    ("AAAA", "64:ff9b::7f00:2"),
    ("AAAA", "64:ff9b:1::7f00:2"),
    ("AAAA", "2002:7f00:2::"),
    ("AAAA", "2001:0:7f00:2::80ff:fffd"),
];

/// A web server on 127.0.0.1 that answers every path with `answer`, and counts.
struct Web {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Web {
    fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, asked }
    }

    fn redirect(location: &str) -> Self {
        Self::start(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
    }

    fn good() -> Self {
        Self::start(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{AUTHORIZATION}", AUTHORIZATION.len()))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Only 127.0.0.1 may be connected to.
fn narrow(server: &Server, port: u16) -> Validation {
    let network = "127.0.0.1/32".parse().expect("a network");
    Validation {
        allowed_networks: AllowedNetworks::Only(vec![network]),
        http01_port: port,
        tls_alpn01_port: port,
        ..settings(server)
    }
}

async fn refused(settings: &Validation, name: &str, method: Method, said: &[&str]) {
    let failure = Validator::new(settings).validate(&attempt(&name_of(name), method)).await.expect_err(name);
    assert_failure(&failure, FailureKind::Unauthorized, said);
    assert_eq!(failure.retry, Retry::No, "{failure:?}");
}

#[tokio::test]
async fn a_name_that_leads_to_a_hostile_address_is_refused_by_both_methods() {
    let web = Web::good();
    for (kind, address) in HOSTILE {
        let server = Server::start(&format!("a.test {kind} {address}"));
        for method in [Method::Http01, Method::TlsAlpn01] {
            refused(&narrow(&server, web.port), "a.test", method, &["a.test", "may connect to"]).await;
            // The default allows what is private, and nothing else of these.
            if !["10.0.0.1", "fd12:3456::1"].contains(address) {
                let settings = Validation { allowed_networks: AllowedNetworks::Default, ..narrow(&server, web.port) };
                refused(&settings, "a.test", method, &["may connect to"]).await;
            }
        }
    }
    assert_eq!(web.asked(), 0);
}

#[tokio::test]
async fn a_hostile_address_as_identifier_is_refused_by_both_methods() {
    let server = Server::start("");
    let web = Web::good();
    for (_, address) in HOSTILE {
        // Only the canonical form is an identifier.
        let canonical = address.parse::<std::net::IpAddr>().expect("an address").to_string();
        for method in [Method::Http01, Method::TlsAlpn01] {
            refused(&narrow(&server, web.port), &canonical, method, &[&canonical, "may connect to"]).await;
        }
    }
    assert_eq!((web.asked(), server.asked().len()), (0, 0));
}

#[tokio::test]
async fn redirects_to_hostile_addresses_ports_schemes_and_users_are_refused() {
    let server = Server::start("a.test A 127.0.0.1");
    for (number, (kind, address)) in HOSTILE.iter().enumerate() {
        let name = format!("h{number}.test");
        server.add(&format!("{name} {kind} {address}"));
        let web = Web::redirect(&format!("http://{name}/"));
        refused(&narrow(&server, web.port), "a.test", Method::Http01, &["may connect to", &name]).await;
        let literal = if *kind == "A" { (*address).to_owned() } else { format!("[{address}]") };
        let web = Web::redirect(&format!("https://{literal}/"));
        refused(&narrow(&server, web.port), "a.test", Method::Http01, &[]).await;
    }
    for location in [
        "http://2130706434/",
        "http://0x7f000002/",
        "http://0x7f.0.0.2/",
        "http://017700000002/",
        "http://0177.0.0.2/",
        "http://127.2/",
        "http://127.0.0.2./",
        "http://[::ffff:7f00:2]/",
        "http://[::127.0.0.2]/",
        "http://[fe80::1%25eth0]/",
        "http://user@a.test/",
        "http://a.test@127.0.0.2/",
        "http://a.test:22/",
        "http://a.test:25/",
        "http://a.test:8080/",
        "https://a.test:8443/",
        "ftp://a.test/",
        "file:///etc/passwd",
        "gopher://a.test/",
        "unix:///run/signet/ca.sock",
        "data:text/plain,token",
        "//a.test:22/",
        "\\\\a.test\\x",
        "javascript:0",
    ] {
        let web = Web::redirect(location);
        refused(&narrow(&server, web.port), "a.test", Method::Http01, &["redirects to"]).await;
        assert_eq!(web.asked(), 1, "{location}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_between_check_and_use_gains_nothing() {
    // Each hop is resolved once, and what was resolved is what is connected to.
    let server = Server::start("a.test 0 A 127.0.0.1\nrebind.test 0 A 127.0.0.1");
    let good = Web::good();
    let validator = Validator::new(&narrow(&server, good.port));
    validator.validate(&attempt(&name_of("rebind.test"), Method::Http01)).await.expect("control");
    assert_eq!(server.asked().iter().filter(|asked| *asked == "rebind.test A").count(), 1);
    // The next attempt, and the next hop, look again.
    server.clear("rebind.test");
    server.add("rebind.test 0 A 169.254.169.254");
    refused(&narrow(&server, good.port), "rebind.test", Method::Http01, &["169.254.169.254"]).await;
    let web = Web::redirect("http://rebind.test/");
    refused(&narrow(&server, web.port), "a.test", Method::Http01, &["rebind.test", "169.254.169.254"]).await;
    assert_eq!(good.asked(), 1);
}

#[tokio::test]
async fn of_good_and_hostile_addresses_only_the_good_ones_are_used() {
    let server = Server::start("a.test A 169.254.169.254\na.test A 127.0.0.1\na.test AAAA ::1");
    let web = Web::good();
    let shown = Validator::new(&narrow(&server, web.port)).validate(&attempt(&name_of("a.test"), Method::Http01)).await;
    assert_eq!(shown.expect("control").seen.address, Some(format!("127.0.0.1:{}", web.port)));
}

#[tokio::test]
async fn named_networks_are_reached() {
    let web = Web::good();
    let server = Server::start("a.test AAAA ::ffff:127.0.0.1");
    let shown = Validator::new(&narrow(&server, web.port)).validate(&attempt(&name_of("a.test"), Method::Http01)).await;
    shown.expect("a mapped address is the IPv4 address that was named");
}
