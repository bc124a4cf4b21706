//! Who may do what: one table.

use std::fmt;

/// Who asks, as far as it was proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The ACME account with this id, proved by a JWS.
    AcmeAccount(String),
    /// The enrolled administrator whose certificate has this SHA-256 fingerprint, proved by TLS.
    Administrator(String),
    /// Nobody in particular.
    Anonymous,
    /// Who proved to hold the key of the certificate with this SHA-256 fingerprint, one of ours but no
    /// administrator's: by TLS, or by a JWS (RFC 8555 section 7.6).
    Client(String),
    /// The operator on the host itself.
    Console,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Orders, authorizations, challenges and changes of an ACME account.
    ActInAcme,
    /// Letting the CA go active.
    ActivateCa,
    /// Certificates on one's own word, without a challenge.
    Certify,
    /// Enrolment of administrators.
    EnrolAdministrator,
    /// Lists of certificates and their details.
    ListCertificates,
    /// ACME accounts, external account keys, orders and authorizations of everybody.
    ManageAcme,
    /// Lists of administrators, and their removal.
    ManageAdministrators,
    /// Releasing whoever a limit holds back.
    ManageLimits,
    /// A new ACME account.
    OpenAcmeAccount,
    /// Where somebody stands with each limit.
    ReadLimits,
    /// Names and contents of profiles.
    ReadProfiles,
    /// CA certificates, CRLs, OCSP answers, directories, health.
    ReadPublic,
    /// The seal's state, the token's, the journal's.
    ReadStatus,
    /// Revocation of certificates.
    Revoke,
    /// Sealing.
    Seal,
    /// Unsealing.
    Unseal,
}

/// On which objects a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those that belong to the actor: an account's orders and certificates, a client's own certificate.
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
        ActInAcme, ActivateCa, Certify, EnrolAdministrator, ListCertificates, ManageAcme, ManageAdministrators,
        ManageLimits, OpenAcmeAccount, ReadLimits, ReadProfiles, ReadPublic, ReadStatus, Revoke, Seal, Unseal,
    };
    match (actor, permission) {
        (_, ReadPublic) => Verdict::Granted(Scope::Everything),

        (Actor::Anonymous | Actor::AcmeAccount(_), OpenAcmeAccount) => Verdict::Granted(Scope::Own),
        (Actor::AcmeAccount(_), ActInAcme | Revoke) => Verdict::Granted(Scope::Own),
        (Actor::Client(_), ListCertificates | Revoke) => Verdict::Granted(Scope::Own),

        (
            Actor::Administrator(_) | Actor::Console,
            ActivateCa | Certify | ListCertificates | ManageAcme | ManageAdministrators | ManageLimits | ReadLimits
            | ReadProfiles | ReadStatus | Revoke | Seal | Unseal,
        ) => Verdict::Granted(Scope::Everything),
        // Break-glass: whoever enrols administrators must stand at the host.
        (Actor::Console, EnrolAdministrator) => Verdict::Granted(Scope::Everything),

        (Actor::Anonymous, _) => Verdict::ProveYourself,
        _ => Verdict::Refused,
    }
}

impl fmt::Display for Actor {
    /// As it stands in logs, the journal and [`crate::evidence::AuthorizationRecord::actor`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcmeAccount(id) => write!(f, "acme:{id}"),
            Self::Administrator(fingerprint) => write!(f, "admin:{fingerprint}"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Client(fingerprint) => write!(f, "client:{fingerprint}"),
            Self::Console => f.write_str("console"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as people read it: one row a permission; `-` refused, `?` prove yourself, `o` own,
    /// `*` everything. Columns: anonymous, ACME account, client, administrator, console.
    const TABLE: [(Permission, &str); 16] = [
        (Permission::ActInAcme, "?o---"),
        (Permission::ActivateCa, "?--**"),
        (Permission::Certify, "?--**"),
        (Permission::EnrolAdministrator, "?---*"),
        (Permission::ListCertificates, "?-o**"),
        (Permission::ManageAcme, "?--**"),
        (Permission::ManageAdministrators, "?--**"),
        (Permission::ManageLimits, "?--**"),
        (Permission::OpenAcmeAccount, "oo---"),
        (Permission::ReadLimits, "?--**"),
        (Permission::ReadProfiles, "?--**"),
        (Permission::ReadPublic, "*****"),
        (Permission::ReadStatus, "?--**"),
        (Permission::Revoke, "?oo**"),
        (Permission::Seal, "?--**"),
        (Permission::Unseal, "?--**"),
    ];

    fn actors() -> [Actor; 5] {
        [
            Actor::Anonymous,
            Actor::AcmeAccount("7".to_owned()),
            Actor::Client("aa".to_owned()),
            Actor::Administrator("bb".to_owned()),
            Actor::Console,
        ]
    }

    #[test]
    fn every_actor_has_exactly_the_rights_of_the_table() {
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
    fn actors_are_written_as_in_the_journal() {
        let texts: Vec<String> = actors().iter().map(Actor::to_string).collect();
        assert_eq!(texts, ["anonymous", "acme:7", "client:aa", "admin:bb", "console"]);
    }
}
