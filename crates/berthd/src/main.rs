//! berthd: the daemon of Berth. Configuration and wiring, nothing else.

mod admin;
mod cli;
mod config;
mod images;
mod metrics;
mod platform;
mod serve;

use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Exit code of `sysexits.h` for a wrong command line or configuration.
const EX_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    // Ring is the one crypto provider; asking twice is the only way this fails, and then one is installed.
    let _already_installed = rustls::crypto::ring::default_provider().install_default().is_err();
    let cli = cli::Cli::parse();
    raise_file_limit();
    let config = match config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("berthd: configuration: {error}");
            return ExitCode::from(EX_USAGE);
        }
    };
    match run(cli.command.unwrap_or_default(), config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berthd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A gateway listens on a thousand ports; the usual soft limit is 1024 files. What cannot be had is met where it is needed.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _as_it_was = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn run(command: cli::Command, config: config::Config) -> anyhow::Result<()> {
    match command {
        cli::Command::All => serve::all(config).await,
        cli::Command::Gateway => serve::gateway(config).await,
        cli::Command::Migrate => berth_store::open(&config.database.url).await.map(drop).map_err(Into::into),
        cli::Command::Openapi => admin::print_openapi(),
        cli::Command::Preflight => serve::preflight(&config).await,
        cli::Command::Init { credentials } => admin::init(&config, &credentials).await,
        cli::Command::Trust { pem } => admin::print_trust(&config, pem),
        cli::Command::UserAdd { username, admin } => admin::add_user(&config, &username, admin).await,
        cli::Command::Passwd { username } => admin::set_password(&config, &username).await,
        cli::Command::Token { username, name } => admin::create_token(&config, &username, &name).await,
    }
}
