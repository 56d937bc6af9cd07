//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Berth: machines with names, on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "berthd", version, about)]
pub(crate) struct Cli {
    /// Configuration file (TOML); `BERTH_<SECTION>__<KEY>` variables override it.
    #[arg(long, env = "BERTH_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
pub(crate) enum Command {
    /// Serve the API, run the controller and, with `gateway.keys`, the gateway in one process (the default).
    #[default]
    All,
    /// Run the gateway alone: it needs its keys and a cluster, and no database.
    Gateway,
    /// Bring the database's schema up to date and exit.
    Migrate,
    /// Print the OpenAPI description.
    Openapi,
    /// Say in plain words what the cluster lacks.
    Preflight,
    /// Make the gateway's keys and the first administrator of a new installation, and write the login to a file of mode 0600.
    Init {
        /// Where to write username and password; kept as it is when it exists.
        #[arg(long)]
        credentials: PathBuf,
    },
    /// Say how to trust the certificates that the gateway signs itself.
    Trust {
        /// Print the authority's certificate and nothing else.
        #[arg(long)]
        pem: bool,
    },
    /// Add a local account and print its password.
    UserAdd {
        username: String,
        /// Make it an administrator.
        #[arg(long)]
        admin: bool,
    },
    /// Give a local account a new password, print it, and end the account's sessions.
    Passwd { username: String },
    /// Create an API token without expiry for a user and print it.
    Token {
        username: String,
        /// What the token is for; shown in the user's list.
        #[arg(long, default_value = "operator")]
        name: String,
    },
}
