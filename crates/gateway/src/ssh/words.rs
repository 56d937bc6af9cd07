//! What people are told, on standard error or as the reason of a refusal.

use crate::table::Target;

use super::name::JUMP;
use crate::agent::Unreached;

/// Commands that are listed at most, so that the text fits a screen.
const MAX_LISTED: usize = 8;

/// The gateway, as a client names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `compute.<domain>`
    pub(super) apex: &'a str,
    pub(super) port: u16,
}

/// The commands that work with a key, for whoever has shown to own it.
pub(super) fn commands(place: Place<'_>, accepting: &[impl AsRef<Target>]) -> String {
    let Place { apex, port } = place;
    let option = if port == 22 { String::new() } else { format!("-p {port} ") };
    let jump = if port == 22 { String::new() } else { format!(":{port}") };
    let mut text = String::from("SSH does not say which container is meant. With this key these work:\n\n");
    for target in accepting.iter().take(MAX_LISTED).map(AsRef::as_ref) {
        text.push_str(&format!("  ssh {option}{}@{apex}\n", target.id));
    }
    if accepting.len() > MAX_LISTED {
        text.push_str(&format!("  … and {} more\n", accepting.len() - MAX_LISTED));
    }
    if let Some(first) = accepting.first().map(AsRef::as_ref) {
        text.push_str(&format!(
            "\nor, encrypted up to the container itself:\n\n  ssh -J {JUMP}@{apex}{jump} root@{}\n",
            first.hostname
        ));
    }
    text
}

/// Why a container that is there cannot be reached.
pub(super) fn unreached(target: &Target, why: &Unreached) -> String {
    let id = target.id;
    match why {
        Unreached::Grant(_) => format!("{id} lists too many keys"),
        Unreached::NoPod | Unreached::Silent | Unreached::Io(_) if target.stopped => {
            format!("{id} is stopped; start it")
        }
        Unreached::NoPod => format!("{id} is starting; try again in a moment"),
        Unreached::Silent | Unreached::Io(_) => format!("{id} does not answer; it may be starting or stopping"),
    }
}

/// The same whether there is such a container or not.
pub(super) const NO_SUCH: &str = "no container of this name accepts this key";
pub(super) const WITHDRAWN: &str =
    "access was withdrawn: the key was removed, SSH was turned off, or the container is gone";
pub(super) const STOPPING: &str = "the gateway is being restarted; connect again";
pub(super) const TOO_MANY: &str = "this container has as many connections as it may have";
pub(super) const WRONG_HOST: &str =
    "what answers for this container is not the container; tell whoever runs this installation";
/// Of a session whose other end went away without a word.
pub(super) const LOST: &str = "\r\nThe connection to the container ended.\r\n";
pub(super) const NO_HOST_KEY: &str = "nothing says yet which host key this container has; try again in a moment";
pub(super) const TOO_MANY_LOGINS: &str = "this key has as many connections open as it may have";
