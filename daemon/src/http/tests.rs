use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::config::Address;
use crate::testing::{Authority, limited_services};

/// Longer than anything here may take, machine under load included.
const PATIENCE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits {
        body: 1024,
        connections: 16,
        header: 8192,
        header_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_millis(500),
    }
}

struct Server {
    address: SocketAddr,
    /// Another listener of the same daemon.
    other: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// Connections that one address may have open.
const PER_ADDRESS: u32 = 32;

/// A plain listener on loopback that serves a few paths of its own.
fn server(limits: Limits) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let nobody = directory.path().join("nobody");
    let services = limited_services(directory.path(), &Authority::new(), nobody, Some(PER_ADDRESS));
    let router = axum::Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/panic", get(|| async { panic!("a defect") as &'static str }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(1)).await }))
        .route("/for-ever", get(std::future::pending::<()>))
        .route("/huge", get(|| async { vec![b'x'; 64 << 20] }));
    let endpoint = || {
        let socket = bind(&Address::Ip("127.0.0.1:0".parse().unwrap())).unwrap();
        let Socket::Tcp(listener) = &socket else { panic!("a TCP socket was bound") };
        (listener.local_addr().unwrap(), Endpoint { socket, tls: None, site: Site::new(router.clone(), &[]) })
    };
    let ((address, first), (other, second)) = (endpoint(), endpoint());
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(vec![first, second], services, limits, stopped));
    Server { address, other, stop, serving, _directory: directory }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too: the server closes while we still send.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(server: &Server, request: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

fn get_and_close(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let server = server(limits());
    for beginning in ["", "GET /echo HT", "GET /echo HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = connect(&server).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_problem_whether_announced_or_not() {
    let server = server(limits());
    let announced = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n{}", "x".repeat(2000));
    let chunked = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
        "x".repeat(2000)
    );
    for request in [announced, chunked] {
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains("larger than the 1024 bytes"), "{answer}");
    }
    let fits = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\nConnection: close\r\n\r\n{}",
        "x".repeat(1024)
    );
    assert!(ask(&server, &fits).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let server = server(limits());
    let long = format!("GET /slow HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET /slow HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: y\r\n".repeat(100));
    for request in [long, many] {
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn over_the_limit_of_connections_the_next_waits_for_its_turn() {
    let limits = Limits { connections: 2, header_timeout: PATIENCE, ..limits() };
    let server = server(limits);
    let first = connect(&server).await;
    let _second = connect(&server).await;
    let mut third = connect(&server).await;
    third.write_all(get_and_close("/slow").as_bytes()).await.unwrap();
    let mut octet = [0];
    assert!(timeout(Duration::from_millis(1500), third.read(&mut octet)).await.is_err(), "it was not its turn");
    drop(first);
    assert!(rest(&mut third).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_listener_that_is_full_leaves_the_others_alone() {
    let server = server(Limits { connections: 3, header_timeout: PATIENCE, ..limits() });
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(connect(&server).await);
    }
    for _ in 0..3 {
        let mut administrator = TcpStream::connect(server.other).await.unwrap();
        administrator.write_all(get_and_close("/nothing").as_bytes()).await.unwrap();
        let answer = timeout(PATIENCE / 2, rest(&mut administrator)).await.expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_connection_goes_on() {
    let server = server(limits());
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.write_all(get_and_close("/slow").as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    assert!(answers.contains("application/problem+json") && !answers.contains("a defect"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 "), "{answers}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_with_503() {
    let server = server(Limits { request_timeout: Duration::from_millis(200), ..limits() });
    let answer = ask(&server, &get_and_close("/for-ever")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    // A body that does not come is the same: it counts from the headers on.
    let answer =
        ask(&server, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\nx").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = server(Limits { connections: 1, ..limits() });
    let mut deaf = connect(&server).await;
    deaf.write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The only place is taken, until the first one is cut.
    assert!(ask(&server, &get_and_close("/slow")).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own_and_errors_are_problems() {
    let server = server(limits());
    let id = |answer: &str| answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
    let missing = ask(&server, &get_and_close("/nothing")).await;
    let wrong = ask(&server, &get_and_close("/echo")).await;
    assert_ne!(id(&missing), id(&wrong));
    assert!(missing.starts_with("HTTP/1.1 404 ") && missing.contains("\"status\":404"), "{missing}");
    assert!(wrong.starts_with("HTTP/1.1 405 ") && wrong.contains("allow: POST"), "{wrong}");
}

#[tokio::test]
async fn the_order_to_stop_lets_requests_finish_and_ends_idle_connections() {
    let server = server(Limits { header_timeout: PATIENCE, ..limits() });
    let mut idle = connect(&server).await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The request is in its handler once a second one, sent later, was answered.
    ask(&server, &get_and_close("/nothing")).await;
    server.stop.send_replace(true);
    assert_eq!(rest(&mut idle).await, "");
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200 "));
    timeout(PATIENCE, server.serving).await.expect("it returns").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[test]
fn a_socket_file_is_replaced_only_when_nobody_listens_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let bound = bind(&Address::Unix(path.clone())).unwrap();
    assert!(bind(&Address::Unix(path.clone())).is_err_and(|error| error.to_string().contains("another process")));
    drop(bound);
    assert!(bind(&Address::Unix(path)).is_ok());
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(bind(&Address::Unix(file.clone())).is_err());
    assert!(file.exists());
}

#[tokio::test]
async fn an_address_that_has_too_many_connections_is_shut_out_until_it_closes_one() {
    let server = server(Limits { connections: 64, header_timeout: PATIENCE, ..limits() });
    let mut held = Vec::new();
    for _ in 0..PER_ADDRESS {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /slow HT").await.unwrap();
        held.push(stream);
    }
    assert_eq!(ask(&server, &get_and_close("/slow")).await, "");
    let mut other = TcpStream::connect(server.other).await.unwrap();
    other.write_all(get_and_close("/slow").as_bytes()).await.unwrap();
    assert!(rest(&mut other).await.starts_with("HTTP/1.1 200 "));
    held.pop();
    let deadline = Instant::now() + PATIENCE;
    while !ask(&server, &get_and_close("/slow")).await.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline, "the place of a connection that is gone stays taken");
    }
}
