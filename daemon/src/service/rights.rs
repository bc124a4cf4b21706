//! Who may do what: one table.

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Enrolled, by certificate.
    Administrator,
}

/// One kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Add and remove administrators.
    ManageAdministrators,
    /// List and show certificates, profiles, administrators and the CA.
    Read,
    /// Revoke any certificate.
    Revoke,
    /// Seal.
    Seal,
    /// See the state.
    Status,
    /// Unseal.
    Unseal,
}

/// Whether `role` may.
pub fn may(role: Role, permission: Permission) -> bool {
    match (role, permission) {
        (
            Role::Administrator,
            Permission::ManageAdministrators
            | Permission::Read
            | Permission::Revoke
            | Permission::Seal
            | Permission::Status
            | Permission::Unseal,
        ) => true,
    }
}
