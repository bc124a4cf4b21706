//! Clients that `make test` does not install: `make interop` does, and runs this.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use softhsm_tests::clients::{Certbot, openssl_verify, run};
use softhsm_tests::rig::{Options, Rig};
use softhsm_tests::wait::wait_until;

#[test]
fn a_later_certbot_obtains_renews_and_revokes() {
    if is_skipped() {
        return;
    }
    let rig = Rig::start(&Options::default());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/certbot/bin/certbot");
    let certbot = Certbot::at(&rig, "certbot", &program);
    let name = "certbot-5.example.test";
    certbot.obtain(name).success();
    certbot.renew().success();
    let (leaf, chain) = certbot.certificate(name);
    openssl_verify(&root(&rig), &chain, &leaf).success();
    certbot.revoke(name).success();
}

#[test]
fn dehydrated_obtains_and_revokes() {
    if is_skipped() {
        return;
    }
    let rig = Rig::start(&Options::default());
    let folder = rig.directory().join("dehydrated");
    let site = folder.join("site");
    let challenges = site.join(".well-known/acme-challenge");
    std::fs::create_dir_all(&challenges).expect("folders");
    let port = rig.environment.get("SIGNET_HTTP01_PORT");
    let _server = Server::start(&site, port);
    let config = folder.join("config");
    let text = format!(
        "CA={}\nCURL_OPTS=\"--cacert {}\"\nWELLKNOWN={}\nBASEDIR={}\nKEY_ALGO=prime256v1\n",
        rig.environment.get("SIGNET_DIRECTORY"),
        root(&rig).display(),
        challenges.display(),
        folder.display(),
    );
    std::fs::write(&config, text).expect("a file");
    let dehydrated = |arguments: &[&str]| run(Command::new("dehydrated").args(arguments).arg("-f").arg(&config));
    let name = "dehydrated.example.test";
    dehydrated(&["--register", "--accept-terms"]).success();
    dehydrated(&["--cron", "--domain", name, "--challenge", "http-01"]).success();
    let leaf = folder.join("certs").join(name).join("cert.pem");
    openssl_verify(&root(&rig), &leaf.with_file_name("chain.pem"), &leaf).success();
    dehydrated(&["--revoke", &leaf.display().to_string()]).success();
}

fn is_skipped() -> bool {
    let skipped = std::env::var_os("SIGNET_INTEROP").is_none();
    if skipped {
        softhsm_tests::skipped("`make interop` installs what this needs");
    }
    skipped
}

fn root(rig: &Rig) -> PathBuf {
    PathBuf::from(rig.environment.get("SIGNET_CA_FILE"))
}

/// Serves a folder over HTTP.
struct Server(Child);

impl Server {
    fn start(folder: &Path, port: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(folder).arg(port);
        let server = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3"));
        let listens = || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
        wait_until("the web server listens", Duration::from_secs(20), listens).expect("a web server");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to wait for either.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
