//! Small secrets that the daemon keeps: encrypted and decrypted under one AES-256 key of the token, so
//! that who takes the store or the host away while it is sealed has none of them.
//!
//! ```text
//! box  = number of the key (1 octet) | initialization vector (12) | ciphertext | tag (16)
//! data = "signet secret" 0 label      additional authenticated data
//! ```

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::answer::{Signer, journal, not_ours};
use super::issue::NotIssued;
use super::server::Ticket;
use super::state::SealState;
use crate::journal::Event;
use crate::pkcs11::IV;
use crate::wire::{Actor, MAX_SECRET, Plain, Purpose, Refusal, Response};

/// Labels of the token that begin like this are not for the configuration: the signer makes such keys
/// itself, and the label says what for.
pub(crate) const RESERVED: [&str; 3] = ["account-", policy::authority::PREFIX, "secrets-"];

/// Label of the key for secrets.
pub(crate) const SECRETS_KEY: &str = "secrets-1";

/// Its number in boxes.
const KEY_NUMBER: u8 = 1;

impl Signer {
    /// Answers with the box of a secret.
    pub(super) fn encrypt(&self, ticket: Ticket, label: &str, secret: &Plain, actor: Actor) {
        match self.boxed(label, secret, actor) {
            Ok(boxed) => ticket.answer(Ok(Response::Box(boxed))),
            Err(why) => self.not_issued(ticket, why),
        }
    }

    /// Answers with the secret in a box.
    pub(super) fn decrypt(&self, ticket: Ticket, label: &str, boxed: &[u8]) {
        match self.unboxed(label, boxed) {
            Ok(secret) => ticket.answer(Ok(Response::Secret(secret))),
            Err(why) => self.not_issued(ticket, why),
        }
    }

    fn boxed(&self, label: &str, Plain(secret): &Plain, actor: Actor) -> Result<Vec<u8>, NotIssued> {
        not_ours(&actor.who)?;
        if secret.len() > MAX_SECRET {
            let why = format!("a secret of {} octets is not kept: {MAX_SECRET} are the most", secret.len());
            return Err(Refusal::Policy(why).into());
        }
        self.keeps_secrets()?;
        self.make_secrets_key(actor)?;
        let mut iv = [0; IV];
        self.entropy().fill(&mut iv).map_err(|error| Refusal::Token(error.to_string()))?;
        let ciphertext = self.token.encrypt(SECRETS_KEY, &iv, &data(label), secret).map_err(NotIssued::Token)?;
        self.counts.secrets.fetch_add(1, Ordering::Relaxed);
        Ok([&[KEY_NUMBER][..], &iv, &ciphertext].concat())
    }

    fn unboxed(&self, label: &str, boxed: &[u8]) -> Result<Plain, NotIssued> {
        self.keeps_secrets()?;
        let spoilt = || {
            let why = "the box of a secret does not open: it was changed, or is not the one of that name; restore it";
            Refusal::Policy(why.to_owned())
        };
        let [KEY_NUMBER, rest @ ..] = boxed else { return Err(spoilt().into()) };
        let (iv, ciphertext) = rest.split_first_chunk::<IV>().ok_or_else(spoilt)?;
        let secret = self.token.decrypt(SECRETS_KEY, iv, &data(label), ciphertext).map_err(NotIssued::Token)?;
        self.counts.secrets.fetch_add(1, Ordering::Relaxed);
        Ok(Plain(secret.ok_or_else(spoilt)?))
    }

    /// The signer of the CA does, and no other.
    fn keeps_secrets(&self) -> Result<(), Refusal> {
        match self.keys()?.with_purpose(Purpose::Issue) {
            Some(_) => Ok(()),
            None => Err(Refusal::Forbidden("this signer keeps no secrets".to_owned())),
        }
    }

    /// Makes the key for secrets in a token that has none, journalled first.
    fn make_secrets_key(&self, actor: Actor) -> Result<(), NotIssued> {
        // Nobody panics while holding it.
        let mut is_there = self.secrets_key.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_there {
            if !self.token.has_secret(SECRETS_KEY).map_err(NotIssued::Token)? {
                let event = Event::KeyMade { key: SECRETS_KEY.to_owned(), spki_sha256: None };
                self.append_unsealed(event, actor)?;
                self.token.generate_secret(SECRETS_KEY).map_err(NotIssued::Token)?;
            }
            *is_there = true;
        }
        Ok(())
    }

    /// Makes an entry durable that must not stand behind the one that closes the seal.
    fn append_unsealed(&self, event: Event, actor: Actor) -> Result<(), Refusal> {
        let state = self.state();
        if !matches!(*state, SealState::Unsealed(_)) {
            return Err(Refusal::Sealed);
        }
        self.journal.append_and_wait(event, actor.who, actor.request_id).map(drop).map_err(journal)
    }
}

/// What is authenticated beside the secret.
fn data(label: &str) -> Vec<u8> {
    [b"signet secret\0", label.as_bytes()].concat()
}
