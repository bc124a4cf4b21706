//! Schemas of what policy and the signer define: stand-ins for the API's descriptions alone, so that
//! neither crate needs to know of schemas. Every description is held against real answers by a test.
// Nobody makes one.
#![allow(dead_code)]

use std::borrow::Cow;

use policy::{evidence, key, notary, rights};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident = $all:expr;)*) => {$(
        $(#[doc = $doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<&str> = $all.iter().map(|one| one.as_str()).collect();
                json_schema!({"type": "string", "enum": words, "description": concat!($($doc),*).trim()})
            }
        }
    )*};
}

words! {
    /// How control of a name was shown.
    Method = evidence::METHODS;
    /// A kind of key.
    KeyKind = key::KeyKind::ALL;
    /// What an account of the Notary dialect may do.
    NotaryRole = notary::Role::ALL;
    /// What somebody may do.
    Permission = rights::Permission::ALL;
    /// What an administrator was enrolled for.
    Role = rights::Role::ALL;
}

/// Serial number (RFC 5280 section 4.1.2.2): positive, at most 20 octets, hexadecimal.
#[derive(JsonSchema)]
pub struct Serial(#[schemars(regex(pattern = r"^(0?[1-9a-fA-F][0-9a-fA-F]{0,38}|[1-7][0-9a-fA-F]{39})$"))] String);

/// An e-mail address.
#[derive(JsonSchema)]
pub struct Email(#[schemars(regex(pattern = r"^[A-Za-z0-9_+-]{1,64}@([a-z0-9]{1,40}\.){1,3}[a-z]{2,20}$"))] String);

/// What a node is called: 1 to 64 printable characters, without a space at either end.
#[derive(JsonSchema)]
pub struct CommonName(#[schemars(length(min = 1, max = 64))] String);

/// Names: one, `.below.it`, or a network.
#[derive(JsonSchema)]
pub struct Pattern(#[schemars(regex(pattern = PATTERN))] String);

/// A DNS name, everything below one, or addresses.
const PATTERN: &str =
    r"^((\*?\.)?([a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?\.){0,4}[a-z]([a-z0-9-]{0,20}[a-z0-9])?|[0-9a-f.:]+(/[0-9]{1,3})?)$";

/// A name of a certificate.
#[derive(JsonSchema)]
struct Name {
    /// What it is.
    #[serde(rename = "type")]
    kind: NameKind,
    /// The DNS name, or the address.
    value: String,
}

/// Kinds of names.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NameKind {
    /// dNSName
    Dns,
    /// iPAddress
    Ip,
}

/// An IP address.
pub struct Address;

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
    }
}

/// A SHA-256, hexadecimal.
#[derive(JsonSchema)]
pub struct Sha256(#[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))] String);

/// The beginning of a serial number, hexadecimal.
#[derive(JsonSchema)]
pub struct SerialPrefix(#[schemars(regex(pattern = r"^[0-9a-fA-F]{1,40}$"))] String);

/// How a certificate stands.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateStatus {
    /// Its time is over.
    Expired,
    /// It is on hold.
    Held,
    /// It is revoked for good.
    Revoked,
    /// None of these.
    Valid,
}

/// How a request stands.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    /// Somebody agreed; its certificate is being made.
    Approved,
    /// Nobody decided in time.
    Expired,
    /// Its certificate is there.
    Issued,
    /// Nobody decided yet.
    Pending,
    /// Somebody refused.
    Rejected,
}

/// 32 bytes: base64 with padding.
#[derive(JsonSchema)]
pub struct ChallengeBytes(#[schemars(regex(pattern = r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"))] String);

/// Thumbprint of an account's key (RFC 7638): SHA-256, base64url.
#[derive(JsonSchema)]
pub struct Thumbprint(#[schemars(regex(pattern = r"^[A-Za-z0-9_-]{43}$"))] String);

/// Bytes: base64 with padding.
#[derive(JsonSchema)]
pub struct Bytes(
    #[schemars(regex(pattern = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"))]
    String,
);

/// A line of text that fits the journal.
#[derive(JsonSchema)]
struct Line(#[schemars(length(max = 128))] String);

/// Name of a profile.
#[derive(JsonSchema)]
struct ProfileName(#[schemars(length(min = 1, max = 128))] String);

/// To which objects a right holds.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// All of them.
    Everything,
    /// Those that belong to who has it.
    Own,
}

/// What an API token carries.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenRights {
    /// What it may do.
    permissions: Vec<Permission>,
    /// To which certificates and requests.
    scope: Scope,
}

/// The terms of one API token.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenGrant {
    /// For whom or what it is, in words.
    owner: Line,
    /// What it may do.
    rights: TokenRights,
    /// Names that it may have certified; empty for every name that a profile permits.
    #[schemars(length(max = 100))]
    names: Vec<Pattern>,
    /// Profiles that it may have certificates from; empty for every profile.
    #[schemars(length(max = 100))]
    profiles: Vec<ProfileName>,
    /// Last second in which it is taken, in seconds since 1970.
    expires: Option<u64>,
}

/// The terms of one external account key.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// For whom or what it is, in words.
    label: Line,
    /// Names that may be ordered; empty for every name that a profile permits.
    #[schemars(length(max = 100))]
    names: Vec<Pattern>,
    /// Profiles that may be ordered from; empty for every profile that is offered.
    #[schemars(length(max = 100))]
    profiles: Vec<ProfileName>,
    /// Most orders of all its accounts together.
    orders: Option<u64>,
    /// Most certificates of all its accounts together.
    certificates: Option<u64>,
    /// Last second in which an account can be bound to it, in seconds since 1970.
    expires: Option<u64>,
    /// How many accounts can be bound to it.
    reuse: Reuse,
    /// Whether rate limits hold for its accounts.
    limits: RateLimits,
}

/// How many accounts can be bound to a key.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Reuse {
    /// Any number.
    Many,
    /// One.
    Once,
}

/// Whether rate limits hold.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RateLimits {
    /// They do.
    Apply,
    /// They do not.
    Exempt,
}

/// How an API token stands.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// Not taken until somebody enables it again.
    Disabled,
    /// Taken.
    Enabled,
    /// Not taken until somebody unlocks it.
    Locked,
    /// Never taken again.
    Revoked,
}

/// What becomes of the accounts that are bound to a key that is revoked.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BoundAccounts {
    /// They are ended with it.
    End,
    /// They stay, within what the key granted.
    Keep,
}

/// Who a node is, and what it may have.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What it is called.
    common_name: CommonName,
    /// Names that it may have beside its own.
    #[serde(default)]
    #[schemars(length(max = 100))]
    names: Vec<Pattern>,
    /// The profile of its certificates.
    profile: ProfileName,
    /// The ACME account that is its own, if it has one.
    #[serde(default)]
    account: Option<Thumbprint>,
}

/// Why a certificate was signed.
#[derive(JsonSchema)]
pub struct AuthorizationRecord {
    /// Who asked, in the words of the journal.
    actor: String,
    /// The request id that the log carries.
    request_id: String,
    /// What it completes, if anything.
    order: Option<String>,
    /// One proof a name.
    names: Vec<NameEvidence>,
    /// Who vouches for a common name that is none of the names.
    #[serde(default)]
    subject: Option<Method>,
    /// The certificate that it renews.
    #[serde(default)]
    replaces: Option<Serial>,
    /// The node that it is for.
    #[serde(default)]
    node: Option<String>,
    /// Who asked, if the actor approved it.
    #[serde(default)]
    requester: Option<String>,
}

/// How one name was proved.
#[derive(JsonSchema)]
struct NameEvidence {
    /// The name.
    name: Name,
    /// How.
    method: Method,
    /// When, in seconds since 1970.
    at: u64,
    /// Version of the validator.
    validator: String,
    /// What it saw.
    #[serde(default)]
    seen: Option<Observation>,
    /// The CAA check that the name passed.
    #[serde(default)]
    caa: Option<CaaCheck>,
}

/// What a validator saw.
#[derive(JsonSchema)]
pub struct Observation {
    /// The address and port that answered.
    #[serde(default)]
    address: Option<String>,
    /// What DNS answered.
    #[serde(default)]
    dns: Option<String>,
}

/// A CAA check that allowed a name.
#[derive(JsonSchema)]
pub struct CaaCheck {
    /// When, in seconds since 1970.
    at: u64,
    /// The record set that decided.
    found: String,
}

/// Where the certificate of an issuing CA comes from.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityKind {
    /// Another CA signs it.
    Intermediate,
    /// It signs itself.
    SelfSigned,
}

/// What an issuing CA may do.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityStanding {
    /// Nothing, until it is enabled.
    Disabled,
    /// It issues.
    Enabled,
    /// Nothing: it has a key and no certificate yet.
    Pending,
    /// Nothing: it has no key yet.
    Planned,
    /// Nothing, for ever.
    Retired,
}

/// The subject of an issuing CA.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectFields {
    /// commonName
    common_name: String,
    /// countryName: two capital letters, ISO 3166
    #[serde(default)]
    country: Option<String>,
    /// stateOrProvinceName
    #[serde(default)]
    state: Option<String>,
    /// localityName
    #[serde(default)]
    locality: Option<String>,
    /// organizationName
    #[serde(default)]
    organization: Option<String>,
    /// organizationalUnitName
    #[serde(default)]
    organizational_unit: Option<String>,
}

/// One restriction of a process, and whether it is in force.
#[derive(JsonSchema)]
pub struct Measure {
    /// What it is called.
    name: String,
    /// Whether the kernel holds the process to it.
    in_force: bool,
    /// What holds, or what is missing and what to do.
    detail: String,
}
