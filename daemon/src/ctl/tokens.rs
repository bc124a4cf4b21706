//! `signetctl token create | list | show | enable | disable | lock | revoke`

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use policy::grant::Pattern;
use policy::rights::{Permission, Role, Scope, TokenRights, tokens_may};

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::tokens::{Create, Created, Page, SetState, Token};
use crate::service::tokens::{MOST, TokenGrant, TokenState};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Make a token and show it, this once
    #[command(after_help = CREATE_HELP)]
    Create(Wish),
    /// List tokens, revoked ones included
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one token: what it grants, how it stands, when it was last used
    Show(One),
    /// Take a token again that was disabled or locked
    Enable(One),
    /// Take a token no longer, until it is enabled
    Disable(One),
    /// Take a token no longer, until it is enabled, except in CertMaker's dialect, where a locked account goes on
    Lock(One),
    /// Take a token no longer, for ever
    Revoke(One),
}

#[derive(Args)]
pub(super) struct One {
    /// Its id
    #[arg(id = "token", value_name = "TOKEN")]
    id: String,
}

#[derive(Args)]
pub(super) struct Wish {
    /// For whom or what it is, in words
    #[arg(long)]
    owner: String,
    /// Carry what this role may do, as far as tokens may
    #[arg(long, required_unless_present = "permissions", conflicts_with = "permissions")]
    role: Option<Role>,
    /// Carry this right; may be repeated
    #[arg(long = "permit", id = "permissions", value_name = "RIGHT")]
    permissions: Vec<Permission>,
    /// Reach every certificate and request, not only those that it was used to ask for
    #[arg(long)]
    everything: bool,
    /// Names that it may have certified: `host.example.com`, `.example.com` for every name below, `10.0.0.0/8`;
    /// may be repeated [default: every name that a profile permits]
    #[arg(long = "name", value_name = "PATTERN", value_parser = Pattern::parse)]
    names: Vec<Pattern>,
    /// Profiles that it may have certificates from; may be repeated [default: every profile]
    #[arg(long = "profile-name", value_name = "PROFILE")]
    profiles: Vec<String>,
    /// For how long it is taken, such as `12h` or `90d` [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    lifetime: Option<Duration>,
}

const CREATE_HELP: &str = "\
A program shows the token in the header `Authorization: Bearer TOKEN` to the paths below /admin/v1.
No token unseals, seals, approves requests, or manages administrators and tokens.
Example:
  signetctl token create --owner 'build farm' --permit certify --permit revoke --name .build.example.com --lifetime 90d
An account of CertMaker's dialect is a token, too, shown as `X-Auth-Token: TOKEN`:
  signetctl token create --owner 'web team' --permit order-certificate --permit revoke --name .web.example.com";

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Create(wish) => {
            let created: Created = session.client.post("/admin/v1/tokens", &wish.to_create(), OnExpired::Refuse)?;
            session.show(&created, |created| {
                let mut pairs = text(&created.token);
                pairs.insert(1, ("secret", created.secret.clone()));
                fields(&pairs) + "The secret is not shown again.\n"
            })
        }
        Verb::List { limit } => list(session, *limit),
        Verb::Show(one) => {
            let shown: Token = session.client.get(&one.path()?, OnExpired::Refuse)?;
            session.show(&shown, |shown| fields(&text(shown)))
        }
        Verb::Enable(one) => set(session, one, TokenState::Enabled),
        Verb::Disable(one) => set(session, one, TokenState::Disabled),
        Verb::Lock(one) => set(session, one, TokenState::Locked),
        Verb::Revoke(one) => set(session, one, TokenState::Revoked),
    }
}

fn set(session: &Session, one: &One, state: TokenState) -> Result<(), CtlError> {
    let path = format!("{}/state", one.path()?);
    session.client.act(Method::PUT, &path, Some(&SetState { state }), OnExpired::Refuse)?;
    session.say(&format!("{} {}", word(state), one.id))
}

impl One {
    fn path(&self) -> Result<String, CtlError> {
        if self.id.is_empty() || !self.id.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(CtlError::Failed("the id of a token is hexadecimal digits: see `token list`".to_owned()));
        }
        Ok(format!("/admin/v1/tokens/{}", self.id))
    }
}

impl Wish {
    fn to_create(&self) -> Create {
        let of_role = |role: Role| {
            let all = Permission::ALL.iter().copied();
            all.filter(|&one| role.permits(one) && tokens_may(one)).collect::<BTreeSet<_>>()
        };
        let permissions = self.role.map_or_else(|| self.permissions.iter().copied().collect(), of_role);
        let scope = if self.everything { Scope::Everything } else { Scope::Own };
        let grant = TokenGrant {
            owner: self.owner.clone(),
            rights: TokenRights { permissions, scope },
            names: self.names.clone(),
            profiles: self.profiles.clone(),
            expires: None,
        };
        Create { grant, lifetime: self.lifetime.map(|lifetime| lifetime.as_secs()) }
    }
}

fn list(session: &Session, limit: usize) -> Result<(), CtlError> {
    let mut found: Vec<Token> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/tokens?limit={}", (limit - found.len()).min(MOST));
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.tokens);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    session.show(&found, |found| table(["TOKEN", "STATE", "EXPIRES", "LAST USED", "OWNER"], found.iter().map(row)))
}

fn row(token: &Token) -> [String; 5] {
    [
        token.id.clone(),
        word(token.state).to_owned(),
        token.grant.expires.map_or_else(|| "never".to_owned(), |at| time(at.0)),
        token.last_used.map_or_else(|| "never".to_owned(), time),
        token.grant.owner.clone(),
    ]
}

fn text(token: &Token) -> Vec<(&'static str, String)> {
    let grant = &token.grant;
    let listed = |list: Vec<String>, none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    let reach = match grant.rights.scope {
        Scope::Everything => "everything",
        Scope::Own => "what it was used to ask for",
    };
    let mut pairs = vec![
        ("token", token.id.clone()),
        ("owner", grant.owner.clone()),
        ("state", word(token.state).to_owned()),
        ("rights", listed(grant.rights.permissions.iter().map(Permission::to_string).collect(), "none")),
        ("reaches", reach.to_owned()),
        ("names", listed(grant.names.iter().map(Pattern::to_string).collect(), "all that a profile permits")),
        ("profiles", listed(grant.profiles.clone(), "all")),
        ("expires", grant.expires.map_or_else(|| "never".to_owned(), |at| time(at.0))),
        ("created", format!("{} by {}", time(token.created), token.created_by)),
        ("last used", token.last_used.map_or_else(|| "never".to_owned(), time)),
    ];
    if let (Some(at), Some(by)) = (token.changed, &token.changed_by) {
        pairs.push(("changed", format!("{} by {by}", time(at))));
    }
    pairs
}

fn word(state: TokenState) -> &'static str {
    match state {
        TokenState::Disabled => "disabled",
        TokenState::Enabled => "enabled",
        TokenState::Locked => "locked",
        TokenState::Revoked => "revoked",
    }
}
