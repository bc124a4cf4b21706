//! A client on the library instant-acme. One call does one thing; the account is in
//! `FOLDER/account.json`, the certificate in `FOLDER/NAME.pem`, its key in `FOLDER/NAME.key`.

mod answer;

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Parser, Subcommand};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use answer::Answers;

/// What went wrong, for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// URL of the directory.
    #[arg(long)]
    directory: String,
    /// Root that the server's certificate is under.
    #[arg(long)]
    trust: PathBuf,
    #[arg(long)]
    folder: PathBuf,
    /// Where http-01 is answered.
    #[arg(long)]
    http_port: u16,
    /// Where tls-alpn-01 is answered.
    #[arg(long)]
    tls_port: u16,
    /// Program that answers the DNS challenges: `dns add|remove NAME VALUE`.
    #[arg(long)]
    dns_hook: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes the account.
    Register {
        #[arg(long)]
        kid: Option<String>,
        /// MAC key, base64url.
        #[arg(long)]
        hmac: Option<String>,
    },
    /// Changes the contact.
    Update { email: String },
    /// Changes the account's key.
    Rollover,
    /// Lists the profiles that the directory offers.
    Profiles,
    /// Obtains a certificate; prints the order's URL.
    Obtain {
        #[arg(required = true)]
        names: Vec<String>,
        #[arg(long)]
        proof: String,
        #[arg(long)]
        profile: Option<String>,
        /// Name of the certificate that this one replaces.
        #[arg(long)]
        replaces: Option<String>,
    },
    /// Gives the proofs back that an order's authorizations are.
    Relinquish { order: String },
    /// Prints a certificate's renewal window, and after how many seconds to ask again.
    RenewalInfo { name: String },
    /// Revokes with the account's key.
    Revoke { name: String },
    /// Ends the account.
    Deactivate,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let file = arguments.folder.join("account.json");
    let builder = Account::builder_with_root(&arguments.trust)?;
    if let Verb::Register { kid, hmac } = &arguments.verb {
        let external = match (kid, hmac) {
            (Some(kid), Some(hmac)) => {
                Some(ExternalAccountKey::new(kid.clone(), &BASE64_URL_SAFE_NO_PAD.decode(hmac)?))
            }
            _ => None,
        };
        let new = NewAccount {
            contact: &["mailto:admin@example.test"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder.create(&new, arguments.directory.clone(), external.as_ref()).await?;
        std::fs::write(file, serde_json::to_vec(&credentials)?)?;
        println!("{}", account.id());
        return Ok(());
    }
    let mut account = builder.from_credentials(serde_json::from_slice(&std::fs::read(&file)?)?).await?;
    match &arguments.verb {
        Verb::Register { .. } => {}
        Verb::Update { email } => account.update_contacts(&[&format!("mailto:{email}")]).await?,
        Verb::Rollover => {
            let credentials = account.update_key().await?;
            std::fs::write(file, serde_json::to_vec(&credentials)?)?;
        }
        Verb::Profiles => account.profiles().for_each(|profile| println!("{}: {}", profile.name, profile.description)),
        Verb::Obtain { names, proof, profile, replaces } => {
            obtain(&arguments, &account, names, proof, profile.as_deref(), replaces.as_deref()).await?;
        }
        Verb::Relinquish { order } => {
            let mut order = account.order(order.clone()).await?;
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                authorization?.deactivate().await?;
            }
        }
        Verb::RenewalInfo { name } => {
            let certificate = arguments.certificate(name)?;
            let (info, again) = account.renewal_info(&CertificateIdentifier::try_from(&certificate)?).await?;
            let window = info.suggested_window;
            println!("{} {} {}", window.start.unix_timestamp(), window.end.unix_timestamp(), again.as_secs());
        }
        Verb::Revoke { name } => {
            let certificate = &arguments.certificate(name)?;
            account.revoke(&RevocationRequest { certificate, reason: Some(RevocationReason::Superseded) }).await?;
        }
        Verb::Deactivate => account.deactivate().await?,
    }
    Ok(())
}

impl Arguments {
    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>, Failure> {
        Ok(CertificateDer::from_pem_file(self.file(name, "pem"))?)
    }

    /// Where the certificate or the key of an order whose first name is `name` lies.
    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", name.replace('*', "_")))
    }
}

async fn obtain(
    arguments: &Arguments,
    account: &Account,
    names: &[String],
    proof: &str,
    profile: Option<&str>,
    replaces: Option<&str>,
) -> Result<(), Failure> {
    let identifiers: Vec<Identifier> = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => Identifier::Ip(address),
            Err(_) => Identifier::Dns(name.clone()),
        })
        .collect();
    let mut new = NewOrder::new(&identifiers);
    if let Some(profile) = profile {
        new = new.profile(profile);
    }
    let replaced = replaces.map(|name| arguments.certificate(name)).transpose()?;
    if let Some(certificate) = &replaced {
        new = new.replaces(CertificateIdentifier::try_from(certificate)?);
    }
    let mut order = account.new_order(&new).await?;
    let granted = order.state().profile.clone().unwrap_or_default();
    println!("{} {granted}", order.url());
    let kind = match proof {
        "dns-01" => ChallengeType::Dns01,
        "http-01" => ChallengeType::Http01,
        "tls-alpn-01" => ChallengeType::TlsAlpn01,
        other => ChallengeType::Unknown(other.to_owned()),
    };
    let mut answers = Answers::start(arguments.http_port, arguments.tls_port, &arguments.dns_hook).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(kind.clone()).ok_or_else(|| format!("{proof} is not offered"))?;
        let identifier = challenge.identifier().identifier.clone();
        answers.offer(proof, &identifier, account.id(), &challenge.token, &challenge.key_authorization())?;
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    answers.withdraw()?;
    if status != OrderStatus::Ready {
        return Err(format!("the order is {status:?}").into());
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    std::fs::write(arguments.file(&names[0], "key"), key)?;
    std::fs::write(arguments.file(&names[0], "pem"), chain)?;
    Ok(())
}
