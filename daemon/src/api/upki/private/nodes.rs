//! `private/nodes`: registered nodes; registering one makes its first certificate, too.

use axum::extract::{Path, State};
use policy::name::Name;
use policy::profile::Pattern;
use policy::registration::{CommonName, Registration};
use serde::Serialize;

use super::super::answer::{Data, Message};
use super::super::body::{Fields, Refusal};
use super::super::error::Error;
use super::super::issued::View;
use super::super::listed::{Listed, Next};
use super::super::query::Page;
use super::super::{Upki, name, profile};
use crate::api::access::{ManageNodes, Permitted, ReadNodes};
use crate::service::issue::WantedKey;
use crate::service::nodes::DeletedOnes;

#[derive(Serialize)]
pub(in super::super) struct Nodes {
    nodes: Vec<Listed>,
    #[serde(flatten)]
    next: Next,
}

#[derive(Serialize)]
pub(in super::super) struct Registered {
    node: View,
}

pub(in super::super) async fn list(
    permitted: Permitted<ReadNodes>,
    State(upki): State<Upki>,
    page: Page,
) -> Result<Data<Nodes>, Error> {
    let after = page.cursor.map(|text| CommonName::parse(&text)).transpose();
    let after = after.map_err(|_| Error::validation("`cursor` is `next` of the page before"))?;
    let page = upki.nodes(&permitted, after.as_ref(), page.limit, DeletedOnes::LeftOut)?;
    let nodes = page.nodes.iter().map(|node| Listed::node(&upki, node)).collect();
    Ok(Data(Nodes { nodes, next: Next { next: page.next.map(String::from) } }))
}

pub(in super::super) async fn register(
    permitted: Permitted<ManageNodes>,
    State(upki): State<Upki>,
    mut fields: Fields,
) -> Result<Data<Registered>, Refusal> {
    let common_name = fields.required("cn");
    let wanted = fields.text("profile").unwrap_or_else(|| profile::DEFAULT.to_owned());
    let names = fields.texts("sans");
    let csr = fields.text("csr");
    fields.end()?;
    let common_name = CommonName::parse(name::common_name(&common_name))
        .map_err(|error| Error::validation(format!("`cn`: {error}")))?;
    let profile = profile::named(&upki, &wanted)?;
    let names = names.iter().map(|text| Name::parse(&text.to_ascii_lowercase())).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|error| Error::validation(format!("`sans`: {error}")))?;
    let key = match csr {
        Some(csr) => WantedKey::csr(csr.as_bytes())?,
        None => WantedKey::Generate(profile.cheapest_key()),
    };
    let registration = Registration {
        common_name,
        names: names.iter().map(Pattern::of).collect(),
        profile: profile.name().to_owned(),
        account: None,
    };
    let issued = upki.register_and_certify(&permitted, registration, &names, key, "upki").await?;
    Ok(Data(Registered { node: View::new(&upki, issued, profile.name())? }))
}

pub(in super::super) async fn remove(
    permitted: Permitted<ManageNodes>,
    State(upki): State<Upki>,
    Path(node): Path<String>,
) -> Result<Message, Error> {
    let node = CommonName::parse(name::common_name(&node)).map_err(|_| Error::missing())?;
    upki.delete_node(&permitted, &node).await?;
    Ok(Message("Node deleted"))
}
