//! `GET profiles` and `GET profiles/{name}`.

use axum::extract::{Path, State};

use super::super::Upki;
use super::super::answer::Data;
use super::super::error::Error;
use super::super::profile::{self, View};

pub(in super::super) async fn list(State(upki): State<Upki>) -> Data<Vec<String>> {
    Data(upki.upki.profiles.keys().cloned().collect())
}

pub(in super::super) async fn show(State(upki): State<Upki>, Path(name): Path<String>) -> Result<Data<View>, Error> {
    let profile = profile::ours(&upki, &name).ok_or_else(Error::missing)?;
    Ok(Data(View::new(&upki, &name, &profile)))
}
