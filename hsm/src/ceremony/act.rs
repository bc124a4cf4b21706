//! The ceremony itself, act by act.

use std::sync::Arc;

use policy::effects::{Clock, Entropy};
use policy::key::{KeyAlgorithm, PublicKey};
use policy::tbs::{Certificate, Issuer, Role};

use super::certify::{Certifier, DAY, common_name, role};
use super::crl::{ROOT_CRL_DAYS, SignedCrl};
use super::custody::{Custody, label};
use super::files::{self, Access};
use super::record::{Ledger, Transcript, hexadecimal, rfc3339};
use super::{AdminKey, Algorithm, CeremonyError, Init, Pins, Report, Standing, custody, rehearsal, settings};
use crate::pkcs11::{Token, TokenKey};
use crate::signer::secrets::SECRETS_KEY;

/// Makes everything. The host was found empty.
pub(super) fn perform(
    init: &Init,
    pins: &Pins,
    admin: &AdminKey,
    clock: Arc<dyn Clock>,
    entropy: &mut dyn Entropy,
) -> Result<Report, CeremonyError> {
    let layout = &init.layout;
    let root = Custody::new("root", &init.module, layout, &pins.root);
    let ca = Custody::new("ca", &init.module, layout, &pins.ca);
    let tls = Custody::new("tls", &init.module, layout, &pins.tls);
    rehearsal::certificates(init, admin.public(), clock.now(), entropy)?;
    rehearsal::settings(init, &ca, &tls)?;

    for directory in [&layout.config, &layout.config.join("ca"), &layout.state, &layout.run] {
        files::directory(directory, Access::Everybody)?;
    }
    for directory in [&layout.bundle, &layout.state_of("ca")] {
        files::directory(directory, Access::Owner)?;
    }
    let mut act = Act {
        init,
        ledger: Ledger::open(&layout.journal(), clock.clone(), entropy)?,
        transcript: Transcript::begin(clock.now(), &init.organization),
        entropy,
    };

    // A token is closed before the next one is opened, so public halves are made first.
    let ca_keys = act.ca_keys(&ca, pins)?;
    let tls_keys = act.tls_keys(&tls, pins)?;
    let authorities = act.authorities(&root, pins, &ca_keys.issuing.public)?;
    let leaves = act.leaves(&ca, &ca_keys, &tls_keys, &authorities, admin)?;

    let identity = &tls_keys.identity.public;
    act.settings(&ca, &tls)?;
    act.bundle(&authorities, &leaves, identity, admin)?;
    act.finish(identity, &authorities)
}

/// A ceremony in progress.
struct Act<'a> {
    init: &'a Init,
    ledger: Ledger,
    transcript: Transcript,
    entropy: &'a mut dyn Entropy,
}

struct CaKeys {
    issuing: TokenKey,
    ocsp: TokenKey,
}

struct TlsKeys {
    server: TokenKey,
    identity: TokenKey,
}

struct Authorities {
    root: Certificate,
    issuing: Certificate,
}

struct Leaves {
    administrator: Certificate,
}

impl Act<'_> {
    fn ca_keys(&mut self, ca: &Custody<'_>, pins: &Pins) -> Result<CaKeys, CeremonyError> {
        let token = self.token(ca, pins)?;
        let issuing = self.key(ca, &token, "issuing-1", self.init.algorithm)?;
        let ocsp = self.key(ca, &token, "ocsp-1", Algorithm::P256)?;
        self.key(ca, &token, "checkpoint-1", Algorithm::P256)?;
        token.generate_secret(SECRETS_KEY)?;
        self.transcript.step(&mut self.ledger, format!("Generated {SECRETS_KEY} in {}: AES-256", label(ca.name)))?;
        self.transcript.detail("read back: sensitive, not extractable; encrypts the secrets that signetd keeps");
        Ok(CaKeys { issuing, ocsp })
    }

    fn tls_keys(&mut self, tls: &Custody<'_>, pins: &Pins) -> Result<TlsKeys, CeremonyError> {
        let token = self.token(tls, pins)?;
        let pin = self.init.layout.tls_pin();
        files::create(&pin, &pins.tls.0, Access::Owner)?;
        self.transcript.detail(&format!("its PIN is in {}", pin.display()));
        let server = self.key(tls, &token, "tls-1", Algorithm::P256)?;
        let identity = self.key(tls, &token, "identity-1", Algorithm::P256)?;
        self.publish("identity.pub", &spki_pem(&identity.public)?)?;
        Ok(TlsKeys { server, identity })
    }

    /// The root, and under it the issuing CA.
    fn authorities(
        &mut self,
        root: &Custody<'_>,
        pins: &Pins,
        issuing: &PublicKey,
    ) -> Result<Authorities, CeremonyError> {
        let token = self.token(root, pins)?;
        let key = self.key(root, &token, "root-1", self.init.root_algorithm)?;
        let certifier = Certifier { token: &token, key: &key };

        let root = certifier.root(&self.init.organization, &mut self.ledger, self.entropy)?;
        self.certified("the root CA", &root)?;
        self.publish("root.pem", &root.to_pem())?;

        let common_name = common_name(self.init, &Role::IssuingCa);
        let what = role(self.init, Role::IssuingCa, &common_name);
        let issuer = Issuer::from_der(root.der())?;
        let issuing = certifier.role(&what, &issuer, issuing, &mut self.ledger, self.entropy)?;
        self.certified("the issuing CA", &issuing)?;
        self.publish("issuing-1.pem", &issuing.to_pem())?;

        let SignedCrl { der, facts } = certifier.crl(&issuer, &[], ROOT_CRL_DAYS * DAY, &mut self.ledger)?;
        let number = facts.number.unwrap_or_default();
        self.transcript.step(&mut self.ledger, format!("Signed the CRL of the root CA, number {number}"))?;
        self.transcript.detail(&format!(
            "it lists nothing; sign the next one before {} (signet-signer root-crl)",
            rfc3339(facts.next_update)
        ));
        files::create(&self.init.layout.ca("root.crl"), &der, Access::Everybody)?;
        Ok(Authorities { root, issuing })
    }

    /// The TLS server, the OCSP responder, the first administrator.
    fn leaves(
        &mut self,
        ca: &Custody<'_>,
        ca_keys: &CaKeys,
        tls_keys: &TlsKeys,
        authorities: &Authorities,
        admin: &AdminKey,
    ) -> Result<Leaves, CeremonyError> {
        let init = self.init;
        let token = ca.open()?;
        let certifier = Certifier { token: &token, key: &ca_keys.issuing };
        let issuer = Issuer::from_der(authorities.issuing.der())?;

        let host = common_name(init, &Role::TlsServer);
        let what = role(init, Role::TlsServer, &host);
        let server = certifier.role(&what, &issuer, &tls_keys.server.public, &mut self.ledger, self.entropy)?;
        self.certified("the TLS server", &server)?;
        self.publish("tls-1.pem", &(server.to_pem() + &authorities.issuing.to_pem()))?;

        let responder = common_name(init, &Role::OcspResponder);
        let what = role(init, Role::OcspResponder, &responder);
        let ocsp = certifier.role(&what, &issuer, &ca_keys.ocsp.public, &mut self.ledger, self.entropy)?;
        self.certified("the OCSP responder", &ocsp)?;
        self.publish("ocsp-1.pem", &ocsp.to_pem())?;

        let administrator =
            super::admin::enroll(&certifier, &issuer, &init.admin, admin, &mut self.ledger, self.entropy)?;
        self.certified(&format!("the administrator {}", init.admin), &administrator)?;
        Ok(Leaves { administrator })
    }

    /// Configuration for the signers, and profiles if there are none.
    fn settings(&mut self, ca: &Custody<'_>, tls: &Custody<'_>) -> Result<(), CeremonyError> {
        let (init, layout) = (self.init, &self.init.layout);
        let standing = Standing::of(layout);
        let ca = settings::signer_ca(init, &ca.environment, standing);
        let tls = settings::signer_tls(init, &tls.environment, standing);
        files::create(&layout.signer("ca"), ca.as_bytes(), Access::Everybody)?;
        files::create(&layout.signer("tls"), tls.as_bytes(), Access::Everybody)?;
        if !files::is_taken(&layout.profiles()) {
            files::directory(&layout.profiles(), Access::Everybody)?;
            for (name, text) in settings::profiles(init) {
                files::create(&layout.profiles().join(name), text.as_bytes(), Access::Everybody)?;
            }
        }
        self.transcript.step(
            &mut self.ledger,
            format!("Wrote {} and {}", layout.signer("ca").display(), layout.signer("tls").display()),
        )
    }

    /// What the first administrator takes away.
    fn bundle(
        &mut self,
        authorities: &Authorities,
        leaves: &Leaves,
        identity: &PublicKey,
        admin: &AdminKey,
    ) -> Result<(), CeremonyError> {
        let bundle = &self.init.layout.bundle;
        let profile = settings::profile(self.init, &hexadecimal(&identity.spki_sha256()), admin);
        let chain = leaves.administrator.to_pem() + &authorities.issuing.to_pem();
        files::create(&bundle.join("root.pem"), authorities.root.to_pem().as_bytes(), Access::Everybody)?;
        files::create(&bundle.join("admin.pem"), chain.as_bytes(), Access::Everybody)?;
        if let Some(pem) = admin.private_pem() {
            files::create(&bundle.join("admin.key"), pem.as_bytes(), Access::Owner)?;
        }
        files::create(&bundle.join("profile.toml"), profile.as_bytes(), Access::Everybody)?;
        self.transcript.step(&mut self.ledger, format!("Wrote the enrolment bundle {}", bundle.display()))
    }

    /// Hands the state over to the signers' account, and writes the transcript last of all.
    fn finish(mut self, identity: &PublicKey, authorities: &Authorities) -> Result<Report, CeremonyError> {
        let layout = &self.init.layout;
        let report =
            Report { identity: hexadecimal(&identity.spki_sha256()), root: hexadecimal(&authorities.root.sha256()) };
        self.transcript.step(&mut self.ledger, "The ceremony is complete".to_owned())?;
        let closing = format!(
            "Appliance identity (SHA-256 of its public key): {}\n\
             Root certificate (SHA-256): {}\n\n\
             The root token, {}, has signed what it had to sign: move it off this host, and keep its PIN apart from it.",
            report.identity,
            report.root,
            layout.state_of("root").display()
        );
        // The journal is closed before its files change hands.
        drop(self.ledger);
        if let Standing::Installed { signer: (uid, gid), .. } = Standing::of(layout) {
            for name in ["ca", "tls"] {
                files::hand_over(&layout.state_of(name), uid, gid)?;
            }
            // What is above comes last: until then the account can exchange nothing on the way.
            std::os::unix::fs::chown(&layout.state, Some(uid), Some(gid))
                .map_err(|error| CeremonyError::Refused(format!("{}: {error}", layout.state.display())))?;
        }
        files::create(&layout.transcript, self.transcript.end(&closing).as_bytes(), Access::Everybody)?;
        Ok(report)
    }

    fn token(&mut self, custody: &Custody<'_>, pins: &Pins) -> Result<Token, CeremonyError> {
        custody.make(&self.init.layout, &pins.so)?;
        let token = custody.open()?;
        let step = format!("Made the token {} with {}", label(custody.name), self.init.module.display());
        self.transcript.step(&mut self.ledger, step)?;
        Ok(token)
    }

    fn key(
        &mut self,
        custody: &Custody<'_>,
        token: &Token,
        name: &str,
        algorithm: Algorithm,
    ) -> Result<TokenKey, CeremonyError> {
        let key = custody::key(token, name, algorithm)?;
        let kind = describe(&key.public);
        let fingerprint = hexadecimal(&key.public.spki_sha256());
        let step = format!("Generated {name} in {}: {kind}, public key SHA-256 {fingerprint}", label(custody.name));
        self.transcript.step(&mut self.ledger, step)?;
        self.transcript.detail("read back: sensitive, not extractable, signs only; a test signature verified");
        Ok(key)
    }

    fn certified(&mut self, whom: &str, certificate: &Certificate) -> Result<(), CeremonyError> {
        let step = format!("Signed the certificate of {whom}, SHA-256 {}", hexadecimal(&certificate.sha256()));
        self.transcript.step(&mut self.ledger, step)?;
        let validity = certificate.validity();
        self.transcript.detail(&format!(
            "{}; serial {}; from {} to {}",
            certificate.subject(),
            hexadecimal(certificate.serial()),
            rfc3339(validity.not_before()),
            rfc3339(validity.not_after())
        ));
        Ok(())
    }

    fn publish(&self, name: &str, pem: &str) -> Result<(), CeremonyError> {
        Ok(files::create(&self.init.layout.ca(name), pem.as_bytes(), Access::Everybody)?)
    }
}

fn describe(key: &PublicKey) -> String {
    match key.algorithm() {
        KeyAlgorithm::Ed25519 => "Ed25519".to_owned(),
        KeyAlgorithm::P256 => "P-256".to_owned(),
        KeyAlgorithm::P384 => "P-384".to_owned(),
        KeyAlgorithm::Rsa => format!("RSA {}", key.bits()),
    }
}

fn spki_pem(key: &PublicKey) -> Result<String, CeremonyError> {
    der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, key.spki())
        .map_err(|error| CeremonyError::Refused(format!("the identity's public key cannot be written as PEM: {error}")))
}
