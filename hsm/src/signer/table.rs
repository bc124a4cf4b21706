//! Which request is legal, on which socket and in which seal state. One function; everything else
//! asks it.

use crate::config::Peer;
use crate::wire::Request;

/// Seal states, without what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateKind {
    Sealed,
    Unsealing,
    Unsealed,
    Faulted,
}

/// Requests, without what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Authority,
    Certificate,
    Challenge,
    Crl,
    Decrypt,
    Encrypt,
    Enrol,
    Handshake,
    Identify,
    Journal,
    Ocsp,
    OcspCertificate,
    Record,
    Reserve,
    Seal,
    Status,
    Unseal,
}

/// What the table says.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Allowed,
    /// Not now: the token cannot be used.
    Faulted,
    /// Never like this: the connection ends.
    Forbidden(&'static str),
    /// Not now; the sentence says how things are. An administrator may be late.
    NotNow(&'static str),
    /// Not now: the PIN is not known.
    Sealed,
}

/// The table.
pub(super) fn permitted(state: StateKind, peer: Peer, request: RequestKind) -> Verdict {
    use {RequestKind as R, StateKind as S};
    match (peer, request) {
        (_, R::Status) => Verdict::Allowed,
        (Peer::Signer, R::Identify) => needs_key(state),
        (Peer::Signer, _) => Verdict::Forbidden("this socket answers status and identify only"),
        (Peer::Daemon, R::Identify) => Verdict::Forbidden("statements are signed on the identity socket only"),
        (Peer::Daemon, R::Journal | R::Record) => Verdict::Allowed,
        // A token that cannot be used is sealed all the same: its PIN may still be held.
        (Peer::Daemon, R::Seal) if state == S::Faulted => Verdict::Allowed,
        (
            Peer::Daemon,
            R::Authority
            | R::Certificate
            | R::Crl
            | R::Decrypt
            | R::Encrypt
            | R::Enrol
            | R::Handshake
            | R::Ocsp
            | R::OcspCertificate
            | R::Reserve
            | R::Seal,
        ) => needs_key(state),
        (Peer::Daemon, R::Challenge | R::Unseal) => match state {
            S::Sealed => Verdict::Allowed,
            S::Unsealing => Verdict::NotNow("another attempt to unseal is in progress"),
            S::Unsealed => Verdict::NotNow("the signer is not sealed"),
            S::Faulted => Verdict::Faulted,
        },
    }
}

fn needs_key(state: StateKind) -> Verdict {
    match state {
        StateKind::Unsealed => Verdict::Allowed,
        StateKind::Sealed | StateKind::Unsealing => Verdict::Sealed,
        StateKind::Faulted => Verdict::Faulted,
    }
}

impl From<&Request> for RequestKind {
    fn from(request: &Request) -> Self {
        match request {
            Request::Authority(_) => Self::Authority,
            Request::Certificate(_) => Self::Certificate,
            Request::Challenge => Self::Challenge,
            Request::Crl(_) => Self::Crl,
            Request::Decrypt { .. } => Self::Decrypt,
            Request::Encrypt { .. } => Self::Encrypt,
            Request::Enrol(_) => Self::Enrol,
            Request::Handshake { .. } => Self::Handshake,
            Request::Identify { .. } => Self::Identify,
            Request::Journal { .. } => Self::Journal,
            Request::Ocsp(_) => Self::Ocsp,
            Request::OcspCertificate { .. } => Self::OcspCertificate,
            Request::Record { .. } => Self::Record,
            Request::Reserve { .. } => Self::Reserve,
            Request::Seal { .. } => Self::Seal,
            Request::Status => Self::Status,
            Request::Unseal { .. } => Self::Unseal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table once more, as a person would write it down: rows are requests; columns are
    /// sealed, unsealing, unsealed, faulted. `+` allowed, `s` sealed, `f` faulted, `n` not now, `-`
    /// forbidden.
    const DAEMON: [(RequestKind, &str); 17] = [
        (RequestKind::Authority, "ss+f"),
        (RequestKind::Certificate, "ss+f"),
        (RequestKind::Challenge, "+nnf"),
        (RequestKind::Crl, "ss+f"),
        (RequestKind::Decrypt, "ss+f"),
        (RequestKind::Encrypt, "ss+f"),
        (RequestKind::Enrol, "ss+f"),
        (RequestKind::Handshake, "ss+f"),
        (RequestKind::Identify, "----"),
        (RequestKind::Journal, "++++"),
        (RequestKind::Ocsp, "ss+f"),
        (RequestKind::OcspCertificate, "ss+f"),
        (RequestKind::Record, "++++"),
        (RequestKind::Reserve, "ss+f"),
        (RequestKind::Seal, "ss++"),
        (RequestKind::Status, "++++"),
        (RequestKind::Unseal, "+nnf"),
    ];
    const SIGNER: [(RequestKind, &str); 17] = [
        (RequestKind::Authority, "----"),
        (RequestKind::Certificate, "----"),
        (RequestKind::Challenge, "----"),
        (RequestKind::Crl, "----"),
        (RequestKind::Decrypt, "----"),
        (RequestKind::Encrypt, "----"),
        (RequestKind::Enrol, "----"),
        (RequestKind::Handshake, "----"),
        (RequestKind::Identify, "ss+f"),
        (RequestKind::Journal, "----"),
        (RequestKind::Ocsp, "----"),
        (RequestKind::OcspCertificate, "----"),
        (RequestKind::Record, "----"),
        (RequestKind::Reserve, "----"),
        (RequestKind::Seal, "----"),
        (RequestKind::Status, "++++"),
        (RequestKind::Unseal, "----"),
    ];

    #[test]
    fn every_combination_of_state_socket_and_request_is_as_written() {
        let states = [StateKind::Sealed, StateKind::Unsealing, StateKind::Unsealed, StateKind::Faulted];
        for (peer, rows) in [(Peer::Daemon, DAEMON), (Peer::Signer, SIGNER)] {
            for (request, row) in rows {
                for (state, expected) in states.into_iter().zip(row.chars()) {
                    let found = match permitted(state, peer, request) {
                        Verdict::Allowed => '+',
                        Verdict::Faulted => 'f',
                        Verdict::Forbidden(_) => '-',
                        Verdict::NotNow(_) => 'n',
                        Verdict::Sealed => 's',
                    };
                    assert_eq!(found, expected, "{peer:?} {request:?} {state:?}");
                }
            }
        }
    }
}
