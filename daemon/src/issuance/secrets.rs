//! Secrets that the daemon keeps, encrypted and decrypted by the CA signer.

use hsm::wire::{Actor, Plain, Request, Response};

use super::ca::{Ca, CaError, unexpected};

impl Ca {
    /// The box of a secret, which opens under the same label alone.
    pub(crate) async fn encrypt(&self, label: String, secret: Plain, actor: Actor) -> Result<Vec<u8>, CaError> {
        match self.ask(None, Request::Encrypt { label, secret, actor }).await? {
            Response::Box(boxed) => Ok(boxed),
            other => Err(unexpected(&other)),
        }
    }

    /// What is in a box.
    pub(crate) async fn decrypt(&self, label: String, boxed: Vec<u8>) -> Result<Plain, CaError> {
        match self.ask(None, Request::Decrypt { label, boxed }).await? {
            Response::Secret(secret) => Ok(secret),
            other => Err(unexpected(&other)),
        }
    }
}
