//! Who asks, and whether he may: by certificate or by API token, through the one table of
//! [`policy::rights`].

use std::sync::Arc;

use hsm::wire;
use policy::grant::TokenGrant;
use policy::name::Name;
use policy::profile::Refusal;
use policy::registration::CommonName;
use policy::rights::{Actor, Verdict, permits};
use policy::serial::Serial;

pub use policy::rights::{Permission, Role, Scope};

use super::peer::{Peer, PeerCertificate};
use super::tokens::TokenDenied;
use super::{Failure, RequestId, Services};
use crate::store::StoreError;
use crate::store::tables::{ADMINISTRATORS, CERTIFICATES};

/// Who sent a request, as far as the transport knows.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The other end of the connection.
    pub peer: &'a Peer,
    /// What he shows of himself.
    pub shows: Shows<'a>,
}

/// What somebody shows of himself. It alone decides who he is.
#[derive(Clone, Copy, Debug)]
pub enum Shows<'a> {
    /// The certificate of the connection, if it has one.
    Certificate,
    /// A session of the Notary dialect, if he has one.
    Session(Option<&'a str>),
    /// An API token: what follows `Bearer` in the header Authorization (RFC 6750), or a dialect's own header.
    Token(&'a str, Locked),
}

/// What a locked token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Nothing.
    Refused,
    /// As much as before. CertMaker locks its users out of its pages, not out of its API.
    Taken,
}

impl<'a> From<&'a Peer> for Caller<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self { peer, shows: Shows::Certificate }
    }
}

/// Somebody who may do one thing. Only [`Services::permit`] and [`Services::permit_own`] make one, so
/// that a handler which demands it cannot run before the question was asked.
#[derive(Clone, Debug)]
pub struct Permitted {
    who: Actor,
    scope: Scope,
    grant: Option<Arc<TokenGrant>>,
    /// The certificate that he acts by, if it is one.
    shown: Option<Serial>,
    request_id: RequestId,
}

impl Permitted {
    /// Somebody who may do everything, for tests of what lies behind the question.
    #[cfg(test)]
    pub(crate) fn for_tests(services: &Services) -> Self {
        let request_id = RequestId::generate(&services.random).unwrap();
        let who = Actor::Administrator(Role::Administrator, "00".repeat(32));
        Self { who, scope: Scope::Everything, grant: None, shown: None, request_id }
    }

    /// Another administrator, or somebody with a certificate of ours and his own things.
    #[cfg(test)]
    pub(crate) fn other_for_tests(services: &Services, who: Actor, scope: Scope) -> Self {
        Self { who, scope, ..Self::for_tests(services) }
    }

    /// Who acts, in the words of the journal.
    pub fn actor(&self) -> wire::Actor {
        wire::Actor { who: self.who.to_string(), request_id: self.request_id.to_string() }
    }

    /// The same request, by a node that showed a seed of its own: for its own certificates only.
    pub(super) fn as_node(&self, name: &CommonName) -> Self {
        let who = Actor::Node(name.to_string());
        Self { who, scope: Scope::Own, grant: None, shown: None, request_id: self.request_id.clone() }
    }

    /// The request.
    pub(super) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The id of the API token that he acts by, if he does.
    pub(super) fn token(&self) -> Option<&str> {
        match &self.who {
            Actor::Token(id, _) => Some(id),
            _ => None,
        }
    }

    /// Whether he acts by the certificate with this SHA-256 fingerprint (lower-case hexadecimal).
    pub(super) fn shows(&self, fingerprint: &str) -> bool {
        matches!(&self.who, Actor::Administrator(_, own) | Actor::Client(own) if own == fingerprint)
    }

    /// Serial number of the certificate that he acts by, if it is one of ours.
    pub(super) fn shown(&self) -> Option<Serial> {
        self.shown
    }

    /// Who acts.
    pub fn who(&self) -> &Actor {
        &self.who
    }

    /// To which objects.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether that includes the certificate with this SHA-256 fingerprint (lower-case hexadecimal),
    /// for which `asked` asked, in the words of the journal.
    pub fn reaches(&self, fingerprint: &str, asked: &str) -> bool {
        match (self.scope, &self.who) {
            (Scope::Everything, _) => true,
            (Scope::Own, Actor::Administrator(_, own) | Actor::Client(own)) => own == fingerprint,
            (Scope::Own, who) => who.to_string() == asked,
        }
    }

    /// Whether the API token that was shown, if one was, grants certificates from this profile for
    /// these names.
    pub fn grants<'n>(&self, profile: &str, names: impl IntoIterator<Item = &'n Name>) -> Result<(), Refusal> {
        let Some(grant) = &self.grant else { return Ok(()) };
        grant.allows_profile(profile)?;
        names.into_iter().try_for_each(|name| grant.allows_name(name))
    }
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Neither a certificate nor a token was shown.
    #[error("administrators are known by their certificates, and none was shown: use the profile of your enrolment")]
    Anonymous,
    /// The certificate's time is over.
    #[error("your certificate has expired, so it opens `status` and `unseal` only: have yourself enrolled again")]
    Expired,
    /// The administrator's role or the token does not reach that far.
    #[error("{what} does not carry the right `{permission}`")]
    Forbidden {
        /// What he acts by.
        what: String,
        /// What it would take.
        permission: Permission,
    },
    /// No session was shown, or one that is over.
    #[error("there is no such session: log in")]
    NoSession,
    /// The certificate is revoked.
    #[error("your certificate is revoked: have yourself enrolled again")]
    Revoked,
    /// The administrator was removed.
    #[error("you were removed from the administrators")]
    Removed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token is not taken.
    #[error(transparent)]
    Token(#[from] TokenDenied),
    /// The certificate is nobody's whom we know.
    #[error("this certificate is not enrolled: an administrator must be enrolled with `signetctl admin add`")]
    Unknown,
}

/// Who asks, what his token grants if he shows one, and what he lacks if that is not enough.
struct Identified {
    who: Actor,
    grant: Option<Arc<TokenGrant>>,
    shown: Option<Serial>,
    short_of: Denied,
}

impl Services {
    /// Whether the caller may do this to everything there is.
    pub fn permit<'a>(
        &self,
        caller: impl Into<Caller<'a>>,
        request: &RequestId,
        permission: Permission,
    ) -> Result<Permitted, Denied> {
        self.judge(caller.into(), request, permission, Scope::Everything)
    }

    /// Whether the caller may do this to what is his own at least; what he gets says to what, and the
    /// use case keeps to it ([`Permitted::scope`], [`Permitted::reaches`]).
    pub fn permit_own<'a>(
        &self,
        caller: impl Into<Caller<'a>>,
        request: &RequestId,
        permission: Permission,
    ) -> Result<Permitted, Denied> {
        self.judge(caller.into(), request, permission, Scope::Own)
    }

    fn judge(
        &self,
        caller: Caller<'_>,
        request: &RequestId,
        permission: Permission,
        least: Scope,
    ) -> Result<Permitted, Denied> {
        let Identified { who, grant, shown, short_of } = self.identify(caller, permission)?;
        match permits(&who, permission) {
            Verdict::Granted(scope) if scope == Scope::Everything || least == Scope::Own => {
                Ok(Permitted { who, scope, grant, shown, request_id: request.clone() })
            }
            Verdict::Granted(_) | Verdict::ProveYourself | Verdict::Refused => Err(short_of),
        }
    }

    /// Whether who was permitted something still counts: a token that was taken then, an administrator who
    /// was there. For what goes on after that, such as a stream.
    pub(super) fn still(&self, permitted: &Permitted) -> Result<(), Failure> {
        match &permitted.who {
            Actor::Administrator(_, fingerprint) => match self.store.get(&ADMINISTRATORS, fingerprint)? {
                Some(record) if record.value.removed.is_none() => Ok(()),
                _ => Err(Failure::Refused(Denied::Removed.to_string())),
            },
            Actor::Token(id, _) => self.token_counts(id),
            _ => Ok(()),
        }
    }

    /// Whether who showed this certificate has lost what it gave him: it is revoked, or he was removed
    /// from the administrators. What he holds open is cut then.
    pub fn is_cut_off(&self, certificate: &PeerCertificate) -> Result<bool, StoreError> {
        let known = certificate.serial.map(|serial| self.store.get(&CERTIFICATES, serial.as_bytes())).transpose()?;
        let removed = self.store.get(&ADMINISTRATORS, &certificate.fingerprint)?;
        Ok(known.flatten().is_some_and(|known| known.value.revoked.is_some())
            || removed.is_some_and(|record| record.value.removed.is_some()))
    }

    /// An expired certificate is good for looking at the state and for unsealing: nobody is locked out
    /// of a sealed host.
    fn identify(&self, caller: Caller<'_>, permission: Permission) -> Result<Identified, Denied> {
        let forbidden = |what: String| Denied::Forbidden { what, permission };
        if let Shows::Session(text) = caller.shows {
            let Some((account, role)) = text.map(|text| self.notary_session(text)).transpose()?.flatten() else {
                return Ok(nobody(Denied::NoSession));
            };
            let short_of = forbidden(format!("the role {role}"));
            return Ok(Identified { who: Actor::Notary(role, account), grant: None, shown: None, short_of });
        }
        if let Shows::Token(text, locked) = caller.shows {
            let (id, grant) = match self.token_shown(text, locked) {
                // What everybody may see, a token that is not taken does not hide.
                Err(Denied::Token(denied)) => return Ok(nobody(denied.into())),
                other => other?,
            };
            let short_of = forbidden(format!("the token {id}"));
            let who = Actor::Token(id, grant.rights.clone());
            return Ok(Identified { who, grant: Some(grant), shown: None, short_of });
        }
        let Some(certificate) = &caller.peer.certificate else { return Ok(nobody(Denied::Anonymous)) };
        let fingerprint = certificate.fingerprint.clone();
        let known = certificate.serial.map(|serial| self.store.get(&CERTIFICATES, serial.as_bytes())).transpose()?;
        if known.flatten().is_some_and(|known| known.value.revoked.is_some()) {
            return Ok(nobody(Denied::Revoked));
        }
        let opens_expired = matches!(permission, Permission::ReadStatus | Permission::Unseal);
        if !certificate.validity.contains(self.clock.now()) && !opens_expired {
            return Ok(nobody(Denied::Expired));
        }
        let (who, short_of) = match self.store.get(&ADMINISTRATORS, &fingerprint)? {
            None => (Actor::Client(fingerprint), Denied::Unknown),
            // Nothing of an administrator's certificate is left to him.
            Some(record) if record.value.removed.is_some() => (Actor::Anonymous, Denied::Removed),
            Some(record) => {
                let role = record.value.role;
                (Actor::Administrator(role, fingerprint), forbidden(format!("the role {role}")))
            }
        };
        Ok(Identified { who, grant: None, shown: certificate.serial, short_of })
    }
}

/// Somebody who may do what everybody may.
fn nobody(short_of: Denied) -> Identified {
    Identified { who: Actor::Anonymous, grant: None, shown: None, short_of }
}
