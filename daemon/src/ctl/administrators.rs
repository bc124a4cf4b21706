//! `signetctl admin add | renew | list | show | role | remove`

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use http::Method;
use policy::rights::Role;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::administrators::{Administrator, Enrol, Enrolled, Renew, SetRole};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Enrol somebody: his certificate is signed, and his bundle written
    #[command(after_help = ADD_HELP)]
    Add {
        /// His CSR, PEM; he keeps his key
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// His name
        #[arg(long)]
        name: String,
        /// What he may do: `administrator` everything, `operator` the daily work, `auditor` look at everything
        #[arg(long)]
        role: Role,
        /// Folder for his bundle, which must not exist yet
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Get a certificate for a new key, with your name and role; the one you have stays good until it ends
    Renew {
        /// A CSR with the new key, PEM
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// Where the certificate and its chain go; the file must not exist yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List administrators, removed ones included
    List,
    /// Show one administrator
    Show {
        /// SHA-256 of his certificate, 64 hexadecimal digits
        fingerprint: String,
    },
    /// Give an administrator another role, from the next request on
    Role {
        /// SHA-256 of his certificate, 64 hexadecimal digits
        fingerprint: String,
        /// Which: `administrator`, `operator` or `auditor`
        role: Role,
    },
    /// Remove an administrator: from the next request on he is refused, and what he holds open is cut
    Remove {
        /// SHA-256 of his certificate, 64 hexadecimal digits
        fingerprint: String,
    },
}

const ADD_HELP: &str = "\
He makes his key and CSR himself, for example:
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout admin.key -subj /CN=Alice -out alice.csr
and copies the bundle to ~/.config/signet with his admin.key beside it. The strongbox must be unsealed.";

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Add { csr, name, role, out } => add(session, csr, name, *role, out),
        Verb::Renew { csr, out } => {
            let wish = Renew { csr: read(csr)? };
            free(out)?;
            let enrolled: Enrolled = session.client.post(&format!("{PATH}/renew"), &wish, OnExpired::Refuse)?;
            write(out, &enrolled.chain)?;
            session.show(&enrolled.administrator, |one| {
                format!("wrote {}: use it with its key, and then remove the certificate that you had\n", out.display())
                    + &fields(&pairs(one))
            })
        }
        Verb::List => {
            let all: Vec<Administrator> = session.client.get(PATH, OnExpired::Refuse)?;
            session.show(&all, |all| table(["FINGERPRINT", "NAME", "ROLE", "ENROLLED", "REMOVED"], all.iter().map(row)))
        }
        Verb::Show { fingerprint } => {
            let one: Administrator = session.client.get(&path(fingerprint)?, OnExpired::Refuse)?;
            session.show(&one, |one| fields(&pairs(one)))
        }
        Verb::Role { fingerprint, role } => {
            let path = format!("{}/role", path(fingerprint)?);
            session.client.act(Method::PUT, &path, Some(&SetRole { role: *role }), OnExpired::Refuse)?;
            session.say(&format!("{fingerprint} has the role {role}"))
        }
        Verb::Remove { fingerprint } => {
            session.client.act(Method::DELETE, &path(fingerprint)?, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("removed {fingerprint}"))
        }
    }
}

/// Enrols somebody, and writes what he needs to know this appliance: the same as at the ceremony.
fn add(session: &Session, csr: &Path, name: &str, role: Role, out: &Path) -> Result<(), CtlError> {
    let wish = Enrol { name: name.to_owned(), role, csr: read(csr)? };
    let root = read(&session.identity.ca)?;
    // Before anything is signed: what cannot be written need not be.
    fs::create_dir(out).map_err(|error| CtlError::Failed(format!("{}: {error}", out.display())))?;
    let enrolled: Enrolled = session.client.post(PATH, &wish, OnExpired::Refuse)?;
    write(&out.join("root.pem"), &root)?;
    write(&out.join("admin.pem"), &enrolled.chain)?;
    write(&out.join("profile.toml"), &profile(session))?;
    session.show(&enrolled.administrator, |one| format!("wrote {}\n", out.display()) + &fields(&pairs(one)))
}

fn profile(session: &Session) -> String {
    let quoted = |text: String| toml::Value::String(text).to_string();
    let url = session.identity.url.to_string();
    let mut text = format!(
        "# Copy this folder to ~/.config/signet and keep it: `identity` is how you know the appliance.\n\
         version = 1\nurl = {}\n",
        quoted(url.trim_end_matches('/').to_owned())
    );
    if let Some(identity) = session.identity.pinned {
        let _ = writeln!(text, "identity = {}", quoted(crate::service::peer::hex(&identity)));
    }
    text + "ca = \"root.pem\"\ncertificate = \"admin.pem\"\nkey = \"admin.key\"   # put the key of your CSR there, mode 0600\n"
}

fn row(one: &Administrator) -> [String; 5] {
    let Administrator { fingerprint, name, role, enrolled, removed } = one;
    let removed = removed.map_or_else(String::new, time);
    [fingerprint.clone(), name.clone(), role.to_string(), time(*enrolled), removed]
}

fn pairs(one: &Administrator) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("fingerprint", one.fingerprint.clone()),
        ("name", one.name.clone()),
        ("role", one.role.to_string()),
        ("enrolled", time(one.enrolled)),
    ];
    pairs.extend(one.removed.map(|at| ("removed", time(at))));
    pairs
}

/// The path of an administrator.
fn path(fingerprint: &str) -> Result<String, CtlError> {
    let fingerprint: String = fingerprint.chars().filter(|letter| *letter != ':').collect();
    if fingerprint.len() != 64 || !fingerprint.chars().all(|letter| letter.is_ascii_hexdigit()) {
        return Err(CtlError::Failed("a fingerprint is 64 hexadecimal digits: see `admin list`".to_owned()));
    }
    Ok(format!("{PATH}/{fingerprint}"))
}

fn read(path: &Path) -> Result<String, CtlError> {
    fs::read_to_string(path).map_err(|error| CtlError::Failed(format!("{}: {error}", path.display())))
}

fn free(path: &Path) -> Result<(), CtlError> {
    match path.symlink_metadata() {
        Ok(_) => Err(CtlError::Failed(format!("{} is there already: name another file", path.display()))),
        Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), CtlError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CtlError::Failed(format!("{}: {error}", path.display())))
}

const PATH: &str = "/admin/v1/administrators";
