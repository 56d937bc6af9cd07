//! What people are told, on standard error or as the reason of a refusal.

use crate::table::Target;

use super::name::JUMP;
use crate::agent::Unreached;

/// Commands that are listed at most, so that the text fits a screen.
const MAX_LISTED: usize = 8;

/// The gateway, as a client names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `compute.<domain>`, or what leads there.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// Every resolver knows `localhost`; names below it are known to browsers and curl, and to few others.
pub(super) fn reachable(apex: &str) -> &str {
    if apex == "compute.localhost" { "localhost" } else { apex }
}

/// The commands that work with a key, for whoever has shown to own it.
pub(super) fn commands(place: Place<'_>, accepting: &[impl AsRef<Target>]) -> String {
    let Place { host, port } = place;
    let option = if port == 22 { String::new() } else { format!("-p {port} ") };
    let jump = if port == 22 { String::new() } else { format!(":{port}") };
    let mut text = String::from("SSH does not say which container is meant. With this key these work:\n\n");
    for target in accepting.iter().take(MAX_LISTED).map(AsRef::as_ref) {
        text.push_str(&format!("  ssh {option}{}@{host}\n", target.id));
    }
    if accepting.len() > MAX_LISTED {
        text.push_str(&format!("  … and {} more\n", accepting.len() - MAX_LISTED));
    }
    if let Some(first) = accepting.first().map(AsRef::as_ref) {
        text.push_str(&format!(
            "\nor, encrypted up to the container itself:\n\n  ssh -J {JUMP}@{host}{jump} root@{}\n",
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
    "access was withdrawn: the key was removed, SSH was turned off, or the container was stopped or deleted";
pub(super) const STOPPING: &str = "the gateway is being restarted; connect again";
pub(super) const TOO_MANY: &str = "this container has as many connections as it may have";
pub(super) const WRONG_HOST: &str =
    "what answers for this container is not the container; tell whoever runs this installation";
/// Of a session whose other end went away without a word.
pub(super) const LOST: &str = "\r\nThe connection to the container ended.\r\n";
pub(super) const NO_HOST_KEY: &str = "nothing says yet which host key this container has; try again in a moment";
pub(super) const TOO_MANY_LOGINS: &str = "this key has as many connections open as it may have";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use std::io;

    use berth_core::id::{Generation, UserId};

    use super::*;
    use crate::table::Ssh;

    fn target(id: &str, stopped: bool) -> Box<Target> {
        Box::new(Target {
            id: id.parse().unwrap(),
            owner: UserId(7),
            username: "ann".to_owned(),
            hostname: format!("{id}.compute.example.com"),
            rules: [].into(),
            ssh: Ssh { enabled: true, port: 22022, keys: Vec::new(), host_key: None },
            own_address: None,
            stopped,
            generation: Generation(1),
            address: None,
        })
    }

    #[test]
    fn what_works_is_listed_and_fits_a_screen() {
        let usual = Place { host: "compute.example.com", port: 22 };
        let text = commands(usual, &[target("bcdfghjk", false), target("bcdfghjm", true)]);
        for line in [
            "  ssh bcdfghjk@compute.example.com\n",
            "  ssh bcdfghjm@compute.example.com\n",
            "  ssh -J gw@compute.example.com root@bcdfghjk.compute.example.com\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let other = commands(Place { port: 2222, ..usual }, &[target("bcdfghjk", false)]);
        assert!(
            other.contains("ssh -p 2222 bcdfghjk@") && other.contains("-J gw@compute.example.com:2222 "),
            "{other}"
        );
        let many: Vec<_> = (0..100).map(|_| target("bcdfghjk", false)).collect();
        let text = commands(usual, &many);
        assert!(text.contains("… and 92 more") && text.lines().count() < 20, "{text}");
    }

    #[test]
    fn a_container_that_cannot_be_reached_says_why() {
        let (on, off) = (target("bcdfghjk", false), target("bcdfghjk", true));
        let broken = || Unreached::Io(io::ErrorKind::ConnectionRefused.into());
        for (target, why, part) in [
            (&on, Unreached::NoPod, "is starting"),
            (&off, Unreached::NoPod, "is stopped; start it"),
            (&off, Unreached::Silent, "is stopped; start it"),
            (&off, broken(), "is stopped; start it"),
            (&on, Unreached::Silent, "does not answer"),
            (&on, broken(), "does not answer"),
        ] {
            let text = unreached(target, &why);
            assert!(text.starts_with("bcdfghjk ") && text.contains(part), "{text}");
        }
    }
}
