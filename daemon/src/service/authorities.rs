//! Authorities: issuing CAs, the one that the ceremony made and those that were made since. One service,
//! whatever surface asks.
//!
//! ```text
//! create(self-signed)  ──► enabled ◄──► disabled ──► retired      retired from every standing
//! create(intermediate) ──► pending ──sign by another, or upload of a chain──► enabled
//! ```

use std::sync::Arc;

use hsm::wire::{AuthorityDeed, MAX_CHAIN, MAX_CHAIN_LEN, MAX_NAMES, MAX_TEXT, Plan};
use policy::authority::Subject;
use policy::effects::UnixTime;
use policy::name::DnsName;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::crl::{Coding, Contents};
use super::issue::IssueFailure;
use super::peer::hex;
use super::rights::Permitted;
use super::{Failure, Services};
use crate::current::Current;
use crate::issuance::Pipeline;
use crate::issuance::authorities::{self, AuthorityRecord};
use crate::revocation::Deed;
use crate::store::StoreError;
use crate::store::tables::CERTIFICATES;

pub use hsm::journal::Standing;
pub use policy::authority::{AuthorityNumber, Kind, SubjectFields};
pub use policy::key::KeyKind;

/// Number of the issuing CA that the ceremony made.
pub const CEREMONY: u32 = 1;

/// Longest chain that is read, PEM: base64 of the most that the signer takes, with its armour.
pub const MAX_PEM: usize = 2 * MAX_CHAIN_LEN;

/// An issuing CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its number: [`CEREMONY`], or from 2 on in the order in which they were made.
    pub number: u32,
    /// Label of its key in the token, by which journal, CRLs and metrics call it.
    pub label: String,
    /// The profile that allows it; none for the ceremony's.
    pub profile: Option<String>,
    /// What it may do.
    pub standing: Standing,
    /// Where its certificate comes from.
    pub kind: Kind,
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Key identifier, hexadecimal, once it has a certificate: what URLs call it.
    pub key_identifier: Option<String>,
    /// Its CSR, PEM, once it has a key; none for the ceremony's.
    pub csr: Option<String>,
    /// Its certificate and those above it as far as they are known, PEM, its own first; empty before it
    /// has one.
    pub chain: Vec<String>,
    /// Last second of its certificate, once it has one.
    pub not_after: Option<UnixTime>,
    /// When its certificate was revoked, if it was and a CA of this appliance had signed it.
    pub revoked: Option<UnixTime>,
    /// When it was planned; none for the ceremony's.
    pub created: Option<UnixTime>,
    /// When it last changed, and by whom in the words of the journal; none for the ceremony's.
    pub changed: Option<(UnixTime, String)>,
}

/// An authority to be made. Its key is made in the token, and cannot leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuthority {
    /// Name of the profile with a section `[authority]` that allows it.
    pub profile: String,
    /// Where its certificate comes from.
    pub kind: Kind,
    /// What its key is.
    pub key: KeyKind,
    /// Its subject.
    pub subject: SubjectFields,
    /// Subject alternative names, DNS; at most [`MAX_NAMES`].
    pub names: Vec<String>,
    /// Last second of its certificate; without one, as long as profile and issuer allow.
    pub not_after: Option<UnixTime>,
}

impl Services {
    /// Every authority, by number, retired ones included.
    pub fn authorities(&self, _permitted: &Permitted) -> Result<Vec<Authority>, Failure> {
        let made = authorities::all(&self.store)?;
        let made = made.into_iter().map(|record| self.shown(record));
        [self.ceremonys()].into_iter().chain(made).collect()
    }

    /// The authority of this number.
    pub fn authority(&self, _permitted: &Permitted, number: u32) -> Result<Authority, Failure> {
        match number {
            CEREMONY => self.ceremonys(),
            _ => self.shown(self.record(number)?),
        }
    }

    /// Makes an authority: self-signed it is enabled, otherwise pending until it gets a certificate. What
    /// an earlier attempt for the same left half done is completed.
    pub async fn create_authority(&self, permitted: &Permitted, new: NewAuthority) -> Result<Authority, Failure> {
        let invalid = |why: String| Failure::Invalid(why);
        let NewAuthority { profile, kind, key, subject, names, not_after } = new;
        if profile.len() > MAX_TEXT {
            return Err(invalid("the name of the profile is too long".to_owned()));
        }
        if names.len() > MAX_NAMES {
            return Err(invalid(format!("an authority has at most {MAX_NAMES} subject alternative names")));
        }
        let subject = Subject::new(subject).map_err(|error| invalid(error.to_string()))?;
        let name = |text: &String| DnsName::parse(&text.to_ascii_lowercase());
        let names = names.iter().map(name).collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
        if not_after.is_some_and(|end| end <= self.clock.now()) {
            return Err(invalid("the certificate would be over when it is signed: write a later end".to_owned()));
        }
        let plan = Plan { profile, kind, key, subject, names, not_after };
        let number = self.ca.create_authority(plan, permitted.actor()).await?;
        self.changed(permitted, number, "created")
    }

    /// Has the certificate of a pending intermediate signed by another authority, [`CEREMONY`] included.
    pub async fn sign_authority(&self, permitted: &Permitted, number: u32, by: u32) -> Result<Authority, Failure> {
        let by = match by {
            CEREMONY => self.issuer_key.clone(),
            by => self.record(by)?.authority.number.label(),
        };
        self.change(permitted, number, AuthorityDeed::Certify { by }, "signed").await
    }

    /// Gives an authority the certificate that another CA signed, and those above it: PEM, its own first,
    /// each signed by the next.
    pub async fn upload_authority(&self, permitted: &Permitted, number: u32, pem: &str) -> Result<Authority, Failure> {
        let invalid = |why: &str| Failure::Invalid(why.to_owned());
        if pem.len() > MAX_PEM {
            return Err(invalid("the chain is too long"));
        }
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
        let chain = chain.map(|der| der.map(|der| der.to_vec())).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| Failure::Invalid(format!("the chain is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(invalid("the chain holds no CERTIFICATE block"));
        }
        if chain.len() > MAX_CHAIN || chain.iter().map(Vec::len).sum::<usize>() > MAX_CHAIN_LEN {
            return Err(Failure::Invalid(format!(
                "a chain has at most {MAX_CHAIN} certificates, {MAX_CHAIN_LEN} octets in all"
            )));
        }
        for der in &chain {
            Certificate::from_der(der).map_err(|error| Failure::Invalid(error.to_string()))?;
        }
        self.change(permitted, number, AuthorityDeed::Adopt { chain }, "given a certificate").await
    }

    /// Lets an authority sign certificates again.
    pub async fn enable_authority(&self, permitted: &Permitted, number: u32) -> Result<Authority, Failure> {
        self.change(permitted, number, AuthorityDeed::Enable, "enabled").await
    }

    /// Lets an authority sign no certificates until somebody enables it.
    pub async fn disable_authority(&self, permitted: &Permitted, number: u32) -> Result<Authority, Failure> {
        self.change(permitted, number, AuthorityDeed::Disable, "disabled").await
    }

    /// Lets an authority never sign a certificate again. Its CRLs and OCSP answers go on.
    pub async fn retire_authority(&self, permitted: &Permitted, number: u32) -> Result<Authority, Failure> {
        self.change(permitted, number, AuthorityDeed::Retire, "retired").await
    }

    /// Retires an authority, and revokes its certificate, which a CA of this appliance has signed;
    /// [`Failure::Conflict`] if another one has. `reason` is a code of RFC 5280 section 5.3.1.
    pub async fn revoke_authority(
        &self,
        permitted: &Permitted,
        number: u32,
        reason: Option<u8>,
    ) -> Result<Authority, Failure> {
        let record = self.record(number)?;
        let serial = self.own_serial(&record)?.ok_or_else(|| {
            Failure::Conflict(format!(
                "the certificate of authority {number} was signed by a CA outside, or is not there yet: have it revoked there, and retire the authority here"
            ))
        })?;
        self.change(permitted, number, AuthorityDeed::Retire, "retired").await?;
        match self.act(permitted, &[serial], Deed::Revoke { reason, invalidity: None }).await {
            Ok(_) | Err(super::certificates::RevokeError::Already(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.changed(permitted, record.authority.number, "revoked")
    }

    /// The complete CRL of an authority, PEM. Public, sealed or not.
    pub async fn authority_crl(&self, number: u32) -> Result<String, Failure> {
        let label = match number {
            CEREMONY => self.issuer_key.clone(),
            _ => self.record(number)?.authority.number.label(),
        };
        let missing = || Failure::Missing(format!("authority {number} has no CRL yet"));
        let served = self.crl(&label, "all", Coding::Identity).await?.ok_or_else(missing)?;
        let der = match served.contents {
            Contents::Bytes(bytes) => bytes.to_vec(),
            Contents::File(mut file, _) => {
                let read = tokio::task::spawn_blocking(move || {
                    let mut bytes = Vec::new();
                    std::io::Read::read_to_end(&mut file, &mut bytes).map(|_| bytes)
                });
                let unread = || Failure::Internal("the CRL could not be read".to_owned());
                read.await.map_err(|_| unread())?.map_err(|_| unread())?
            }
        };
        der::pem::encode_string("X509 CRL", der::pem::LineEnding::LF, &der)
            .map_err(|error| Failure::Internal(error.to_string()))
    }

    /// The certificate of an authority, by what URLs call it: its label, or its key identifier.
    pub fn authority_certificate(&self, name: &str) -> Option<super::ca::CaCertificate> {
        let branch = self.revocation.branches.called(name)?;
        super::ca::CaCertificate::read(&branch.office.issuer_key, branch.office.issuer.now().certificate()).ok()
    }

    /// The pipeline that issues by this authority.
    pub(super) fn pipeline_of(&self, number: AuthorityNumber) -> Result<Pipeline, IssueFailure> {
        let record = authorities::read(&self.store, number)?;
        let missing = || IssueFailure::Missing(format!("there is no authority {number}"));
        let record = record.ok_or_else(missing)?;
        let unready = || IssueFailure::Conflict(format!("authority {number} has no certificate yet"));
        let issuer = record.issuer().ok_or_else(unready)?;
        Ok(Pipeline { issuer: Current::new(issuer), issuer_key: number.label().into(), ..self.pipeline() })
    }

    /// PEM of a certificate, and of the authority's and those above it, without the root that ends them.
    pub(super) fn chain_of(&self, number: AuthorityNumber, certificate: &[u8]) -> Result<String, IssueFailure> {
        let record = authorities::read(&self.store, number)?;
        let mut chain = record.map(|record| record.authority.chain).unwrap_or_default();
        let is_root = |der: &[u8]| Certificate::from_der(der).is_ok_and(|last| last.subject() == last.issuer());
        if chain.len() > 1 && chain.last().is_some_and(|last| is_root(&last.0)) {
            chain.pop();
        }
        let pem = |der: &[u8]| Certificate::from_der(der).map(|certificate| certificate.to_pem());
        let all =
            [certificate].into_iter().chain(chain.iter().map(|der| &*der.0)).map(pem).collect::<Result<String, _>>();
        all.map_err(|error| IssueFailure::Internal(format!("a certificate is unreadable: {error}")))
    }

    /// The issuer whose key has this label: the ceremony's, or an authority with a certificate.
    pub(super) fn issuer_called(&self, label: &str) -> Result<Option<Arc<Issuer>>, StoreError> {
        if label == self.issuer_key {
            return Ok(Some(self.issuer.now()));
        }
        let Some(number) = AuthorityNumber::of_label(label) else { return Ok(None) };
        Ok(authorities::read(&self.store, number)?.and_then(|record| record.issuer()).map(Arc::new))
    }

    /// Whether certificates with this label of an issuing key are those of an issuing CA of this appliance.
    pub(super) fn issues_as(&self, label: &str) -> bool {
        label == self.issuer_key || AuthorityNumber::of_label(label).is_some()
    }

    async fn change(
        &self,
        permitted: &Permitted,
        number: u32,
        deed: AuthorityDeed,
        done: &'static str,
    ) -> Result<Authority, Failure> {
        if number == CEREMONY {
            let why = "authority 1 is the ceremony's: it is started with `signetctl ca activate`, and its certificate \
                       is made on the console";
            return Err(Failure::Conflict(why.to_owned()));
        }
        let number = self.record(number)?.authority.number;
        self.ca.change_authority(number, deed, permitted.actor()).await?;
        self.changed(permitted, number, done)
    }

    /// How an authority is after a deed; its CRL and OCSP answers follow.
    fn changed(&self, permitted: &Permitted, number: AuthorityNumber, done: &str) -> Result<Authority, Failure> {
        self.revocation.branches.refresh()?;
        self.revocation.wake();
        tracing::info!(who = permitted.actor().who, authority = %number, "authority {done}");
        self.shown(self.record(number.into())?)
    }

    fn record(&self, number: u32) -> Result<AuthorityRecord, Failure> {
        let missing = || Failure::Missing(format!("there is no authority {number}"));
        let known = AuthorityNumber::try_from(number).map_err(|_| missing())?;
        authorities::read(&self.store, known)?.ok_or_else(missing)
    }

    /// The serial number of its certificate, if a CA of this appliance has signed that.
    fn own_serial(&self, record: &AuthorityRecord) -> Result<Option<Serial>, StoreError> {
        let Some(own) = record.authority.chain.first() else { return Ok(None) };
        let serial = Certificate::from_der(&own.0).ok().and_then(|own| Serial::from_slice(own.serial()).ok());
        let Some(serial) = serial else { return Ok(None) };
        let row = self.store.get(&CERTIFICATES, serial.as_bytes())?;
        Ok(row.filter(|row| row.value.certificate == own.0).map(|_| serial))
    }

    fn ceremonys(&self) -> Result<Authority, Failure> {
        let unreadable = |error: tbs::TbsError| Failure::Internal(format!("a CA certificate is unreadable: {error}"));
        let issuer = self.issuer.now();
        let certificate = Certificate::from_der(issuer.certificate()).map_err(unreadable)?;
        let root = Certificate::from_der(&self.root).map_err(unreadable)?;
        let standing = match self.ca.is_active(&self.issuer_key)? {
            true => Standing::Enabled,
            false => Standing::Disabled,
        };
        let is_root = certificate.subject() == certificate.issuer();
        Ok(Authority {
            number: CEREMONY,
            label: self.issuer_key.clone(),
            profile: None,
            standing,
            kind: if is_root { Kind::SelfSigned } else { Kind::Intermediate },
            subject: certificate.subject(),
            key_identifier: Some(hex(issuer.key_identifier())),
            csr: None,
            chain: if is_root { vec![certificate.to_pem()] } else { vec![certificate.to_pem(), root.to_pem()] },
            not_after: Some(certificate.validity().not_after()),
            revoked: None,
            created: None,
            changed: None,
        })
    }

    fn shown(&self, record: AuthorityRecord) -> Result<Authority, Failure> {
        let unreadable = |error: tbs::TbsError| Failure::Internal(format!("an authority is unreadable: {error}"));
        let revoked = match self.own_serial(&record)? {
            Some(serial) => self.store.get(&CERTIFICATES, serial.as_bytes())?.and_then(|row| row.value.revoked),
            None => None,
        };
        let issuer = record.issuer();
        let AuthorityRecord { authority, created, changed, by } = record;
        let pem = |der: &[u8]| Certificate::from_der(der).map(|certificate| certificate.to_pem());
        let chain: Vec<String> =
            authority.chain.iter().map(|der| pem(&der.0)).collect::<Result<_, _>>().map_err(unreadable)?;
        let csr = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &authority.csr);
        Ok(Authority {
            number: authority.number.into(),
            label: authority.number.label(),
            profile: Some(authority.profile),
            standing: authority.standing,
            kind: authority.kind,
            subject: tbs::authority_subject(&authority.subject).map_err(unreadable)?,
            key_identifier: issuer.as_ref().map(|issuer| hex(issuer.key_identifier())),
            csr: csr.ok().filter(|_| !authority.csr.is_empty()),
            chain,
            not_after: issuer.map(|issuer| issuer.validity().not_after()),
            revoked: revoked.map(|revoked| revoked.at),
            created: Some(created),
            changed: Some((changed, by)),
        })
    }
}
