//! The requirements, numbered. A number is for ever: a row is never used again for something else.

/// How binding a requirement is (RFC 2119), or that the text states it without a key word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    May,
    Must,
    Should,
    Stated,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::May => "MAY",
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Stated => "stated",
        })
    }
}

/// One requirement.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// Section of the chapter's document.
    pub(crate) section: &'static str,
    pub(crate) level: Level,
    pub(crate) statement: &'static str,
}

/// The requirements of one document.
pub(crate) struct Chapter {
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

const fn row(id: &'static str, section: &'static str, level: Level, statement: &'static str) -> Row {
    Row { id, section, level, statement }
}

use Level::{May, Must, Should, Stated};

pub(crate) const CHAPTERS: &[Chapter] = &[
    Chapter { title: "ACME (RFC 8555): messages", rows: MESSAGES },
    Chapter { title: "ACME (RFC 8555): accounts", rows: ACCOUNTS },
    Chapter { title: "ACME (RFC 8555): orders, authorizations, certificates", rows: ORDERS },
    Chapter { title: "ACME (RFC 8555): challenges and security considerations", rows: CHALLENGES },
    Chapter { title: "tls-alpn-01 (RFC 8737)", rows: TLS_ALPN },
    Chapter { title: "IP identifiers (RFC 8738)", rows: IP },
    Chapter { title: "Renewal information (RFC 9773)", rows: ARI },
    Chapter { title: "CAA (RFC 8659, RFC 8657)", rows: CAA },
    Chapter { title: "Profiles (draft-ietf-acme-profiles-00)", rows: PROFILES },
    Chapter { title: "dns-account-01 (draft-ietf-acme-dns-account-label-03)", rows: DNS_ACCOUNT },
    Chapter { title: "dns-persist-01 (draft-ietf-acme-dns-persist-00)", rows: DNS_PERSIST },
    Chapter { title: "device-attest-01 (draft-ietf-acme-device-attest-07)", rows: DEVICE_ATTEST },
];

const MESSAGES: &[Row] = &[
    row("A-001", "5", Must, "requests and answers are UTF-8; a request that is not is refused"),
    row("A-002", "6.1", Must, "the API is served over HTTPS only"),
    row("A-003", "6.1", Should, "clients in browsers get `Access-Control-Allow-Origin: *`"),
    row("A-004", "6.1", Must, "base64url with trailing `=` is refused wherever it stands"),
    row("A-005", "6.1", May, "a request without User-Agent may be refused (it is served here)"),
    row("A-006", "6.2", Must, "the signature is verified before anything happens"),
    row("A-007", "6.2", Must, "only the flattened JSON serialization is accepted"),
    row("A-008", "6.2", Must, "a JWS with `signatures` is refused"),
    row("A-009", "6.2", Must, "an unencoded payload (`b64`) is refused"),
    row("A-010", "6.2", Must, "an unprotected `header` is refused"),
    row("A-011", "6.2", Must, "a detached payload is refused"),
    row("A-012", "6.2", Must, "the protected header has alg, nonce, url and exactly one of jwk and kid"),
    row("A-013", "6.2", Must, "`none` and MAC algorithms are refused"),
    row("A-014", "6.2", Must, "ES256 is accepted; EdDSA (SHOULD) and RS256 too"),
    row("A-015", "6.2", Must, "newAccount is signed with jwk, every other request but revokeCert with kid"),
    row("A-016", "6.2", Must, "an unsupported algorithm gets 400 badSignatureAlgorithm and the list `algorithms`"),
    row("A-017", "6.2", Must, "a bad or weak key gets 400 badPublicKey, and the detail says why"),
    row("A-018", "6.2", Must, "a Content-Type other than application/jose+json gets 415"),
    row("A-019", "6.3", Must, "GET on orders, authorizations, challenges, certificates, accounts gets 405 malformed"),
    row("A-020", "6.3", Must, "POST-as-GET has the empty payload and is authenticated"),
    row("A-021", "6.3", Must, "GET is allowed on directory and newNonce"),
    row("A-022", "6.4", Must, "a `url` that is not the request's gets unauthorized"),
    row("A-023", "6.5", Must, "every successful POST brings a Replay-Nonce; errors too (SHOULD)"),
    row("A-024", "6.5", Must, "a nonce serves once; used, unknown or missing ones get badNonce and a fresh nonce"),
    row("A-025", "6.5", Must, "of parallel uses of one nonce exactly one wins"),
    row("A-026", "6.5.1", Must, "nonces are base64url, unique and unpredictable"),
    row("A-027", "6.5.2", Must, "a nonce that is not base64url gets malformed"),
    row("A-028", "6.6", Must, "above a limit the answer is rateLimited, with Retry-After (SHOULD)"),
    row("A-029", "6.7", Should, "errors are application/problem+json with type, detail and status"),
    row("A-030", "6.7", Must, "types in the ACME name space are registered ones"),
    row(
        "A-031",
        "6.7.1",
        Must,
        "`identifier` stands in subproblems only; the type on top is compound or what all share",
    ),
    row("A-032", "7.1", Must, "directory and newNonce exist, and the directory leads to the other resources"),
    row("A-033", "7.1", Stated, "every resource but the directory has a Link rel=\"index\""),
    row(
        "A-034",
        "7.1",
        Stated,
        "challenges have a Link rel=\"up\" to their authorization; a chain brings its issuer, so it needs none",
    ),
    row("A-035", "7.1.1", Must, "newAuthz is in the directory if and only if pre-authorization is supported"),
    row(
        "A-036",
        "7.1.1",
        Must,
        "`meta` has termsOfService, website, caaIdentities, externalAccountRequired as configured",
    ),
    row("A-045", "7.2", Must, "newNonce answers HEAD 200, GET 204, with Replay-Nonce and Cache-Control: no-store"),
    row("A-095", "6.3", Must, "other methods on POST resources get 405 with Allow"),
    row("A-096", "7.1", Should, "unknown members of requests are ignored"),
    row("A-098", "6.5", Should, "nonces from before a crash, or expired, get badNonce, never a server error"),
];

const ACCOUNTS: &[Row] = &[
    row("A-037", "7.1.2", Must, "account object: status, contact, termsOfServiceAgreed, orders"),
    row("A-038", "7.1.2.1", Must, "the orders list has pending orders and no invalid ones, paged by Link rel=\"next\""),
    row("A-046", "7.3", Must, "newAccount with a new key: 201, Location, account object"),
    row("A-047", "7.3", Must, "onlyReturnExisting never creates: 400 accountDoesNotExist for an unknown key"),
    row("A-048", "7.3", Must, "orders, status and unknown members in newAccount are ignored"),
    row(
        "A-049",
        "7.3",
        Should,
        "contacts are checked: mailto works, other schemes get unsupportedContact, bad addresses invalidContact",
    ),
    row("A-050", "7.3", Must, "with terms of service published, newAccount without agreement is refused"),
    row("A-051", "7.3.1", Must, "newAccount with a known key: 200, Location, the stored object, nothing changed"),
    row("A-052", "7.3.2", Must, "an update replaces the contact and ignores what may not be changed"),
    row(
        "A-053",
        "7.3.3",
        Must,
        "after a change of terms: 403 userActionRequired, Link rel=\"terms-of-service\", instance, until agreed",
    ),
    row(
        "A-054",
        "7.3.4",
        Must,
        "if an external account is required, newAccount without one gets externalAccountRequired",
    ),
    row("A-055", "7.3.4", Must, "an external account binding is verified in full; the account shows it as it was sent"),
    row(
        "A-056",
        "7.3.5",
        Must,
        "keyChange: both signatures, same url, no inner nonce, account and oldKey are verified",
    ),
    row("A-057", "7.3.5", Should, "keyChange to a key that an account has gets 409 and its Location"),
    row("A-058", "7.3.5", Must, "after keyChange the old key is dead and the orders live"),
    row("A-059", "7.3.6", Must, "deactivation: 200, then 401 unauthorized; pending orders end, certificates do not"),
    row("A-093", "11.1", Must, "no key is that of two accounts, or of an account and a certificate"),
    row("A-099", "7.3", Should, "newAccount does not bring a deactivated account back"),
];

const ORDERS: &[Row] = &[
    row(
        "A-039",
        "7.1.3",
        Must,
        "order object: status, expires, identifiers, authorizations, finalize; certificate when valid",
    ),
    row("A-040", "7.1.3", Must, "identifiers and authorizations of an order never change"),
    row("A-041", "7.1.3", Must, "the authorization of `*.x` is for `x` and says wildcard"),
    row(
        "A-042",
        "7.1.4",
        Must,
        "authorization object: identifier, status, expires, challenges; wildcard only when true",
    ),
    row("A-043", "7.1.4", Must, "names are A-labels in lower case; others are refused, and nothing is altered"),
    row("A-044", "7.1.6", Must, "no transition is seen that the state machines do not have"),
    row("A-060", "7.4", Must, "newOrder: 201, Location, order object; at least one identifier"),
    row("A-061", "7.4", Must, "what cannot be issued as asked is refused, never altered"),
    row(
        "A-062",
        "7.4",
        Must,
        "refused identifiers get rejectedIdentifier with subproblems, unknown types unsupportedIdentifier",
    ),
    row(
        "A-063",
        "7.1.6",
        Must,
        "an order is ready when all is proved, invalid when anything failed or its time is over",
    ),
    row("A-064", "7.4", Must, "finalize of an order that is not ready gets 403 orderNotReady"),
    row("A-065", "7.4", Must, "the CSR names exactly what the order names, else badCSR, and the order stays ready"),
    row("A-066", "7.4", Must, "the CSR's signature is verified; weak keys and account keys are refused"),
    row("A-067", "7.4", May, "finalize may go on in the background: processing, with Retry-After"),
    row("A-068", "7.4", Must, "a valid order has certificate, an invalid one error (SHOULD)"),
    row("A-069", "7.4.1", May, "pre-authorization by newAuthz: 201, Location; wildcards refused"),
    row(
        "A-070",
        "7.4.2",
        Must,
        "certificates: pem-certificate-chain, leaf first, each certified by the next; Accept is honoured",
    ),
    row("A-071", "7.4.2", Must, "resources of one account are closed to others"),
    row("A-072", "7.5", Must, "authorizations show their challenges with url, type and token"),
    row("A-073", "7.5", Should, "a pending authorization has Retry-After"),
    row(
        "A-077",
        "7.5.2",
        Must,
        "a deactivated authorization is good for nothing any more; only its account deactivates it",
    ),
    row(
        "A-078",
        "7.6",
        Must,
        "revokeCert by the issuing account, by the holder of all authorizations, by the certificate's key",
    ),
    row("A-079", "7.6", Must, "revokeCert: 200 empty; again alreadyRevoked; foreign 403 unauthorized"),
    row(
        "A-080",
        "7.6",
        Must,
        "reasons that a subscriber may not use get badRevocationReason; none gives no reasonCode",
    ),
    row("A-090", "9.1", Must, "PEM is strict (RFC 7468), with nothing before or between"),
    row("A-092", "10.5", Should, "URLs of resources cannot be guessed"),
    row("A-097", "7.1.6", Must, "an order whose authorization has expired cannot be finalized"),
];

const CHALLENGES: &[Row] = &[
    row("A-074", "7.5.1", Must, "a challenge is begun by `{}`; what is no object is refused, unknown members ignored"),
    row(
        "A-075",
        "7.5.1",
        Must,
        "a valid challenge has validated; an invalid one has error and stays in the authorization",
    ),
    row("A-076", "7.5.1", Must, "POST to a final challenge validates nothing again"),
    row("A-081", "8", Must, "challenge object: type, url, status; error carries a type"),
    row(
        "A-082",
        "8.1",
        Must,
        "key authorizations use the RFC 7638 thumbprint, leading zero octets of numbers stripped",
    ),
    row("A-083", "8.1", Must, "tokens have 128 bits or more, base64url without padding, unique"),
    row(
        "A-084",
        "8.2",
        Should,
        "validation is tried again; errors show while processing; a client's POST tries at once",
    ),
    row(
        "A-085",
        "8.3",
        Must,
        "http-01 asks for the well-known path by GET on port 80; redirects are followed, white space ignored (SHOULD)",
    ),
    row(
        "A-086",
        "8.3",
        Must,
        "the body is the key authorization; failures are incorrectResponse, unauthorized, connection, dns",
    ),
    row("A-087", "8.3", Must, "no http-01 for wildcards"),
    row("A-088", "8.4", Must, "dns-01: any of several TXT values may match; CNAMEs are followed"),
    row("A-089", "8.4", Must, "dns-01 of a wildcard is at the base name; x and *.x get along"),
    row("A-091", "10.4", Should, "validation does not reach addresses that are not allowed, through redirects neither"),
    row("A-094", "11.2", Should, "DNS falls back to TCP, and is validated by DNSSEC where that is configured"),
];

const TLS_ALPN: &[Row] = &[
    row("T-01", "3", Must, "connect to port 443 with ALPN exactly acme-tls/1 and SNI the name"),
    row(
        "T-02",
        "3",
        Must,
        "accept one SAN, the name, and a critical acmeIdentifier with SHA-256 of the key authorization",
    ),
    row(
        "T-03",
        "3",
        Must,
        "refuse an extension that is missing, not critical or wrong, more SANs, other ALPN, TLS below 1.2",
    ),
    row("T-04", "3", Must, "no HTTP on the connection; expiry and issuer of the certificate do not matter"),
    row("T-05", "3", Must, "no tls-alpn-01 for wildcards"),
];

const IP: &[Row] = &[
    row("I-01", "3", Must, "type ip with the RFC 5952 text only; the certificate has it as iPAddress"),
    row(
        "I-02",
        "4-7",
        Must,
        "no dns challenge; http-01 asks the address itself; tls-alpn-01 has the reverse name as SNI",
    ),
    row("I-03", "3", Must, "no wildcards; addresses by policy"),
];

const ARI: &[Row] = &[
    row("R-01", "4.1", Must, "the directory has renewalInfo; GET with key identifier and serial, unauthenticated"),
    row("R-02", "4.2", Must, "200 with suggestedWindow, end after start, RFC 3339 times"),
    row("R-03", "4.3", Must, "Retry-After; the window is stable, and in the past once the certificate is revoked"),
    row("R-04", "4.1", Should, "a malformed identifier gets 400, an unknown one 404"),
    row(
        "R-05",
        "5",
        Should,
        "replaces: same account, shared identifier; twice gets 409 alreadyReplaced; the order shows it",
    ),
    row("R-06", "5", Should, "a replacement order may be exempt from rate limits"),
];

const CAA: &[Row] = &[
    row("C-01", "3", Must, "the name, then its parents, CNAMEs followed; the first set that is not empty decides"),
    row(
        "C-02",
        "4.2-4.3",
        Must,
        "issue for names, issuewild for wildcards; `;` forbids; tags in any case; neither tag allows",
    ),
    row("C-03", "4.5", Must, "an unknown tag that is critical refuses, one that is not is ignored"),
    row("C-04", "3", Must, "SERVFAIL and time-outs refuse; NODATA and NXDOMAIN are empty"),
    row("C-05", "BR 3.2.2.8", Must, "a check older than eight hours is made again before issuing"),
    row("C-06", "RFC 8657 3", Must, "accounturi must be the account's URL"),
    row(
        "C-07",
        "RFC 8657 4",
        Must,
        "validationmethods must list the method; malformed or double parameters do not authorize",
    ),
    row("C-08", "RFC 8738 8", Stated, "CAA is not asked for addresses"),
];

const PROFILES: &[Row] = &[
    row("P-01", "3", Must, "meta.profiles maps names to descriptions; newOrder takes profile"),
    row("P-02", "4", Must, "an unknown profile gets invalidProfile; the order shows its profile, the default one too"),
    row("P-03", "5", Must, "finalize gets invalidProfile when the profile is no longer offered"),
    row("P-04", "3", Stated, "the member names are those of the draft"),
];

const DNS_ACCOUNT: &[Row] = &[
    row("D-01", "3", Must, "TXT at `_LABEL._acme-challenge.NAME`, where LABEL is from the SHA-256 of the account URL"),
    row("D-02", "3", Must, "tokens of 128 bits; the account URL does not depend on the Host header"),
];

const DNS_PERSIST: &[Row] = &[
    row("X-01", "3", Must, "the challenge has issuer-domain-names and no token; `{}` begins it"),
    row("X-02", "4", Must, "TXT at `_validation-persist.NAME` names the issuer and the account"),
    row(
        "X-03",
        "4",
        Must,
        "unknown parameters are ignored; bad syntax is malformed, no match unauthorized; one good record is enough",
    ),
    row("X-04", "5", Must, "wildcards need policy=wildcard; persistUntil ends it"),
];

/// Not served yet.
pub(crate) const DEVICE_ATTEST: &[Row] = &[
    row("V-01", "4", Must, "identifiers permanent-identifier and hardware-module; attestation statements are judged"),
    row("V-02", "5", Must, "attestations are fresh, and the CSR's key is the attested one"),
];

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    CHAPTERS.iter().flat_map(|chapter| chapter.rows)
}
