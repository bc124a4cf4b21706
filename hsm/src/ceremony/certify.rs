//! Certificates for our own roles: built, linted, signed in the token, verified, journalled, and
//! only then handed out.

use policy::effects::{Entropy, UnixTime};
use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, Role, RoleCertificate, TbsCertificate};
use policy::validity::Validity;

use super::record::{ACTOR, Ledger, VERSION};
use super::{CeremonyError, Init};
use crate::journal::{Event, OCSP_RESPONDER};
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
        let tbs = root(organization, &self.key.public, Serial::generate(entropy)?, ledger.now())?;
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

/// To-be-signed bytes of the root.
pub(super) fn root(
    organization: &str,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, CeremonyError> {
    let start = now.minus(BACKDATE);
    let validity = Validity::new(start, start.plus(ROOT_SECONDS - 1)).map_err(tbs::TbsError::from)?;
    Ok(tbs::root(&format!("{organization} Root CA"), organization, key, serial, validity)?)
}

/// What each certificate of a ceremony says, for the role `of`.
pub(super) fn role<'a>(init: &'a Init, of: Role, common_name: &'a str) -> RoleCertificate<'a> {
    let (organization, names, seconds) = match of {
        Role::Administrator => (None, &[][..], ADMINISTRATOR_SECONDS),
        Role::IssuingCa => (Some(init.organization.as_str()), &[][..], ISSUING_SECONDS),
        Role::OcspResponder => (Some(init.organization.as_str()), &[][..], OCSP_SECONDS),
        Role::TlsServer => (None, init.hosts.as_slice(), TLS_SECONDS),
    };
    // An administrator enrolled later gets the same certificate as the first one, and the console
    // does not know where things are published.
    let pki_url = if matches!(of, Role::Administrator) { None } else { init.pki_url.as_deref() };
    RoleCertificate { role: of, common_name, organization, names, pki_url, seconds }
}

/// The common name of the certificate for the role `of`.
pub(super) fn common_name(init: &Init, of: &Role) -> String {
    match of {
        Role::Administrator => init.admin.clone(),
        Role::IssuingCa => format!("{} Issuing CA 1", init.organization),
        Role::OcspResponder => format!("{} OCSP Responder 1", init.organization),
        Role::TlsServer => init.hosts.first().map(Name::to_string).unwrap_or_default(),
    }
}

/// The operator on the console vouches for every name.
pub(crate) fn record(ledger: &Ledger, names: &[Name]) -> AuthorizationRecord {
    let at = ledger.now();
    let evidence = |name: &Name| NameEvidence {
        name: name.clone(),
        method: Method::Console,
        at,
        validator: VERSION.to_owned(),
        seen: None,
        caa: None,
    };
    AuthorizationRecord {
        actor: ACTOR.to_owned(),
        request_id: ledger.request_id().to_owned(),
        order: None,
        subject: Some(Method::Console),
        replaces: None,
        node: None,
        requester: None,
        names: names.iter().map(evidence).collect(),
    }
}

/// What stands as `profile` in the journal.
fn name(role: &Role) -> &'static str {
    match role {
        Role::Administrator => "administrator",
        Role::IssuingCa => "issuing-ca",
        Role::OcspResponder => OCSP_RESPONDER,
        Role::TlsServer => "tls-server",
    }
}

pub(super) const DAY: u64 = 86_400;

/// Clocks of relying parties differ by so much.
const BACKDATE: u64 = 3600;

/// 20 years.
const ROOT_SECONDS: u64 = 7305 * DAY;

/// 10 years.
const ISSUING_SECONDS: u64 = 3652 * DAY;

/// What browsers accept, BR 6.3.2.
const TLS_SECONDS: u64 = 397 * DAY;

/// Short, because id-pkix-ocsp-nocheck makes it irrevocable.
const OCSP_SECONDS: u64 = 90 * DAY;

/// One year.
pub(crate) const ADMINISTRATOR_SECONDS: u64 = 365 * DAY;
