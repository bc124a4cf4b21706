//! ACME servers of other CAs, as the dialect keeps them: a list, and which one is active. The variables with
//! which a DNS provider is reached are secrets: they are kept encrypted under a key in the token, and shown to
//! nobody.

use std::collections::BTreeMap;
use std::ops::Bound;

use policy::notary::Deed;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::accounts::number;
use crate::issuance::ca::CaError;
use crate::service::rights::Permitted;
use crate::service::secrets::{Boxed, Label, Secret};
use crate::service::{Failure, Services};
use crate::store::{Change, Table, Versioned};

/// ACME servers. Key: the number, u64, big-endian.
const SERVERS: Table<ServerRecord> = Table::new("notary_acme_servers");

/// The number of the next server; none is used twice. Key: [`NEXT_KEY`].
const NEXT: Table<u64> = Table::new("notary_next_acme_server");

/// The only key of [`NEXT`].
const NEXT_KEY: &str = "server";

#[derive(Clone, Serialize, Deserialize)]
struct ServerRecord {
    server: Settings,
    active: bool,
    /// Names of the variables.
    variables: Vec<String>,
    /// The variables themselves, encrypted.
    boxed: Option<Boxed>,
}

/// How an ACME server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What it is called.
    pub name: String,
    /// URL of its directory.
    pub directory_url: String,
    /// Contact of the account.
    pub email: String,
    /// Who answers dns-01.
    pub dns_provider: String,
}

/// The variables with which a DNS provider is reached.
pub type Variables = BTreeMap<String, Zeroizing<String>>;

/// An ACME server, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its number.
    pub id: u64,
    /// How it is reached.
    pub settings: Settings,
    /// Whether it is the one that is used.
    pub active: bool,
    /// Names of the variables.
    pub variables: Vec<String>,
}

impl Settings {
    /// Checks each field.
    pub fn check(self) -> Result<Self, Failure> {
        let fields = [
            ("name", &self.name),
            ("directory_url", &self.directory_url),
            ("email", &self.email),
            ("dns_provider", &self.dns_provider),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, text)| text.is_empty() || text.len() > LONGEST) {
            return Err(Failure::Invalid(format!("{name} is required, with at most {LONGEST} characters")));
        }
        let url = self.directory_url.parse::<http::Uri>().ok();
        match url.is_some_and(|url| url.scheme_str() == Some("https") && url.host().is_some()) {
            true => Ok(self),
            false => Err(Failure::Invalid("directory_url is not an https URL".to_owned())),
        }
    }
}

impl Services {
    /// Every ACME server, by number.
    pub fn notary_servers(&self, _permitted: &Permitted) -> Result<Vec<Server>, Failure> {
        let rows = self.store.scan(&SERVERS, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
        Ok(rows.into_iter().filter_map(|(key, row)| Some(view(number(&key)?, row.value))).collect())
    }

    /// The ACME server with this number.
    pub fn notary_server(&self, _permitted: &Permitted, id: u64) -> Result<Server, Failure> {
        Ok(view(id, self.server_row(id)?.value))
    }

    /// Adds an ACME server, which is not active.
    pub async fn add_notary_server(
        &self,
        permitted: &Permitted,
        settings: Settings,
        variables: Variables,
    ) -> Result<Server, Failure> {
        let settings = settings.check()?;
        let _alone = self.notary.changing.lock().await;
        if self.notary_servers(permitted)?.len() >= MOST {
            return Err(Failure::Conflict(format!("there are {MOST} ACME servers already: delete one first")));
        }
        let next = self.store.get(&NEXT, NEXT_KEY)?;
        let id = next.as_ref().map_or(1, |row| row.value);
        let (variables, boxed) = self.keep(permitted, id, variables).await?;
        self.change_notary(permitted, Deed::ServerSet { server: id }).await?;
        let record = ServerRecord { server: settings, active: false, variables, boxed };
        let mut change = Change::new();
        match next {
            None => change.insert(&NEXT, NEXT_KEY, &(id + 1)),
            Some(row) => change.update(&NEXT, NEXT_KEY, row.version, &(id + 1)),
        }
        change.insert(&SERVERS, id.to_be_bytes(), &record);
        self.store.commit(change).await?;
        Ok(view(id, record))
    }

    /// Changes an ACME server. Without variables those that it has stay.
    pub async fn change_notary_server(
        &self,
        permitted: &Permitted,
        id: u64,
        settings: Settings,
        variables: Option<Variables>,
    ) -> Result<Server, Failure> {
        let settings = settings.check()?;
        let _alone = self.notary.changing.lock().await;
        let Versioned { value, version } = self.server_row(id)?;
        let (variables, boxed) = match variables {
            Some(variables) => self.keep(permitted, id, variables).await?,
            None => (value.variables, value.boxed),
        };
        self.change_notary(permitted, Deed::ServerSet { server: id }).await?;
        let record = ServerRecord { server: settings, active: value.active, variables, boxed };
        let mut change = Change::new();
        change.update(&SERVERS, id.to_be_bytes(), version, &record);
        self.store.commit(change).await?;
        Ok(view(id, record))
    }

    /// Makes an ACME server the one that is used.
    pub async fn activate_notary_server(&self, permitted: &Permitted, id: u64) -> Result<Server, Failure> {
        let _alone = self.notary.changing.lock().await;
        self.server_row(id)?;
        self.change_notary(permitted, Deed::ServerSet { server: id }).await?;
        let mut change = Change::new();
        for (key, row) in self.store.scan(&SERVERS, (Bound::Unbounded, Bound::Unbounded), MOST, false)? {
            let active = number(&key) == Some(id);
            if row.value.active != active {
                change.update(&SERVERS, key, row.version, &ServerRecord { active, ..row.value });
            }
        }
        self.store.commit(change).await?;
        self.notary_server(permitted, id)
    }

    /// Deletes an ACME server, and its secrets.
    pub async fn remove_notary_server(&self, permitted: &Permitted, id: u64) -> Result<(), Failure> {
        let _alone = self.notary.changing.lock().await;
        let version = self.server_row(id)?.version;
        self.change_notary(permitted, Deed::ServerRemoved { server: id }).await?;
        let mut change = Change::new();
        change.remove(&SERVERS, id.to_be_bytes(), version);
        Ok(self.store.commit(change).await?)
    }

    /// Encrypts variables.
    async fn keep(
        &self,
        permitted: &Permitted,
        id: u64,
        variables: Variables,
    ) -> Result<(Vec<String>, Option<Boxed>), Failure> {
        if variables.is_empty() {
            return Ok((Vec::new(), None));
        }
        let sound = |(name, value): (&String, &Zeroizing<String>)| {
            (1..=LONGEST).contains(&name.len()) && value.len() <= 4 * 1024
        };
        if variables.len() > 32 || !variables.iter().all(sound) {
            return Err(Failure::Invalid("env_vars has at most 32 variables of at most 4 KiB each".to_owned()));
        }
        let plain: BTreeMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // So large that it does not grow, which would leave copies behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(2 * 32 * (LONGEST + 4 * 1024)));
        serde_json::to_writer(&mut *octets, &plain).map_err(|error| Failure::Internal(error.to_string()))?;
        let boxed = self.encrypt(Label::NotaryServer(id), Secret::new(octets), permitted.actor()).await;
        let boxed = boxed.map_err(|error: CaError| Failure::from(error))?;
        Ok((variables.into_keys().collect(), Some(boxed)))
    }

    fn server_row(&self, id: u64) -> Result<Versioned<ServerRecord>, Failure> {
        let missing = || Failure::Missing(format!("there is no ACME server {id}"));
        self.store.get(&SERVERS, id.to_be_bytes())?.ok_or_else(missing)
    }
}

fn view(id: u64, record: ServerRecord) -> Server {
    let ServerRecord { server, active, variables, boxed: _ } = record;
    Server { id, settings: server, active, variables }
}

/// Most ACME servers.
const MOST: usize = 100;

/// Longest text of a server's settings, in octets.
const LONGEST: usize = 512;
