//! Measures the store's engines: how long they take to open, what a record takes, and how many
//! commits they make a second. `cargo run -p softhsm-tests --example store_bench -- --help`
//!
//! Every step is a process of its own, so that it starts with no memory and no cache of the one
//! before; the one that fills ends by SIGKILL, so that opening after it is opening after a crash.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, Subcommand};
use daemon::store::tables::{CERTIFICATES, CertificateRecord, index_certificate};
use daemon::store::{Change, EngineKind, Store, open};
use nix::sys::signal::{Signal, raise};
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::name::Name;
use policy::serial::Serial;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Measures the store's engines.
#[derive(Parser)]
struct Arguments {
    /// How many certificates to store.
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    /// How many callers commit at the same time.
    #[arg(long, default_value_t = 64)]
    callers: u64,
    /// Where; a directory on the disk to measure.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[command(subcommand)]
    step: Option<Step>,
}

#[derive(Subcommand)]
enum Step {
    /// Opens a store and says how long it took.
    #[command(hide = true)]
    Open { engine: String, store: PathBuf },
    /// Fills a store and ends without closing it.
    #[command(hide = true)]
    Fill { engine: String, store: PathBuf },
}

fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    match &arguments.step {
        Some(Step::Open { engine, store }) => measure_open(kind(engine)?, store, arguments.records),
        Some(Step::Fill { engine, store }) => fill(kind(engine)?, store, arguments.records, arguments.callers),
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failed> {
    let directory = tempfile::tempdir_in(&arguments.dir)?;
    println!("disk: {:.0} synced writes of 4 KiB a second, one after the other", synced_writes(directory.path())?);
    for engine in ["sqlite", "sled"] {
        let store = directory.path().join(engine);
        let step = |name: &str, note: &str| -> Result<(), Failed> {
            println!("{engine}, {note}");
            let status = Command::new(std::env::current_exe()?)
                .args(["--records", &arguments.records.to_string(), "--callers", &arguments.callers.to_string()])
                .args([name, engine])
                .arg(&store)
                .status()?;
            // The step that fills kills itself: no exit code.
            if status.success() || (name == "fill" && status.code().is_none()) {
                return Ok(());
            }
            Err(format!("{name} {engine}: {status}").into())
        };
        step("open", "new")?;
        step("open", "empty")?;
        step("fill", "filled")?;
        step("open", "full, after a crash")?;
        step("open", "full, closed before")?;
        let size = size(&store)? as f64 / arguments.records as f64;
        println!("  {size:.0} octets a certificate with its indexes");
    }
    Ok(())
}

fn measure_open(engine: EngineKind, directory: &Path, records: u64) -> Result<(), Failed> {
    let before = memory()?;
    let begin = Instant::now();
    let store = Store::new(open(engine, directory)?);
    let first = store.get(&CERTIFICATES, serial(0).as_bytes())?;
    println!("  open and first read: {:.1} ms, {} KiB of memory", millis(begin), memory()?.saturating_sub(before));
    if first.is_some() {
        let begin = Instant::now();
        let reads = 20_000;
        for number in 0..reads {
            let place = number * 7_919 % records;
            store.get(&CERTIFICATES, serial(place).as_bytes())?.ok_or("a record is missing")?;
        }
        println!("  {:.0} reads a second in one thread", f64::from(reads as u32) / begin.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    drop(store);
    println!("  close: {:.1} ms", millis(begin));
    Ok(())
}

fn fill(engine: EngineKind, directory: &Path, records: u64, callers: u64) -> Result<(), Failed> {
    let store = Store::new(open(engine, directory)?);
    let next = AtomicU64::new(0);
    let slowest = AtomicU64::new(0);
    let cpu = cpu_time()?;
    let begin = Instant::now();
    std::thread::scope(|scope| -> Result<(), Failed> {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| -> Result<(), Failed> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= records {
                            return Ok(());
                        }
                        let record = record(number)?;
                        let mut change = Change::new();
                        change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
                        index_certificate(&mut change, &record);
                        let begin = Instant::now();
                        store.commit_blocking(change)?;
                        slowest.fetch_max(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| "a caller panicked")?)
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = (cpu_time()? - cpu).as_micros() as f64 / records as f64;
    let slowest = slowest.into_inner() as f64 / 1000.0;
    println!(
        "  {:.0} commits a second by {callers} callers, {cpu:.0} us CPU each, the slowest took {slowest:.0} ms",
        records as f64 / seconds
    );
    raise(Signal::SIGKILL)?;
    Ok(())
}

fn record(number: u64) -> Result<CertificateRecord, Failed> {
    let at = UnixTime(1_800_000_000 + number);
    let serial = serial(number);
    Ok(CertificateRecord {
        serial,
        certificate: STANDARD.decode(CERTIFICATE)?,
        profile: "tls-server".to_owned(),
        profile_sha256: "0".repeat(64),
        issuer: "issuing-1".to_owned(),
        record: AuthorizationRecord {
            actor: format!("acme:{number:032x}"),
            request_id: format!("{number:032x}"),
            order: Some(format!("{number:032x}")),
            subject: None,
            replaces: None,
            node: None,
            requester: None,
            names: vec![NameEvidence {
                name: Name::Ip(std::net::Ipv4Addr::from(number as u32).into()),
                method: Method::Http01,
                at,
                validator: "1".to_owned(),
                seen: None,
                caa: None,
            }],
        },
        journal: "0".repeat(32),
        seq: number,
        at,
        revoked: None,
    })
}

/// Spread over the whole range, as random ones are.
fn serial(number: u64) -> Serial {
    let mut bytes = [1; 20];
    bytes[1..9].copy_from_slice(&(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Serial::from_slice(&bytes).expect("the first octet is 1")
}

fn synced_writes(directory: &Path) -> Result<f64, Failed> {
    let mut file = File::create(directory.join("probe"))?;
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        number += 1;
    }
    Ok(f64::from(number) / begin.elapsed().as_secs_f64())
}

fn kind(engine: &str) -> Result<EngineKind, Failed> {
    Ok(serde_json::from_value(engine.into())?)
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

/// Resident memory of this process, in KiB.
fn memory() -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU time of this process.
fn cpu_time() -> Result<Duration, Failed> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs()))
}

fn size(directory: &Path) -> Result<u64, Failed> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        sum += if entry.metadata()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

/// A server certificate of 607 octets, made by openssl: P-256, one name, the usual extensions.
const CERTIFICATE: &str = "\
    MIICWzCCAgGgAwIBAgIUAQEBAQEBAQEBAQEBAQEBAQEBAQEwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBsZTEVMBMGA1UE\
    AwwMSXNzdWluZyBDQSAxMB4XDTI2MTEyMzAyMzQwM1oXDTI3MDIyMTAyMzQwM1owADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\
    BG7KLU0QO938y5ekGm6PeLtGmuUq2Xzgswp7FePh9ASjr+64/DrYXXzxh7LyH++OuT5jkcZeufLWcDo/s/lIfaGjggEuMIIBKjAM\
    BgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAeBgNVHREEFzAVghNob3N0LTEuZXhhbXBs\
    ZS50ZXN0MDoGA1UdHwQzMDEwL6AtoCuGKWh0dHA6Ly9wa2kuZXhhbXBsZS50ZXN0L2NybC9pc3N1aW5nLTEuY3JsMEQGCCsGAQUF\
    BwEBBDgwNjA0BggrBgEFBQcwAoYoaHR0cDovL3BraS5leGFtcGxlLnRlc3QvY2EvaXNzdWluZy0xLmNlcjATBgNVHSAEDDAKMAgG\
    BmeBDAECATAdBgNVHQ4EFgQUpKVZngvXhYbyGErBUbQwq5x2+GEwHwYDVR0jBBgwFoAU5In9a2QhLa95Rq7nMzhv/CvnXyEwCgYI\
    KoZIzj0EAwIDSAAwRQIhALe2trj7g9d4G5s08Q+I+Fv5k7/OYRVvZVgoWReKumGqAiA7WgOksoo+KfnMujfBNH+iMFSjUySggQfE\
    lKfHzNrIRw==";
