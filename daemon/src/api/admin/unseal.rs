//! `POST /admin/v1/unseal/challenge` and `POST /admin/v1/unseal`: the PIN's way through a process
//! that cannot read it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::{encoding, failure};
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::seal;
use crate::shape;

/// A challenge, and the key to encrypt the PIN to. Byte strings are base64.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Challenge {
    /// Single-use.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::ChallengeBytes")]
    pub challenge: [u8; 32],
    /// Names the journal and holds the HPKE public key.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub statement: Vec<u8>,
    /// The appliance identity's SubjectPublicKeyInfo.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub identity_spki: Vec<u8>,
    /// The identity key's signature over the statement.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub signature: Vec<u8>,
}

/// The encrypted PIN. Byte strings are base64.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsealBox {
    /// The challenge it answers.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::ChallengeBytes")]
    pub challenge: [u8; 32],
    /// HPKE encapsulated key.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub encapsulated: Vec<u8>,
    /// Ciphertext and tag.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub ciphertext: Vec<u8>,
}

pub(super) async fn challenge(
    permitted: Permitted<access::Unseal>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Challenge>, Problem> {
    let issued = services.unseal_challenge(&permitted).await.map_err(failure::problem)?;
    Ok(Json(issued.into()))
}

pub(super) async fn unseal(
    permitted: Permitted<access::Unseal>,
    State(services): State<Arc<Services>>,
    Body(boxed): Body<UnsealBox>,
) -> Result<NoContent, Problem> {
    services.unseal(&permitted, boxed.into()).await.map_err(failure::problem)?;
    Ok(NoContent)
}

impl From<seal::Challenge> for Challenge {
    fn from(issued: seal::Challenge) -> Self {
        let seal::Challenge { challenge, statement, identity_spki, signature } = issued;
        Self { challenge, statement, identity_spki, signature }
    }
}

impl From<Challenge> for seal::Challenge {
    fn from(shown: Challenge) -> Self {
        let Challenge { challenge, statement, identity_spki, signature } = shown;
        Self { challenge, statement, identity_spki, signature }
    }
}

impl From<seal::UnsealBox> for UnsealBox {
    fn from(made: seal::UnsealBox) -> Self {
        let seal::UnsealBox { challenge, encapsulated, ciphertext } = made;
        Self { challenge, encapsulated, ciphertext }
    }
}

impl From<UnsealBox> for seal::UnsealBox {
    fn from(received: UnsealBox) -> Self {
        let UnsealBox { challenge, encapsulated, ciphertext } = received;
        Self { challenge, encapsulated, ciphertext }
    }
}
