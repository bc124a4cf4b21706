//! Signet on a guest, and what is done to it.

use std::path::Path;

use softhsm_tests::guest::Guest;

/// A guest with a package installed.
pub(crate) struct Appliance {
    pub(crate) guest: Guest,
}

const CTL: &str = "signetctl --profile /etc/signet/bundle/profile.toml";
const DIRECTORY: &str = "curl --silent --max-time 20 --cacert /etc/signet/ca/root.pem https://127.0.0.1/directory";
const RESOLVER: &str = "127.0.0.1:8053";

impl Appliance {
    /// A guest in whose network every name is at 127.0.0.1.
    pub(crate) fn on(guest: Guest) -> Self {
        guest.serve_dns(RESOLVER.parse().expect("an address")).expect("a DNS server");
        Self { guest }
    }

    /// The guided first run, with every answer on the command line.
    pub(crate) fn first_run(&self) {
        let guest = &self.guest;
        guest.must("umask 077; for pin in root ca so; do echo $pin-pin-1234 >$pin.pin; done");
        let said = guest.must(
            "signet-signer setup --yes --host 127.0.0.1 --host ca.example.test --organization 'Example Works' --admin alice \
             --pki-url http://ca.example.test --validation-network 127.0.0.0/8 \
             --root-pin-file root.pin --ca-pin-file ca.pin --so-pin-file so.pin",
        );
        assert!(said.contains("systemctl enable --now signet-signer@tls signet-signer@ca signetd"), "{said}");
        // Where this guest is not like a host: its resolver, and the port of its clients.
        let more = format!("s/^allowed_networks.*/&\\nresolvers = [\"{RESOLVER}\"]\\nhttp01_port = 5002/");
        guest.must(&format!("sed -i '{more}' /etc/signet/signetd.toml"));
        // And its kernel, which is that of the machine that runs the tests: it may have no Landlock, it may
        // have swap, and a container locks little memory.
        guest.must("sed -i 's/^# without = .*/without = [\"landlock\"]/' /etc/signet/signetd.toml");
        for signer in ["ca", "tls"] {
            let waived = "\\n[hardening]\\nwithout = [\"landlock\", \"memory\"]\\n";
            guest.must(&format!("printf '{waived}' >>/etc/signet/signer-{signer}.toml"));
        }
        guest.must("signetd check");
        let again = guest.must("signet-signer setup --yes --host 127.0.0.1");
        assert!(again.contains("already initialised"), "{again}");
    }

    /// What doctor says of a good token, and of one that is not there.
    pub(crate) fn doctor(&self) {
        let guest = &self.guest;
        for signer in ["ca", "tls"] {
            let said = guest.must(&format!("signetctl hsm doctor --config /etc/signet/signer-{signer}.toml"));
            assert!(said.contains(&format!("`signet-{signer}` in slot")), "{said}");
        }
        let said = guest.must("signet-signer doctor --pin-file ca.pin");
        assert!(said.contains("the PIN is right, and each key signs: issuing-1"), "{said}");
        guest.must("sed s/token=signet-ca/token=lost/ /etc/signet/signer-ca.toml >/etc/signet/lost.toml");
        let said = guest.run("signet-signer doctor --config /etc/signet/lost.toml");
        assert!(said.code == 1 && said.text.contains("the module shows `signet-ca`"), "{said:?}");
        guest.must("rm /etc/signet/lost.toml");
        // A wrong PIN: one attempt, counted.
        guest.must("umask 077; echo wrong-pin >wrong.pin");
        let said = guest.run("signet-signer doctor --pin-file wrong.pin");
        assert!(said.code == 1 && said.text.contains("the token refused the PIN"), "{said:?}");
        assert_eq!(guest.must("cat /var/lib/signet-signer/ca/wrong-pins").trim(), "1");
        guest.must("signet-signer doctor --pin-file ca.pin");
    }

    pub(crate) fn start(&self) {
        self.guest.must("systemctl enable --now signet-signer@tls signet-signer@ca signetd");
        self.running();
    }

    /// Everything is active, by itself or because it was started.
    pub(crate) fn running(&self) {
        self.guest.until(
            "the services",
            "systemctl is-active signet-signer@tls signet-signer@ca signetd && curl --silent --fail --unix-socket \
             /run/signetd/health.sock http://local/health/live",
        );
    }

    /// systemd and the clients are told that it is sealed.
    pub(crate) fn sealed(&self) {
        let guest = &self.guest;
        guest.until("the word of signetd", "systemctl show --property StatusText signetd | grep -w sealed");
        let answer = guest.until("a refusal", &format!("{DIRECTORY} --include | grep -F 'strongbox sealed'"));
        assert!(answer.contains("strongbox sealed"), "{answer}");
        let head = guest.must(&format!("{DIRECTORY} --include"));
        assert!(head.starts_with("HTTP/1.1 503") && head.to_lowercase().contains("retry-after"), "{head}");
    }

    pub(crate) fn unseal(&self) {
        self.guest.must(&format!("{CTL} unseal --pin-file ca.pin"));
        self.guest.must(&format!("{CTL} ca activate --wait 60s"));
        self.ready();
    }

    pub(crate) fn ready(&self) {
        self.guest.until("an unsealed appliance", &format!("{DIRECTORY} --fail | grep newOrder"));
    }

    /// A certificate by the host's certbot, over the guest's loopback.
    pub(crate) fn certificate(&self, name: &str) {
        let place = tempfile::tempdir().expect("a folder");
        let mut command = self.guest.client(Path::new("certbot"));
        command.args(["certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email"]);
        command.args(["--server", "https://127.0.0.1/directory", "--standalone", "--http-01-address", "127.0.0.1"]);
        command.args(["--http-01-port", "5002", "--key-type", "ecdsa", "-d", name]);
        for (flag, folder) in [("--config-dir", ""), ("--work-dir", "work"), ("--logs-dir", "log")] {
            command.arg(flag).arg(place.path().join(folder));
        }
        for variable in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"] {
            command.env_remove(variable);
        }
        let root = place.path().join("root.pem");
        std::fs::copy(self.guest.file("/etc/signet/ca/root.pem"), &root).expect("the root");
        let said = command.env("REQUESTS_CA_BUNDLE", &root).output().expect("certbot");
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{text}\n{}", self.guest.run("journalctl --no-pager -n 40").text);
        assert!(place.path().join("live").join(name).join("fullchain.pem").exists());
        let listed = self.guest.must(&format!("{CTL} cert list --name {name}"));
        assert!(listed.contains("server"), "{listed}");
    }

    pub(crate) fn reload(&self) {
        self.guest.must("systemctl reload signetd");
        self.ready();
    }

    /// The TLS token's PIN, encrypted with the host's key, as docs/packages.md says.
    pub(crate) fn encrypt_the_pin(&self) {
        let guest = &self.guest;
        guest.must(
            "systemd-creds encrypt --with-key=host --name=pin /etc/signet/tls.pin /etc/signet/tls.pin.cred && \
             mkdir -p /etc/systemd/system/signet-signer@tls.service.d && \
             printf '[Service]\nLoadCredential=\nLoadCredentialEncrypted=pin:/etc/signet/tls.pin.cred\n' \
                 >/etc/systemd/system/signet-signer@tls.service.d/zz-pin.conf && \
             shred --remove /etc/signet/tls.pin && systemctl daemon-reload && systemctl restart signet-signer@tls",
        );
        self.running();
        self.ready();
        guest.must("test ! -e /etc/signet/tls.pin");
    }

    /// The unseal secret waits in systemd's descriptor store.
    pub(crate) fn comes_back_unsealed_after_a_kill(&self) {
        let guest = &self.guest;
        let pid = || guest.must("systemctl show --property MainPID --value signet-signer@ca").trim().to_owned();
        let before = pid();
        guest.must(&format!("kill -KILL {before}"));
        guest.until(
            "another signer",
            &format!(
                "test $(systemctl show --property MainPID --value signet-signer@ca) -gt 1 && \
                      test $(systemctl show --property MainPID --value signet-signer@ca) != {before}"
            ),
        );
        self.ready();
        self.certificate("killed.example.test");
    }

    pub(crate) fn seal(&self) {
        self.guest.must(&format!("{CTL} seal"));
        self.sealed();
    }

    /// A backup, made while it runs, on a host that lost its store and its journal.
    pub(crate) fn backup_and_restore(&self, name: &str) {
        let guest = &self.guest;
        let said = guest.must("signetd backup /root/backup");
        assert!(said.contains("copied: journal"), "{said}");
        assert_eq!(guest.must("stat -c %a /root/backup").trim(), "700");
        assert!(guest.run("signetd backup /root/backup").text.contains("nothing is ever overwritten"));
        guest.must("systemctl stop signetd signet-signer@ca signet-signer@tls");
        let said = guest.run("signetd restore /root/backup");
        assert!(said.code == 1 && said.text.contains("this host has a store"), "{said:?}");
        guest.must("mv /var/lib/signet/store /var/lib/signet-signer/ca/journal /root/");
        let said = guest.must("signetd restore /root/backup");
        assert!(said.contains("restored: journal"), "{said}");
        guest.must("! find /var/lib/signet/store ! -user signet | grep .");
        guest.must("! find /var/lib/signet-signer/ca/journal ! -user signet-signer | grep .");
        guest.must("systemctl start signet-signer@tls signet-signer@ca signetd");
        self.running();
        self.sealed();
        self.unseal();
        let listed = guest.must(&format!("{CTL} cert list --name {name}"));
        assert!(listed.contains("server"), "{listed}");
    }

    /// Installs a package while a client asks ten times a second. It may wait or read 503, and nothing else.
    pub(crate) fn upgrade(&self, command: &str) {
        let guest = &self.guest;
        guest.start(&format!(
            "while [ ! -e /root/enough ]; do {DIRECTORY} --output /dev/null --write-out \"%{{http_code}}\\n\"; sleep 0.1; done >/root/polled"
        ));
        guest.until("a client", "test $(wc -l </root/polled) -ge 5");
        let said = guest.must(command);
        assert!(said.contains("0.2.0"), "{said}");
        self.running();
        self.ready();
        guest.until("the client", "n=$(wc -l </root/polled); sleep 1; test $(wc -l </root/polled) -gt $n");
        guest.must("touch /root/enough");
        let polled = guest.must("sort /root/polled | uniq -c");
        println!("answers while the package was upgraded:\n{polled}");
        // systemd holds the ports, and a handshake waits for the TLS signer: nobody is left without an answer (000).
        let count = |status: &str| -> usize {
            let line = polled.lines().find(|line| line.trim().ends_with(&format!(" {status}")));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let all: usize = polled.lines().filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok()).sum();
        assert_eq!(count("200") + count("503"), all, "{polled}");
        assert!(count("200") > 0, "{polled}");
    }

    pub(crate) fn removed(&self) {
        self.guest.must("! command -v signetd signetctl signet-signer");
        self.guest.must("! pgrep signet");
        self.kept();
    }

    /// What is the CA stays.
    pub(crate) fn kept(&self) {
        self.guest.must("ls -d /etc/signet/ca/root.pem /var/lib/signet/store /var/lib/signet-signer/ca/journal /var/lib/signet-signer/ca/tokens");
    }
}
