//! Who may do what: one table.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who asks, as far as it was proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The ACME account with this id, proved by a JWS.
    AcmeAccount(String),
    /// The enrolled administrator of this role whose certificate has this SHA-256 fingerprint, proved
    /// by TLS.
    Administrator(Role, String),
    /// Nobody in particular.
    Anonymous,
    /// Who proved to hold the key of the certificate with this SHA-256 fingerprint, one of ours but no
    /// administrator's: by TLS, or by a JWS (RFC 8555 section 7.6).
    Client(String),
    /// The operator on the host itself.
    Console,
    /// The registered node of this common name, proved by a one-time seed.
    Node(String),
    /// Who showed the API token with this id, and what the token carries.
    Token(String, TokenRights),
}

/// What an administrator was enrolled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    #[default]
    Administrator,
    /// Looks at everything, changes nothing.
    Auditor,
    /// The daily work: certificates, requests, nodes, revocation, limits, unsealing.
    Operator,
}

/// What an API token carries, at most what the table lets tokens do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRights {
    /// What it may do.
    pub permissions: BTreeSet<Permission>,
    /// To which certificates and requests.
    pub scope: Scope,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What somebody wants to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it is written: `read-status`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

permissions! {
    /// Orders, authorizations, challenges and changes of an ACME account.
    ActInAcme = "act-in-acme",
    /// Letting the CA go active.
    ActivateCa = "activate-ca",
    /// Decisions about requests of others.
    Approve = "approve",
    /// Certificates on one's own word, without a challenge.
    Certify = "certify",
    /// Whether a certificate would be issued, without issuing it.
    DryRun = "dry-run",
    /// Enrolment of administrators.
    EnrolAdministrator = "enrol-administrator",
    /// Lists of certificates and their details.
    ListCertificates = "list-certificates",
    /// ACME accounts, external account keys, orders and authorizations of everybody, changed.
    ManageAcme = "manage-acme",
    /// Removal of administrators, and their roles.
    ManageAdministrators = "manage-administrators",
    /// Issuing CAs, made, signed, switched and retired.
    ManageAuthorities = "manage-authorities",
    /// Releasing whoever a limit holds back.
    ManageLimits = "manage-limits",
    /// Nodes and their seeds, changed.
    ManageNodes = "manage-nodes",
    /// API tokens, made and changed.
    ManageTokens = "manage-tokens",
    /// A new ACME account.
    OpenAcmeAccount = "open-acme-account",
    /// ACME accounts, external account keys, orders and authorizations of everybody, looked at.
    ReadAcme = "read-acme",
    /// Lists of administrators.
    ReadAdministrators = "read-administrators",
    /// The configuration, without its secrets.
    ReadConfig = "read-config",
    /// What the journal says.
    ReadEvents = "read-events",
    /// Where somebody stands with each limit.
    ReadLimits = "read-limits",
    /// Nodes.
    ReadNodes = "read-nodes",
    /// Names and contents of profiles.
    ReadProfiles = "read-profiles",
    /// CA certificates, CRLs, OCSP answers, directories, health.
    ReadPublic = "read-public",
    /// Requests that wait for approval.
    ReadRequests = "read-requests",
    /// The seal's state, the token's, the journal's.
    ReadStatus = "read-status",
    /// API tokens, without their secrets.
    ReadTokens = "read-tokens",
    /// A certificate once more for who holds one, with the same names.
    RenewOwn = "renew-own",
    /// Revocation of certificates.
    Revoke = "revoke",
    /// Sealing.
    Seal = "seal",
    /// A request that waits for approval.
    SubmitRequest = "submit-request",
    /// Unsealing.
    Unseal = "unseal",
}

/// On which objects a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those that belong to the actor: an account's orders and certificates, a client's own
    /// certificate, what a token was used to ask for.
    Own,
}

/// What the table says. A grant carries its scope, which the caller must keep to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes, on these objects.
    Granted(Scope),
    /// Not without proving who one is (HTTP 401).
    ProveYourself,
    /// No (HTTP 403).
    Refused,
}

/// The table. Whatever it does not grant is refused.
pub fn permits(actor: &Actor, permission: Permission) -> Verdict {
    use Permission::{
        ActInAcme, ListCertificates, OpenAcmeAccount, ReadPublic, ReadRequests, RenewOwn, Revoke, SubmitRequest,
    };
    match (actor, permission) {
        (_, ReadPublic) => Verdict::Granted(Scope::Everything),

        (Actor::Anonymous | Actor::AcmeAccount(_), OpenAcmeAccount) => Verdict::Granted(Scope::Own),
        (Actor::AcmeAccount(_), ActInAcme | Revoke) => Verdict::Granted(Scope::Own),
        (Actor::Client(_), ListCertificates | ReadRequests | RenewOwn | Revoke | SubmitRequest) => {
            Verdict::Granted(Scope::Own)
        }

        (Actor::Administrator(role, _), _) if role.permits(permission) => Verdict::Granted(Scope::Everything),
        (Actor::Administrator(..), RenewOwn) => Verdict::Granted(Scope::Own),
        (Actor::Console, _) if Role::Administrator.permits(permission) => Verdict::Granted(Scope::Everything),
        (Actor::Token(_, token), _) if token.permissions.contains(&permission) && tokens_may(permission) => {
            Verdict::Granted(token.scope)
        }

        (Actor::Anonymous, _) => Verdict::ProveYourself,
        _ => Verdict::Refused,
    }
}

/// What a token may do at the most. Who unseals, seals, approves or administers is a person.
pub fn tokens_may(permission: Permission) -> bool {
    use Permission::{
        Certify, DryRun, ListCertificates, ManageAcme, ManageLimits, ManageNodes, ReadAcme, ReadConfig, ReadEvents,
        ReadLimits, ReadNodes, ReadProfiles, ReadPublic, ReadRequests, ReadStatus, RenewOwn, Revoke, SubmitRequest,
    };
    matches!(
        permission,
        Certify
            | DryRun
            | ListCertificates
            | ManageAcme
            | ManageLimits
            | ManageNodes
            | ReadAcme
            | ReadConfig
            | ReadEvents
            | ReadLimits
            | ReadNodes
            | ReadProfiles
            | ReadPublic
            | ReadRequests
            | ReadStatus
            | RenewOwn
            | Revoke
            | SubmitRequest
    )
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Administrator, Self::Auditor, Self::Operator];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// What the role may do with everything there is.
    pub fn permits(self, permission: Permission) -> bool {
        use Permission::{
            ActInAcme, ActivateCa, Approve, Certify, DryRun, EnrolAdministrator, ListCertificates, ManageAcme,
            ManageAdministrators, ManageAuthorities, ManageLimits, ManageNodes, ManageTokens, OpenAcmeAccount,
            ReadAcme, ReadAdministrators, ReadConfig, ReadEvents, ReadLimits, ReadNodes, ReadProfiles, ReadPublic,
            ReadRequests, ReadStatus, ReadTokens, RenewOwn, Revoke, Seal, SubmitRequest, Unseal,
        };
        match permission {
            DryRun | ListCertificates | ReadAcme | ReadAdministrators | ReadConfig | ReadEvents | ReadLimits
            | ReadNodes | ReadProfiles | ReadPublic | ReadRequests | ReadStatus | ReadTokens => true,
            Approve | Certify | ManageAcme | ManageLimits | ManageNodes | RenewOwn | Revoke | Seal | SubmitRequest
            | Unseal => matches!(self, Self::Administrator | Self::Operator),
            ActivateCa | EnrolAdministrator | ManageAdministrators | ManageAuthorities | ManageTokens => {
                matches!(self, Self::Administrator)
            }
            // An ACME account's own business.
            ActInAcme | OpenAcmeAccount => false,
        }
    }
}

impl fmt::Display for Actor {
    /// As it stands in logs, the journal and [`crate::evidence::AuthorizationRecord::actor`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcmeAccount(id) => write!(f, "acme:{id}"),
            Self::Administrator(_, fingerprint) => write!(f, "admin:{fingerprint}"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Client(fingerprint) => write!(f, "client:{fingerprint}"),
            Self::Console => f.write_str("console"),
            Self::Node(name) => write!(f, "node:{name}"),
            Self::Token(id, _) => write!(f, "token:{id}"),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No role, or no permission, is called that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is none of {known}")]
pub struct UnknownRight {
    found: String,
    known: String,
}

impl UnknownRight {
    fn new(found: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        Self { found: found.chars().take(32).collect(), known: known.join(", ") }
    }
}

impl FromStr for Permission {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let all = || Self::ALL.iter().map(|permission| permission.as_str());
        Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| UnknownRight::new(text, all()))
    }
}

impl FromStr for Role {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let all = || Self::ALL.iter().map(|role| role.as_str());
        Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| UnknownRight::new(text, all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as people read it: one row a permission; `-` refused, `?` prove yourself, `o` own,
    /// `*` everything. Columns: anonymous, ACME account, client, token that carries everything,
    /// auditor, operator, administrator, console.
    const TABLE: [(Permission, &str); 30] = [
        (Permission::ActInAcme, "?o------"),
        (Permission::ActivateCa, "?-----**"),
        (Permission::Approve, "?----***"),
        (Permission::Certify, "?--*-***"),
        (Permission::DryRun, "?--*****"),
        (Permission::EnrolAdministrator, "?-----**"),
        (Permission::ListCertificates, "?-o*****"),
        (Permission::ManageAcme, "?--*-***"),
        (Permission::ManageAdministrators, "?-----**"),
        (Permission::ManageAuthorities, "?-----**"),
        (Permission::ManageLimits, "?--*-***"),
        (Permission::ManageNodes, "?--*-***"),
        (Permission::ManageTokens, "?-----**"),
        (Permission::OpenAcmeAccount, "oo------"),
        (Permission::ReadAcme, "?--*****"),
        (Permission::ReadAdministrators, "?---****"),
        (Permission::ReadConfig, "?--*****"),
        (Permission::ReadEvents, "?--*****"),
        (Permission::ReadLimits, "?--*****"),
        (Permission::ReadNodes, "?--*****"),
        (Permission::ReadProfiles, "?--*****"),
        (Permission::ReadPublic, "********"),
        (Permission::ReadRequests, "?-o*****"),
        (Permission::ReadStatus, "?--*****"),
        (Permission::ReadTokens, "?---****"),
        (Permission::RenewOwn, "?-o*o***"),
        (Permission::Revoke, "?oo*-***"),
        (Permission::Seal, "?----***"),
        (Permission::SubmitRequest, "?-o*-***"),
        (Permission::Unseal, "?----***"),
    ];

    fn token(permissions: &[Permission], scope: Scope) -> Actor {
        Actor::Token("9".to_owned(), TokenRights { permissions: permissions.iter().copied().collect(), scope })
    }

    fn actors() -> [Actor; 8] {
        [
            Actor::Anonymous,
            Actor::AcmeAccount("7".to_owned()),
            Actor::Client("aa".to_owned()),
            token(Permission::ALL, Scope::Everything),
            Actor::Administrator(Role::Auditor, "bb".to_owned()),
            Actor::Administrator(Role::Operator, "cc".to_owned()),
            Actor::Administrator(Role::Administrator, "dd".to_owned()),
            Actor::Console,
        ]
    }

    #[test]
    fn every_actor_has_exactly_the_rights_of_the_table() {
        assert!(TABLE.iter().map(|(permission, _)| permission).eq(Permission::ALL));
        for (permission, row) in TABLE {
            let rights: String = actors()
                .iter()
                .map(|actor| match permits(actor, permission) {
                    Verdict::Granted(Scope::Everything) => '*',
                    Verdict::Granted(Scope::Own) => 'o',
                    Verdict::ProveYourself => '?',
                    Verdict::Refused => '-',
                })
                .collect();
            assert_eq!(rights, row, "{permission:?}");
        }
    }

    #[test]
    fn a_token_does_what_it_carries_and_nothing_else() {
        let narrow = token(&[Permission::Certify, Permission::Unseal], Scope::Own);
        for &permission in Permission::ALL {
            let expected = match permission {
                Permission::Certify => Verdict::Granted(Scope::Own),
                Permission::ReadPublic => Verdict::Granted(Scope::Everything),
                _ => Verdict::Refused,
            };
            assert_eq!(permits(&narrow, permission), expected, "{permission}");
        }
    }

    #[test]
    fn actors_are_written_as_in_the_journal() {
        let texts: Vec<String> = actors().iter().map(Actor::to_string).collect();
        let expected = ["anonymous", "acme:7", "client:aa", "token:9", "admin:bb", "admin:cc", "admin:dd", "console"];
        assert_eq!(texts, expected);
        assert_eq!(Actor::Node("web-1.test".to_owned()).to_string(), "node:web-1.test");
    }

    #[test]
    fn roles_and_permissions_are_read_as_they_are_written() {
        for &permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
        for &role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        let unknown = "root".parse::<Role>().unwrap_err();
        assert_eq!(unknown.to_string(), "`root` is none of administrator, auditor, operator");
    }
}
