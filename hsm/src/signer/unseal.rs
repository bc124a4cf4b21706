//! Opening and closing the seal.

use std::mem;
use std::sync::mpsc;

use super::Ended;
use super::answer::{Signer, journal, not_ours};
use super::authorities::Authorities;
use super::keys::{Configured, Keys, KeysError};
use super::server::Ticket;
use super::state::SealState;
use crate::journal::{Event, WriteError};
use crate::pkcs11::{ErrorClass, LoginError, Pin, Token, TokenError};
use crate::seal::{Attempts, Invitation, NotOpened};
use crate::wire::{Actor, Refusal, Response, UnsealBox};

/// Why the token is not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpen {
    /// The attempt could not be counted, and was not made.
    #[error("the count of wrong PINs cannot be written: {0}")]
    Count(#[from] std::io::Error),
    /// The keys are not those of the configuration. The token was logged out again.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The token said no, or failed.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// Logs in with `pin`, one attempt, counted before it is made, and finds the keys.
pub(super) fn open(
    token: &Token,
    attempts: &Attempts,
    (configured, authorities): (&[Configured], &Authorities),
    pin: &Pin,
) -> Result<Keys, NotOpen> {
    attempts.begin()?;
    match token.login(pin) {
        Ok(()) => attempts.right(),
        Err(error @ LoginError::Token(_)) => {
            attempts.not_judged();
            return Err(error.into());
        }
        Err(error @ (LoginError::WrongPin | LoginError::Locked)) => return Err(error.into()),
    }
    let found = Keys::find(token, configured).and_then(|keys| Ok(keys.with_authorities(token, authorities)?));
    found.map_err(|error| {
        token.logout();
        error.into()
    })
}

/// What follows from a token that is not open.
enum Consequence {
    /// Somebody must act; this process serves no key any more.
    Fault(String),
    /// A fresh process may do better.
    Restart(Refusal, String),
    /// Another attempt may be made.
    Retry(Refusal),
}

/// Opens the seal with a PIN that an administrator sent.
pub(super) fn unseal(signer: &Signer, ticket: Ticket, boxed: &UnsealBox, actor: &Actor) {
    if let Err(refusal) = not_ours(&actor.who) {
        return ticket.answer(Err(refusal));
    }
    let mut invitation = {
        let mut state = signer.state_mut();
        match mem::replace(&mut *state, SealState::Unsealing) {
            SealState::Sealed(invitation) => invitation,
            other => {
                *state = other;
                drop(state);
                return ticket.answer(Err(Refusal::Challenge));
            }
        }
    };
    match attempt(signer, &mut invitation, boxed, actor) {
        Ok(keys) => {
            become_(signer, SealState::Unsealed(keys.into()));
            ticket.answer(Ok(Response::Unsealed));
        }
        Err(Consequence::Retry(refusal)) => {
            become_(signer, SealState::Sealed(invitation));
            ticket.answer(Err(refusal));
        }
        Err(Consequence::Restart(refusal, why)) => {
            become_(signer, SealState::Sealed(invitation));
            ticket.answer(Err(refusal));
            signer.end(Ended::Restart(why));
        }
        Err(Consequence::Fault(why)) => {
            tracing::error!(why, "the token cannot be used");
            become_(signer, SealState::Faulted { why: why.clone() });
            ticket.answer(Err(Refusal::Token(why)));
        }
    }
}

fn become_(signer: &Signer, state: SealState) {
    signer.supervisor.tell(&format!("STATUS={}", state.sentence()));
    *signer.state_mut() = state;
}

/// One attempt: journalled, the box opened, at most one PIN shown to the token.
fn attempt(
    signer: &Signer,
    invitation: &mut Invitation,
    boxed: &UnsealBox,
    actor: &Actor,
) -> Result<Keys, Consequence> {
    let pause = signer.attempts.pause();
    if !pause.is_zero() {
        let (wrong, seconds) = (signer.attempts.wrong(), pause.as_secs() + 1);
        let why = format!("the token has seen {wrong} wrong PINs: wait {seconds} s, then try again");
        return Err(Consequence::Retry(Refusal::Policy(why)));
    }
    // Void from here on, whatever comes of it. The box is opened before anything waits.
    let opened = invitation.open(boxed);
    let write = |event| signer.journal.append_and_wait(event, actor.who.clone(), actor.request_id.clone());
    write(Event::UnsealAttempted).map_err(|error| Consequence::Retry(journal(error)))?;
    let failed = |why: String| {
        if let Err(error) = write(Event::UnsealFailed { why }) {
            tracing::error!(%error, "a failed unseal could not be journalled");
        }
    };
    let pin = opened.map_err(|error| {
        failed(match error {
            NotOpened::Challenge => "the box answers no open challenge".to_owned(),
            NotOpened::Malformed => "the box was not made for this signer and challenge".to_owned(),
        });
        Consequence::Retry(Refusal::Challenge)
    })?;
    let authorities = signer.authorities().clone();
    let keys = open(&signer.token, &signer.attempts, (&signer.configured(), &authorities), &pin).map_err(|error| {
        failed(error.to_string());
        consequence(error, signer.attempts.wrong())
    })?;
    if let Err(error) = signer.store.keep(&pin, &signer.supervisor) {
        tracing::warn!(%error, "the PIN cannot be kept for a restart: a crash will seal");
    }
    if let Err(error) = write(Event::Unsealed) {
        tracing::error!(%error, "unsealed, but the journal has only the attempt");
    }
    Ok(keys)
}

fn consequence(error: NotOpen, wrong_pins: u32) -> Consequence {
    let why = error.to_string();
    match error {
        NotOpen::Count(_) => Consequence::Retry(Refusal::Journal(why)),
        NotOpen::Login(LoginError::WrongPin) => Consequence::Retry(Refusal::Pin { wrong_pins }),
        NotOpen::Login(LoginError::Locked) | NotOpen::Keys(KeysError::Mismatch(_) | KeysError::Shared(..)) => {
            Consequence::Fault(why)
        }
        NotOpen::Login(LoginError::Token(error)) | NotOpen::Keys(KeysError::Token(error)) => of_token(&error),
    }
}

fn of_token(error: &TokenError) -> Consequence {
    let why = error.to_string();
    match error.class {
        ErrorClass::Restart => Consequence::Restart(Refusal::Token(why.clone()), why),
        ErrorClass::Operator | ErrorClass::Permanent => Consequence::Fault(why),
        ErrorClass::Relogin | ErrorClass::Reopen | ErrorClass::Transient => Consequence::Retry(Refusal::Token(why)),
    }
}

/// Closes the seal: the act is journalled, the PIN leaves the descriptor store, the process ends. A
/// fresh process that never knew the PIN is the only wipe that covers the module's copies too.
pub(super) fn seal(signer: &Signer, ticket: Ticket, actor: Actor) {
    if signer.always_open {
        let why = "this token is always open: its PIN comes from a file".to_owned();
        return ticket.answer(Err(Refusal::Forbidden(why)));
    }
    if let Err(refusal) = not_ours(&actor.who) {
        return ticket.answer(Err(refusal));
    }
    let closing = SealState::Faulted { why: "the signer is being sealed: try again in a moment".to_owned() };
    let (sender, written) = mpsc::sync_channel(1);
    let before = {
        // Certificates are appended under this lock, so that none stands behind this entry.
        let mut state = signer.state_mut();
        signer.journal.append(Event::Sealed, actor.who, actor.request_id, move |seq| drop(sender.send(seq)));
        mem::replace(&mut *state, closing)
    };
    if let Err(error) = written.recv().unwrap_or(Err(WriteError::Closed)) {
        become_(signer, before);
        return ticket.answer(Err(journal(error)));
    }
    signer.supervisor.tell("STATUS=Sealing");
    if let Err(error) = signer.store.wipe(&signer.supervisor) {
        // A memfd of fixed size in memory: it does not happen. The store is emptied all the same.
        tracing::error!(%error, "the stored PIN could not be overwritten");
    }
    ticket.answer(Ok(Response::Sealing));
    signer.supervisor.barrier();
    signer.token.logout();
    signer.end(Ended::Sealed);
}
