//! The token's own rate of signatures, and the rate through a signer.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use hsm::client::Client;
use hsm::wire::{Request, Response};
use policy::key::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::der::Decode;

use super::Line;
use crate::rig::{Failure, MODULE, Rig};

/// How long each rate is measured, three times, and the best is taken: others use the machine too.
const MEASURE: Duration = Duration::from_millis(1500);
const REPEAT: usize = 3;
/// Sessions that a signer has (its default).
const SESSIONS: usize = 8;
const KEY: &str = "tls-1";

pub(super) fn lines(rig: &Rig) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for flight in [1, 8, 64] {
        let sessions = flight.min(SESSIONS);
        let (mut own, mut verified, mut through) = (0.0f64, 0.0f64, 0.0f64);
        // Taken in turns, so that all meet the same neighbours.
        for _ in 0..REPEAT {
            own = own.max(own_rate_in_child(rig, sessions, Each::Signed)?);
            verified = verified.max(own_rate_in_child(rig, sessions, Each::Verified)?);
            through = through.max(rate_through_signer(rig, flight)?);
        }
        let what = format!("P-256 signatures through the signer, {flight} in flight");
        let measured = format!("{through:.0}/s of the token's own {own:.0}/s: {:.0} %", 100.0 * through / own);
        lines.push(Line::new(what, measured, ">= 85 %"));
        let measured = format!("of {verified:.0}/s: {:.0} %", 100.0 * through / verified);
        lines.push(Line::new("  where the token's own are verified too, as the signer must", measured, ""));
    }
    Ok(lines)
}

/// The token's own rate with every session that a signer has, each signature verified.
pub(super) fn token_rate(rig: &Rig) -> Result<f64, Failure> {
    own_rate_in_child(rig, SESSIONS, Each::Verified)
}

fn rate_through_signer(rig: &Rig, flight: usize) -> Result<f64, Failure> {
    let client = Client::new(rig.layout.run().join("tls.sock"), Duration::from_secs(10));
    let done = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel();
    let end = Instant::now() + MEASURE;
    // Each completed request starts the next, on the client's own thread.
    fn next(client: Client, end: Instant, done: Arc<AtomicU64>, ended: mpsc::Sender<Result<(), Failure>>) {
        let request = Request::Handshake {
            key: KEY.to_owned(),
            scheme: SignatureScheme::EcdsaP256Sha256,
            message: certificate_verify(),
        };
        let again = client.clone();
        client.send(None, request, move |answer| match answer {
            Ok(Response::Signature(_)) if Instant::now() < end => {
                done.fetch_add(1, Ordering::Relaxed);
                next(again, end, done, ended);
            }
            Ok(Response::Signature(_)) => drop(ended.send(Ok(()))),
            other => drop(ended.send(Err(format!("no signature but {other:?}")))),
        });
    }
    let started = Instant::now();
    for _ in 0..flight {
        next(client.clone(), end, done.clone(), sender.clone());
    }
    for _ in 0..flight {
        receiver.recv().map_err(|error| error.to_string())??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// What a TLS 1.3 server signs (RFC 8446 section 4.4.3); a signer signs nothing else with its key.
fn certificate_verify() -> Vec<u8> {
    [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat()
}

/// What is done with each signature of the token's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Each {
    /// Nothing more.
    Signed,
    /// It is verified with the public key.
    Verified,
}

/// In a process of its own: SoftHSM reads its configuration from the environment.
fn own_rate_in_child(rig: &Rig, sessions: usize, each: Each) -> Result<f64, Failure> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("own-rate").arg("--sessions").arg(sessions.to_string()).arg("--pin-file").arg(rig.layout.pin("tls"));
    command.args(["--each", if each == Each::Verified { "verified" } else { "signed" }]);
    command.arg("--certificate").arg(rig.layout.certificate("tls-1.pem"));
    command.env("SOFTHSM2_CONF", rig.layout.config().join("softhsm-tls.conf"));
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("no rate but: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Signatures a second of the token alone, from so many sessions at a time.
pub fn own_rate(pin: &str, certificate: &Path, sessions: usize, each: Each) -> Result<f64, Failure> {
    let fault = |error: cryptoki::error::Error| error.to_string();
    let pkcs11 = Pkcs11::new(MODULE).map_err(fault)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(fault)?;
    let slots = pkcs11.get_slots_with_initialized_token().map_err(fault)?;
    let slot = *slots.first().ok_or("no token")?;
    let anchor = pkcs11.open_ro_session(slot).map_err(fault)?;
    anchor.login(UserType::User, Some(&AuthPin::from(pin.to_owned()))).map_err(fault)?;
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(KEY.into())];
    let key = *anchor.find_objects(&template).map_err(fault)?.first().ok_or("no key")?;
    let public = Arc::new(public_key(certificate)?);
    let end = Instant::now() + MEASURE;
    let started = Instant::now();
    let workers: Vec<_> = (0..sessions)
        .map(|_| {
            let session = pkcs11.open_ro_session(slot).map_err(fault)?;
            let public = public.clone();
            Ok(std::thread::spawn(move || {
                let message = certificate_verify();
                let mut count = 0u64;
                while Instant::now() < end {
                    let digest = digest(&SHA256, &message);
                    let signature = session.sign(&Mechanism::Ecdsa, key, digest.as_ref());
                    let signature = signature.map_err(|error| error.to_string())?;
                    if each == Each::Verified {
                        public.verify_sig(&message, &signature).map_err(|error| error.to_string())?;
                    }
                    count += 1;
                }
                Ok::<u64, Failure>(count)
            }))
        })
        .collect::<Result<_, Failure>>()?;
    let mut count = 0;
    for worker in workers {
        count += worker.join().map_err(|_| "a session panicked".to_owned())??;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

fn public_key(certificate: &Path) -> Result<ParsedPublicKey, Failure> {
    let der = CertificateDer::from_pem_file(certificate).map_err(|error| error.to_string())?;
    let certificate = x509_cert::Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let point = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|error| error.to_string())
}
