//! Administrators: certified and enrolled by the signer, given roles, removed; behind the same gate as
//! certificates (J3).

use hsm::wire::{Act, Actor, EnrolmentRequest, Request, Response};
use policy::rights::Role;

use super::ca::{Ca, CaError, unexpected};
use crate::store::tables::ADMINISTRATORS;

impl Ca {
    /// Has an administrator certified and enrolled; his certificate, DER. When it returns, the store has
    /// both.
    pub(crate) async fn enrol(&self, request: EnrolmentRequest) -> Result<Vec<u8>, CaError> {
        let ready = self.ready().await?;
        match self.ask(Some(ready.epoch), Request::Enrol(request)).await? {
            Response::Certificate { certificate, .. } => {
                self.catch_up().await?;
                Ok(certificate)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Removes an administrator: journalled, then recorded in the store. One who is removed already
    /// stays as he is. `allowed` is asked while nobody else can be removed or given a role.
    pub(crate) async fn remove_administrator<E: From<CaError>>(
        &self,
        fingerprint: &str,
        actor: Actor,
        allowed: impl Fn() -> Result<(), E>,
    ) -> Result<(), E> {
        let act = Act::RemoveAdministrator { fingerprint: fingerprint.to_owned() };
        let done = || match self.store().get(&ADMINISTRATORS, fingerprint).map_err(CaError::from)? {
            Some(record) if record.value.removed.is_some() => Ok(true),
            Some(_) => allowed().map(|()| false),
            None => Err(CaError::Unknown("administrator").into()),
        };
        self.act_once(act, actor, done).await.map(drop)
    }

    /// Gives an administrator a role, in the same way.
    pub(crate) async fn set_role<E: From<CaError>>(
        &self,
        fingerprint: &str,
        role: Role,
        actor: Actor,
        allowed: impl Fn() -> Result<(), E>,
    ) -> Result<(), E> {
        let act = Act::SetRole { fingerprint: fingerprint.to_owned(), role };
        let done = || match self.store().get(&ADMINISTRATORS, fingerprint).map_err(CaError::from)? {
            Some(record) if record.value.role == role => Ok(true),
            Some(_) => allowed().map(|()| false),
            None => Err(CaError::Unknown("administrator").into()),
        };
        self.act_once(act, actor, done).await.map(drop)
    }
}
