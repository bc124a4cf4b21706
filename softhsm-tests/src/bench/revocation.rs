//! CRLs, OCSP answers and revocations, with a few and with half a million certificates revoked.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Line;
use super::process::{Peaks, cpu, resident};
use super::sign::token_rate;
use crate::rig::{Failure, Options, Rig, down};
use crate::wait::wait_until;

/// Certificates of the first measurement and of the second; every other one is revoked.
const FEW: usize = 2_000;
const MANY: usize = 1_000_000;
/// Revocations in one measurement.
const REVOCATIONS: usize = 2_000;
/// Requests in one measurement, on one connection that is kept.
const REQUESTS: u32 = 20_000;
/// Longest wait for a large CRL.
const PATIENCE: Duration = Duration::from_secs(300);
const SERVICES: [&str; 2] = ["signetd", "signer-ca"];

pub(super) fn lines() -> Result<Vec<Line>, Failure> {
    // Nothing is published but what is measured.
    let settings = "[crl]\nafter_revocation = \"1d\"\n[ocsp]\nload = 100\n".to_owned();
    let rig = Rig::start(&Options { settings: Some(settings.clone()), ..Options::default() });
    let mut lines = Vec::new();
    let mut known = 0;
    for count in [FEW, MANY] {
        import(&rig, known..count, &settings)?;
        known = count;
        let (begun, before, revoked) = (Instant::now(), cpu(&rig, &SERVICES), count / 2);
        let signed = settle(&rig)?;
        if count == MANY {
            let (rate, each) =
                (signed as f64 / begun.elapsed().as_secs_f64(), (cpu(&rig, &SERVICES) - before) / revoked as u32);
            let measured = format!("{rate:.0}/s, {} µs of CPU each", each.as_micros());
            lines.push(Line::new(
                format!("OCSP answers of {revoked} revoked certificates, signed ahead"),
                measured,
                "",
            ));
        }
        if count == FEW {
            lines.extend(ocsp(&rig)?);
            lines.push(presign(&rig)?);
        } else {
            lines.push(crl(&rig)?);
            let ready = rig.service("signetd").ready_after / 1000;
            let what = format!("start to ready, {count} imported certificates");
            lines.push(Line::new(what, format!("{ready} ms"), "< 300 ms"));
        }
        lines.push(revoke(&rig, count)?);
    }
    Ok(lines)
}

/// Waits until every OCSP answer that was due is signed: what costs CPU from then on is what is measured. Says how many
/// were signed ahead since the start.
pub fn settle(rig: &Rig) -> Result<u64, Failure> {
    let mut last = None;
    let mut signed = 0;
    wait_until("the OCSP answers are signed", PATIENCE * 6, || {
        let Ok(text) = rig.environment.signetctl(&["--json", "ocsp", "status"]) else { return false };
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let now = (status["signed_ahead"].as_u64(), status["lag"].as_u64() == Some(0));
        signed = now.0.unwrap_or_default();
        let settled = now.1 && last == Some(now);
        last = Some(now);
        // Longer than the pause between two looks at what is due.
        std::thread::sleep(Duration::from_secs(2));
        settled
    })?;
    Ok(signed)
}

/// Answers that are signed already, against something else of that size from the same server.
fn ocsp(rig: &Rig) -> Result<Vec<Line>, Failure> {
    let request = rig.directory().join("request.der");
    let issuer = rig.environment.get("SIGNET_ISSUER_FILE");
    let serial = format!("0x{}", serial(0));
    let mut command = Command::new("openssl");
    command.args(["ocsp", "-no_nonce", "-issuer", issuer, "-serial", &serial, "-reqout"]).arg(&request);
    command.output().map_err(|error| format!("openssl: {error}"))?;
    let request = std::fs::read(&request).map_err(|error| format!("the OCSP request: {error}"))?;
    let address = rig.environment.get("SIGNET_PKI_URL").trim_start_matches("http://").to_owned();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    let mut post = format!(
        "POST /ocsp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n",
        request.len()
    )
    .into_bytes();
    post.extend_from_slice(&request);
    let encoded = {
        use base64::Engine;
        let text = base64::prelude::BASE64_STANDARD.encode(&request);
        text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    };
    let kinds = [("static", get("/ca/issuing-1.p7c")), ("GET", get(&format!("/ocsp/{encoded}"))), ("POST", post)];
    // Signed once, and everything warm.
    for (_, request) in &kinds {
        ask(&address, request, 200)?;
    }
    let mut best = [(0.0f64, Duration::MAX, 0usize); 3];
    // In turns, so that all meet the same neighbours; the best counts.
    for _ in 0..3 {
        for ((_, request), best) in kinds.iter().zip(&mut best) {
            let (before, begun) = (cpu(rig, &["signetd"]), Instant::now());
            let size = ask(&address, request, REQUESTS)?;
            let rate = f64::from(REQUESTS) / begun.elapsed().as_secs_f64();
            *best = (best.0.max(rate), best.1.min((cpu(rig, &["signetd"]) - before) / REQUESTS), size);
        }
    }
    let [(plain, own, own_size), answers @ ..] = best;
    let lines = answers.iter().zip(["GET", "POST"]).map(|((rate, cpu, size), kind)| {
        let ratio = own.as_secs_f64() / cpu.as_secs_f64();
        let measured = format!(
            "{rate:.0}/s of {plain:.0}/s: {:.2}; {} µs of CPU of {} µs: {ratio:.2} ({size} and {own_size} octets)",
            rate / plain,
            cpu.as_micros(),
            own.as_micros()
        );
        Line::new(format!("OCSP {kind}, pre-signed, against a static answer"), measured, ">= 0.80")
    });
    Ok(lines.collect())
}

/// Sends a request so often on one connection; how large the body is.
fn ask(address: &str, request: &[u8], count: u32) -> Result<usize, Failure> {
    let fault = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(fault)?;
    stream.set_nodelay(true).map_err(fault)?;
    let mut reader = BufReader::new(stream.try_clone().map_err(fault)?);
    let (mut line, mut body) = (String::new(), Vec::new());
    for _ in 0..count {
        stream.write_all(request).map_err(fault)?;
        let mut length = 0;
        let mut first = true;
        loop {
            line.clear();
            if reader.read_line(&mut line).map_err(fault)? == 0 {
                return Err(format!("{address} closed the connection"));
            }
            if std::mem::take(&mut first) && !line.starts_with("HTTP/1.1 200") {
                return Err(format!("{address} answered {line}"));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|_| format!("a length: {value}"))?;
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).map_err(fault)?;
    }
    Ok(body.len())
}

/// All answers of a planned outage, in batches.
fn presign(rig: &Rig) -> Result<Line, Failure> {
    let own = token_rate(rig)?;
    let until = Command::new("date").args(["-u", "-d", "6 hours", "+%FT%TZ"]).output();
    let until = until.map_err(|error| format!("date: {error}"))?;
    let until = String::from_utf8_lossy(&until.stdout).trim().to_owned();
    let begun = Instant::now();
    let said = rig.environment.signetctl(&["--json", "ocsp", "presign", "--until", &until, "--wait"])?;
    let took = begun.elapsed();
    let said: serde_json::Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
    let signed = said["signed"].as_u64().ok_or_else(|| format!("no number: {said}"))?;
    let rate = signed as f64 / took.as_secs_f64();
    let measured = format!("{rate:.0}/s of the token's own {own:.0}/s: {:.0} % ({signed} answers)", 100.0 * rate / own);
    Ok(Line::new("OCSP answers signed in batches", measured, ""))
}

fn crl(rig: &Rig) -> Result<Line, Failure> {
    let (rest, before) = (resident(rig, &SERVICES), cpu(rig, &SERVICES));
    let peaks = Peaks::start(rig, &SERVICES);
    let begun = Instant::now();
    rig.environment.signetctl(&["crl", "publish"])?;
    let (took, spent) = (begun.elapsed(), cpu(rig, &SERVICES) - before);
    let extra = peaks.highest().saturating_sub(rest) >> 20;
    let million = spent.as_secs_f64() / (MANY / 2) as f64 * 1e6;
    let measured =
        format!("{million:.2} s of CPU; {extra} MB more memory; {:.1} s for {}", took.as_secs_f64(), MANY / 2);
    Ok(Line::new("a CRL, per million entries", measured, "< 2 s, < 100 MB"))
}

/// Revokes by a list, with half of `known` revoked before.
fn revoke(rig: &Rig, known: usize) -> Result<Line, Failure> {
    let list = rig.directory().join("list");
    let serials: Vec<String> = (0..known).step_by(2).rev().map(serial).take(REVOCATIONS.min(known / 4)).collect();
    std::fs::write(&list, serials.join("\n")).map_err(|error| format!("{}: {error}", list.display()))?;
    let before = cpu(rig, &SERVICES);
    let begun = Instant::now();
    rig.environment.signetctl(&["cert", "revoke", "--list", &list.display().to_string(), "--yes"])?;
    let rate = serials.len() as f64 / begun.elapsed().as_secs_f64();
    settle(rig)?;
    let each = (cpu(rig, &SERVICES) - before).as_micros() / serials.len() as u128;
    let what = format!("revocations by a list, {} revoked before", known / 2);
    Ok(Line::new(what, format!("{rate:.0}/s, {each} µs of CPU each, their OCSP answers included"), "the same"))
}

/// Takes certificates of another system over; the rig goes down for it.
fn import(rig: &Rig, numbers: std::ops::Range<usize>, settings: &str) -> Result<(), Failure> {
    let (index, expected) = (rig.directory().join("index.txt"), numbers.end / 2);
    write_index(&index, numbers)?;
    down(&rig.layout)?;
    let mut command = Command::new(program());
    command.arg("import").arg("--config").arg(rig.layout.signetd()).arg(&index);
    let output = command.output().map_err(|error| format!("signetd import: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    rig.up(&Options { settings: Some(settings.to_owned()), ..Options::default() });
    rig.wait_until_ready();
    wait_until("the CRL lists them", PATIENCE, || {
        let Ok(text) = rig.environment.signetctl(&["--json", "crl", "status"]) else { return false };
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let crls = status["crls"].as_array().cloned().unwrap_or_default();
        crls.iter().any(|crl| crl["issuer"] == "issuing-1" && crl["entries"].as_u64() >= Some(expected as u64))
    })
}

fn program() -> PathBuf {
    crate::programs::directory().join("signetd")
}

/// A database of `openssl ca` in which every other certificate is revoked.
fn write_index(file: &Path, numbers: std::ops::Range<usize>) -> Result<(), Failure> {
    let mut text = String::new();
    for number in numbers {
        let serial = serial(number);
        let written = match number % 2 {
            0 => writeln!(text, "V\t360101000000Z\t\t{serial}\tunknown\t/CN=host-{number}.example.test"),
            _ => writeln!(text, "R\t360101000000Z\t260101000000Z,superseded\t{serial}\tunknown\t/CN=host-{number}"),
        };
        written.map_err(|error| error.to_string())?;
    }
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// A serial number of 20 octets, the same for the same number, in no order.
fn serial(number: usize) -> String {
    let spread = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("{:08X}{spread:032X}", 0x1000_0000u32 | (spread >> 101) as u32)
}
