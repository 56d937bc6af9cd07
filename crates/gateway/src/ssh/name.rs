//! Which container a person means. SSH sends no host name, so it is told by the user's name, by the key, or by the address
//! that was connected to. What names one container never leads to another: a name that does not fit ends in words about
//! those that would.

use berth_core::id::ContainerId;

/// The user of a jump: `ProxyJump gw@compute.<domain>`.
pub(super) const JUMP: &str = "gw";
/// The user of a container, as far as anybody outside can know; a session is the container's own user whatever is asked.
const ROOT: &str = "root";

/// How a container was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the user's name.
    User,
    /// By a key that opens one container alone.
    Key,
    /// By the address that was connected to.
    Address,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// No container accepts the key.
    Nobody,
    /// The container is named later, by the jump's destination.
    Jump,
    Container(ContainerId, Way),
    /// A container was named, and not one that accepts the key. Another key of the same person may fit.
    Other,
    /// The key opens containers, and nothing says which is meant.
    Unclear,
}

/// `accepting` are the containers that let the key in now, `addressed` those among them that have the destination for their
/// own; `None` where it is nobody's own.
pub(super) fn name(user: &str, accepting: &[ContainerId], addressed: Option<&[ContainerId]>) -> Named {
    if accepting.is_empty() {
        return Named::Nobody;
    }
    if user == JUMP {
        return Named::Jump;
    }
    if let Some(id) = id_in(user) {
        return if accepting.contains(&id) { Named::Container(id, Way::User) } else { Named::Other };
    }
    if user != ROOT {
        return Named::Unclear;
    }
    match (addressed, accepting) {
        (Some([only]), _) => Named::Container(*only, Way::Address),
        // Somebody else's, and never replaced by the only one.
        (Some([]), _) => Named::Other,
        (None, [only]) => Named::Container(*only, Way::Key),
        // Several at one address are those of several owners, of whom one lists a key of another.
        (Some(_) | None, _) => Named::Unclear,
    }
}

/// `<id>` or `root+<id>`, in any case.
fn id_in(user: &str) -> Option<ContainerId> {
    let id = user.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('+')).unwrap_or(user);
    (id.len() == ContainerId::LEN).then(|| id.to_ascii_lowercase().parse().ok()).flatten()
}

/// Which container the destination of a jump names; `by_host` knows host names of this installation.
pub(super) fn destination(host: &str, by_host: impl FnOnce(&str) -> Option<ContainerId>) -> Option<ContainerId> {
    by_host(host).or_else(|| host.to_ascii_lowercase().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    fn id(text: &str) -> ContainerId {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_leads_to_its_own_container_or_to_none() {
        let (a, b) = (id("bcdfghjk"), id("bcdfghjm"));
        let by_user = |id| Named::Container(id, Way::User);
        for (user, accepting, addressed, expected) in [
            // Nothing is said to a key that nobody knows.
            ("gw", &[][..], None, Named::Nobody),
            ("bcdfghjk", &[], None, Named::Nobody),
            ("root", &[], Some(&[][..]), Named::Nobody),
            ("gw", &[a], None, Named::Jump),
            ("gw", &[a, b], Some(&[a]), Named::Jump),
            ("GW", &[a], None, Named::Unclear),
            ("bcdfghjk", &[a, b], None, by_user(a)),
            ("root+bcdfghjm", &[a, b], None, by_user(b)),
            ("BCDFGHJK", &[a], None, by_user(a)),
            ("root+BCDFGHJK", &[a], None, by_user(a)),
            // One that is named and does not fit is never replaced, not even by the only one.
            ("bcdfghjm", &[a], None, Named::Other),
            ("root+bcdfghjm", &[a], Some(&[a]), Named::Other),
            ("root", &[a], None, Named::Container(a, Way::Key)),
            ("root", &[a, b], None, Named::Unclear),
            ("root", &[a, b], Some(&[b]), Named::Container(b, Way::Address)),
            ("root", &[a], Some(&[]), Named::Other),
            ("root", &[a, b], Some(&[a, b]), Named::Unclear),
            ("ann", &[a], Some(&[a]), Named::Unclear),
            ("bcdfghjk", &[a], Some(&[]), by_user(a)),
            ("", &[a], None, Named::Unclear),
            ("ann", &[a], None, Named::Unclear),
            ("Root", &[a], None, Named::Unclear),
            ("root+", &[a], None, Named::Unclear),
            ("root:bcdfghjk", &[a], None, Named::Unclear),
            ("ann+bcdfghjk", &[a], None, Named::Unclear),
            ("bcdfghjk ", &[a], None, Named::Unclear),
            ("bcdfghj", &[a], None, Named::Unclear),
            ("ääää", &[a], None, Named::Unclear),
        ] {
            assert_eq!(name(user, accepting, addressed), expected, "{user} {accepting:?} {addressed:?}");
        }
    }

    #[test]
    fn a_jump_names_its_destination_by_host_or_by_id() {
        let by_host = |host: &str| (host == "bcdfghjk.compute.example.com").then(|| id("bcdfghjk"));
        assert_eq!(destination("bcdfghjk.compute.example.com", by_host), Some(id("bcdfghjk")));
        assert_eq!(destination("BCDFGHJM", by_host), Some(id("bcdfghjm")));
        for host in ["bcdfghjk.compute.example.org", "10.0.0.1", "localhost", "", "root+bcdfghjk"] {
            assert_eq!(destination(host, by_host), None, "{host}");
        }
    }
}
