//! Signals: SSH has names for them, the kernel numbers.

use russh::Sig;
use rustix::process::Signal;

/// The names of RFC 4254, and a few more that OpenSSH knows.
fn name(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}

const TABLE: [(&str, Signal); 19] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("BUS", Signal::BUS),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TRAP", Signal::TRAP),
    ("SYS", Signal::SYS),
];

/// `None` for names that nobody knows.
pub(super) fn number(signal: &Sig) -> Option<i32> {
    TABLE.iter().find(|(known, _)| *known == name(signal)).map(|(_, signal)| signal.as_raw())
}

pub(super) fn signal(number: i32) -> Sig {
    let known = TABLE.iter().find(|(_, signal)| signal.as_raw() == number).map(|(name, _)| *name);
    let all =
        [Sig::ABRT, Sig::ALRM, Sig::FPE, Sig::HUP, Sig::ILL, Sig::INT, Sig::KILL, Sig::PIPE, Sig::QUIT, Sig::SEGV]
            .into_iter()
            .chain([Sig::TERM, Sig::USR1]);
    let known_to_ssh = all.into_iter().find(|one| Some(name(one)) == known);
    known_to_ssh.unwrap_or_else(|| Sig::Custom(known.map_or_else(|| format!("SIG{number}@berth.dev"), str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (named, number_of) in [(Sig::TERM, 15), (Sig::KILL, 9), (Sig::Custom("USR2".into()), 12)] {
            assert_eq!(number(&named), Some(number_of));
            assert_eq!(name(&signal(number_of)), name(&named));
        }
        assert_eq!(number(&Sig::Custom("NONE".into())), None);
        assert_eq!(name(&signal(40)), "SIG40@berth.dev");
    }
}
