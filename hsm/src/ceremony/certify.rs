//! Certificates for our own roles: built, linted, signed in the token, verified, journalled, and
//! only then handed out.

use policy::effects::Entropy;
use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, Role, RoleCertificate, TbsCertificate};
use policy::validity::Validity;

use super::CeremonyError;
use super::record::{ACTOR, Ledger, VERSION};
use crate::journal::Event;
use crate::pkcs11::{Token, TokenKey};

/// A key in an open token, about to certify.
pub(crate) struct Certifier<'a> {
    pub(crate) token: &'a Token,
    pub(crate) key: &'a TokenKey,
}

impl Certifier<'_> {
    /// The self-signed root.
    pub(crate) fn root(
        &self,
        organization: &str,
        ledger: &mut Ledger,
        entropy: &mut dyn Entropy,
    ) -> Result<Certificate, CeremonyError> {
        let start = ledger.now().minus(BACKDATE);
        let validity = Validity::new(start, start.plus(ROOT_SECONDS - 1)).map_err(tbs::TbsError::from)?;
        let common_name = format!("{organization} Root CA");
        let serial = Serial::generate(entropy)?;
        let tbs = tbs::root(&common_name, organization, &self.key.public, serial, validity)?;
        self.certify(tbs, None, ("root", ""), record(ledger, &[]), ledger)
    }

    /// A certificate under `issuer`, whose key this is.
    pub(crate) fn role(
        &self,
        what: &RoleCertificate<'_>,
        issuer: &Issuer,
        key: &PublicKey,
        ledger: &mut Ledger,
        entropy: &mut dyn Entropy,
    ) -> Result<Certificate, CeremonyError> {
        let tbs = tbs::role(what, issuer, key, Serial::generate(entropy)?, ledger.now())?;
        self.certify(tbs, Some(issuer), (name(&what.role), ""), record(ledger, what.names), ledger)
    }

    /// The order that every certificate takes: lint, sign, verify, journal. `profile` is its name,
    /// or the role's, and the digest of its file.
    pub(crate) fn certify(
        &self,
        tbs: TbsCertificate,
        issuer: Option<&Issuer>,
        (profile, profile_sha256): (&str, &str),
        record: AuthorizationRecord,
        ledger: &mut Ledger,
    ) -> Result<Certificate, CeremonyError> {
        let linted = tbs.lint(issuer)?;
        let scheme = self.key.public.certificate_scheme();
        let signature = self.token.sign(self.key, scheme, linted.tbs().as_bytes())?;
        let certificate = linted.assemble(&self.key.public, scheme, &signature)?;
        ledger.write(Event::Certificate {
            certificate: certificate.der().to_vec(),
            profile: profile.to_owned(),
            profile_sha256: profile_sha256.to_owned(),
            issuer: self.key.label.clone(),
            record,
        })?;
        Ok(certificate)
    }
}

/// The operator on the console vouches for every name.
pub(crate) fn record(ledger: &Ledger, names: &[Name]) -> AuthorizationRecord {
    let at = ledger.now();
    let evidence =
        |name: &Name| NameEvidence { name: name.clone(), method: Method::Console, at, validator: VERSION.to_owned() };
    AuthorizationRecord {
        actor: ACTOR.to_owned(),
        request_id: ledger.request_id().to_owned(),
        order: None,
        names: names.iter().map(evidence).collect(),
    }
}

/// What stands as `profile` in the journal.
fn name(role: &Role) -> &'static str {
    match role {
        Role::Administrator => "administrator",
        Role::IssuingCa => "issuing-ca",
        Role::OcspResponder => "ocsp-responder",
        Role::TlsServer => "tls-server",
    }
}

const DAY: u64 = 86_400;

/// Clocks of relying parties differ by so much.
const BACKDATE: u64 = 3600;

/// 20 years.
const ROOT_SECONDS: u64 = 7305 * DAY;

/// 10 years.
pub(crate) const ISSUING_SECONDS: u64 = 3652 * DAY;

/// What browsers accept, BR 6.3.2.
pub(crate) const TLS_SECONDS: u64 = 397 * DAY;

/// Short, because id-pkix-ocsp-nocheck makes it irrevocable.
pub(crate) const OCSP_SECONDS: u64 = 90 * DAY;

/// One year.
pub(crate) const ADMINISTRATOR_SECONDS: u64 = 365 * DAY;
