//! What an operator does beside the database, before anybody can log in.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use berth_api::{credential, password};
use berth_core::name::Username;
use berth_store::NewApiToken;
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;

/// The name of the first administrator where the configuration gives none.
const FIRST_ADMIN: &str = "admin";

#[allow(clippy::print_stdout, reason = "the description is this command's output")]
pub(crate) fn print_openapi() -> anyhow::Result<()> {
    println!("{}", berth_api::openapi_json()?);
    Ok(())
}

/// Makes the gateway's keys and the first administrator, once. The file is written before the account: killed in between, the next run
/// makes the account with the password that is already there.
pub(crate) async fn init(config: &Config, credentials: &Path) -> anyhow::Result<()> {
    if let Some(folder) = &config.gateway.keys {
        berth_gateway::keys::make(folder)?;
    }
    let store = berth_store::open(&config.database.url).await?;
    if store.count_users().await? > 0 {
        return Ok(());
    }
    let username = match &config.api.admin_username {
        Some(name) => name.clone(),
        None => Username::parse(FIRST_ADMIN).context("the first administrator's name")?,
    };
    let secret = match read_password(credentials)? {
        Some(secret) => secret,
        None => write_password(credentials, &username)?,
    };
    let hash = password::hash(secret).await?;
    store.add_local_user(&username, true, &hash, Utc::now()).await?;
    Ok(())
}

/// For where no authority that everybody trusts vouches for the installation's names.
#[allow(clippy::print_stdout, reason = "the certificate is this command's output")]
pub(crate) fn print_trust(config: &Config, pem: bool) -> anyhow::Result<()> {
    if let Some(certificate) = config.gateway.certificate.as_deref().filter(|_| !pem) {
        println!("The gateway uses {}; trust who signed that.", certificate.display());
        return Ok(());
    }
    if let Some(acme) = config.gateway.acme.as_ref().filter(|_| !pem) {
        println!("The gateway's certificates are by ACME from {}; trust who signs those.", acme.directory);
        return Ok(());
    }
    let folder = config.gateway.keys.as_deref().context("gateway.keys names no folder; berthd init fills it")?;
    let file = folder.join(berth_gateway::keys::CA_CERTIFICATE);
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} (berthd init makes it)", file.display()))?;
    if pem {
        print!("{text}");
        return Ok(());
    }
    println!(
        "The gateway's certificates are signed by this installation's own authority:\n\n  {file}\n\n\
         Who trusts it, trusts whoever can read the folder it is in. To do so on Debian or Ubuntu:\n\n  \
         sudo cp {file} /usr/local/share/ca-certificates/berth.crt && sudo update-ca-certificates\n\n\
         Browsers have lists of their own: import the file as an authority for websites. For one command:\n\n  \
         curl --cacert {file} https://compute.{domain}/healthz",
        file = file.display(),
        domain = config.api.domain,
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the password is this command's output")]
pub(crate) async fn add_user(config: &Config, username: &str, admin: bool) -> anyhow::Result<()> {
    let store = berth_store::open(&config.database.url).await?;
    let username = Username::parse(username)?;
    let secret = password::generate();
    store.add_local_user(&username, admin, &password::hash(secret.clone()).await?, Utc::now()).await?;
    println!("{}", secret.expose_secret());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the password is this command's output")]
pub(crate) async fn set_password(config: &Config, username: &str) -> anyhow::Result<()> {
    let store = berth_store::open(&config.database.url).await?;
    let secret = password::generate();
    store.set_password(&Username::parse(username)?, &password::hash(secret.clone()).await?, Utc::now()).await?;
    println!("{}", secret.expose_secret());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the token is this command's output")]
pub(crate) async fn create_token(config: &Config, username: &str, name: &str) -> anyhow::Result<()> {
    let store = berth_store::open(&config.database.url).await?;
    let Some(account) = store.local_account(&Username::parse(username)?).await? else {
        bail!("there is no local account {username}; berthd user-add makes one");
    };
    let secret = credential::generate();
    let token = NewApiToken {
        name: name.to_owned(),
        hash: credential::hash(secret.expose_secret()),
        scopes: None,
        created_at: Utc::now(),
        expires_at: None,
    };
    store.add_operator_token(account.user.id, &token).await?;
    println!("{}", secret.expose_secret());
    Ok(())
}

fn read_password(file: &Path) -> anyhow::Result<Option<SecretString>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().find_map(|line| line.strip_prefix("password: ")).map(SecretString::from)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn write_password(file: &Path, username: &Username) -> anyhow::Result<SecretString> {
    let secret = password::generate();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    let mut out = opened.with_context(|| format!("writing {}", file.display()))?;
    write!(out, "username: {username}\npassword: {}\n", secret.expose_secret())?;
    out.sync_all()?;
    Ok(secret)
}
