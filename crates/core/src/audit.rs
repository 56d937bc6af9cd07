//! The words of the audit log: who did what, to what, from where. One table of all actions, so that a filter over them
//! can be checked and a new one is named once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::Invalid;
use crate::user::User;

/// Where and when a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub at: DateTime<Utc>,
    /// The caller's address; none for what did not come over the network.
    pub address: Option<IpAddr>,
    pub request_id: Option<String>,
}

impl Origin {
    /// Of what is done beside the database: an operator's command.
    pub fn local(at: DateTime<Utc>) -> Self {
        Self { at, address: None, request_id: None }
    }
}

/// Who asks, and from where. Every grant carries it, so that the store writes it in the transaction of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub user: User,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Denied,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $word:literal),* $(,)?) => {
        /// What is recorded. Reads are not, but for what a container wrote and holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name),*
        }

        impl Action {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word),*
                }
            }
        }
    };
}

actions! {
    ContainerCreate => "container.create",
    ContainerStart => "container.start",
    ContainerStop => "container.stop",
    ContainerDelete => "container.delete",
    MountsUpdate => "mounts.update",
    PullPolicyUpdate => "pull_policy.update",
    SshUpdate => "ssh.update",
    IngressCreate => "ingress.create",
    IngressDelete => "ingress.delete",
    /// Somebody logged in to a container, through the gateway; recorded when the connection has ended, as all of these.
    ConnectionSsh => "connection.ssh",
    ConnectionHttp => "connection.http",
    ConnectionHttps => "connection.https",
    ConnectionTcp => "connection.tcp",
    LogsOpen => "logs.open",
    TerminalOpen => "terminal.open",
    KeyCreate => "key.create",
    KeyDelete => "key.delete",
    Login => "auth.login",
    Logout => "auth.logout",
    /// An operator gave an account a new password.
    Password => "auth.password",
    TokenCreate => "token.create",
    TokenRevoke => "token.revoke",
    /// An operator made it, or its first token was seen.
    UserCreate => "user.create",
    /// The issuer's groups made the user an administrator.
    UserPromote => "user.promote",
    UserDemote => "user.demote",
    UserSuspend => "user.suspend",
    UserUnsuspend => "user.unsuspend",
    /// A call that only administrators may make; recorded when it was denied.
    AdminCall => "admin.call",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.iter().copied().find(|action| action.as_str() == text);
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|action| action.as_str()).collect();
            Invalid::new("action", format!("an action is one of {}", words.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_word_of_its_own_that_reads_back() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("container".parse::<Action>().unwrap_err().field, "action");
    }
}
