//! `GET magic/{profile}`: the two commands that make a key and a CSR for a profile. Nothing is made here.

use axum::extract::{Path, State};
use serde::Serialize;

use super::super::answer::Data;
use super::super::error::Error;
use super::super::{Upki, profile};

#[derive(Serialize)]
pub(in super::super) struct Magic {
    profile: String,
    commands: Commands,
}

#[derive(Serialize)]
struct Commands {
    generate_key: String,
    generate_csr: String,
}

pub(in super::super) async fn show(State(upki): State<Upki>, Path(name): Path<String>) -> Result<Data<Magic>, Error> {
    let wanted = profile::ours(&upki, &name).ok_or_else(Error::missing)?;
    let (generate_key, digest) = match profile::usual_key(&wanted) {
        ("rsa", bits) => (format!("openssl genrsa -out key.pem {bits}"), " -sha256"),
        ("ec", 384) => ("openssl ecparam -genkey -noout -name secp384r1 -out key.pem".to_owned(), " -sha384"),
        ("ec", _) => ("openssl ecparam -genkey -noout -name prime256v1 -out key.pem".to_owned(), " -sha256"),
        // EdDSA hashes as it likes.
        _ => ("openssl genpkey -algorithm ED25519 -out key.pem".to_owned(), ""),
    };
    // A server is known by its names, and its common name is one of them.
    let names = match wanted.extended_usage_names().contains(&"serverAuth") {
        true => " -addext 'subjectAltName=DNS:YourName'",
        false => "",
    };
    let generate_csr = format!("openssl req -new -key key.pem -out csr.pem{digest} -subj '/CN=YourName'{names}");
    Ok(Data(Magic { profile: name, commands: Commands { generate_key, generate_csr } }))
}
