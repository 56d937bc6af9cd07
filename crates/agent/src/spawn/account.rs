//! Who the container's user is, and what a login of theirs runs and sees. Pure: files' texts come in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::link::Start;

/// Where the image sets none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the image says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: Vec<u8>,
    pub(super) home: Vec<u8>,
    /// Empty when the image does not say.
    pub(super) shell: Vec<u8>,
}

/// The line of `/etc/passwd` for a user's number; an image need not have one.
pub(super) fn account(passwd: &[u8], uid: u32) -> Account {
    let of_line = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _password, number, _group, _comment, home, shell] = fields.as_slice() else { return None };
        (*number == uid.to_string().as_bytes()).then(|| Account {
            name: name.to_vec(),
            home: home.to_vec(),
            shell: shell.to_vec(),
        })
    };
    passwd.split(|byte| *byte == b'\n').find_map(of_line).unwrap_or_else(|| Account {
        name: if uid == 0 { b"root".to_vec() } else { uid.to_string().into_bytes() },
        home: if uid == 0 { b"/root".to_vec() } else { b"/".to_vec() },
        shell: Vec::new(),
    })
}

/// Shells to try, best first. An account that is not meant for logins has one here all the same: it is the container's own
/// user, and who comes in owns the container.
pub(super) fn shells(account: &Account) -> impl Iterator<Item = &OsStr> {
    let closed = [&b"nologin"[..], b"false", b"true", b"sync"];
    let own = account.shell.as_slice();
    let own = own.starts_with(b"/") && !closed.iter().any(|name| own.ends_with(&[b"/", *name].concat()));
    let own = own.then(|| OsStr::from_bytes(&account.shell));
    own.into_iter().chain(["/bin/bash", "/bin/sh"].map(OsStr::new))
}

/// What a session sees: the container's own environment, as `kubectl exec` has it, and what SSH adds.
pub(super) fn environment(
    own: impl Iterator<Item = (OsString, OsString)>,
    account: &Account,
    shell: Option<&OsStr>,
    start: &Start,
    terminal: Option<&OsStr>,
    agent: Option<&OsStr>,
) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> = own.collect();
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    env.entry("HOME".into()).or_insert_with(|| bytes(&account.home));
    env.entry("PATH".into()).or_insert_with(|| PATH.into());
    for name in ["USER", "LOGNAME"] {
        env.insert(name.into(), bytes(&account.name));
    }
    env.extend(shell.map(|shell| ("SHELL".into(), shell.to_owned())));
    let client: Vec<&str> = start.connection.split(' ').collect();
    if let [address, port, _server, server_port] = client.as_slice() {
        env.insert("SSH_CLIENT".into(), format!("{address} {port} {server_port}").into());
        env.insert("SSH_CONNECTION".into(), start.connection.clone().into());
    }
    for (name, value) in &start.env {
        if is_name(name) && !value.0.contains(&0) {
            env.insert(name.into(), bytes(&value.0));
        }
    }
    if let (Some(asked), Some(terminal)) = (&start.terminal, terminal) {
        env.insert("TERM".into(), asked.term.replace('\0', "").into());
        env.insert("SSH_TTY".into(), terminal.to_owned());
    }
    env.extend(agent.map(|path| ("SSH_AUTH_SOCK".into(), path.to_owned())));
    env
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A command's words where no shell is there to find them: blanks part them, quotes and backslashes keep them together.
/// `None` when a quote is left open.
pub(super) fn words(command: &[u8]) -> Option<Vec<OsString>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<Vec<u8>>, None::<u8>);
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None | Some(b'"'), b'\\') => word.get_or_insert_default().push(bytes.next()?),
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then(|| words.into_iter().map(OsString::from_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Bytes, Run, Size, Terminal};

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/ash\n# no line\nwww:x:33:33::/srv:/usr/sbin/nologin\nodd:x:7:7\n";

    fn list(account: &Account) -> Vec<&str> {
        shells(account).map(|shell| shell.to_str().unwrap()).collect()
    }

    #[test]
    fn the_image_names_the_shell_and_otherwise_the_usual_ones_are_tried() {
        assert_eq!(list(&account(PASSWD, 0)), ["/bin/ash", "/bin/bash", "/bin/sh"]);
        assert_eq!(list(&account(PASSWD, 33)), ["/bin/bash", "/bin/sh"]);
        let nobody = account(PASSWD, 7);
        assert_eq!((nobody.name.as_slice(), nobody.home.as_slice()), (&b"7"[..], &b"/"[..]));
        assert_eq!(account(b"", 0).home, b"/root");
    }

    #[test]
    fn a_session_sees_the_containers_environment_and_what_ssh_adds() {
        let start = Start {
            run: Run::Shell,
            terminal: Some(Terminal {
                term: "xterm".into(),
                size: Size { columns: 80, rows: 24, width: 0, height: 0 },
                modes: vec![],
            }),
            env: [("LANG", "C"), ("1X", "no"), ("A B", "no"), ("", "no"), ("A=B", "no")]
                .map(|(name, value)| (name.to_owned(), Bytes(value.into())))
                .to_vec(),
            connection: "192.0.2.1 4000 10.0.0.1 22".into(),
            agent: false,
        };
        let own = [("HOME", "/work"), ("FROM_IMAGE", "yes")].map(|(name, value)| (name.into(), value.into()));
        let shell = OsStr::new("/bin/ash");
        let env = environment(
            own.into_iter(),
            &account(PASSWD, 0),
            Some(shell),
            &start,
            Some(OsStr::new("/dev/pts/0")),
            None,
        );
        let shown: Vec<String> =
            env.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
        assert_eq!(
            shown,
            [
                "FROM_IMAGE=yes",
                "HOME=/work",
                "LANG=C",
                "LOGNAME=root",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "SHELL=/bin/ash",
                "SSH_CLIENT=192.0.2.1 4000 22",
                "SSH_CONNECTION=192.0.2.1 4000 10.0.0.1 22",
                "SSH_TTY=/dev/pts/0",
                "TERM=xterm",
                "USER=root",
            ]
        );
    }

    #[test]
    fn commands_have_words_even_without_a_shell() {
        let cases: [(&str, Option<&[&str]>); 6] = [
            ("/app  --flag\tx", Some(&["/app", "--flag", "x"])),
            (r#"a 'b c' "d \" e" f\ g"#, Some(&["a", "b c", "d \" e", "f g"])),
            ("a '' b", Some(&["a", "", "b"])),
            ("", Some(&[])),
            ("a 'b", None),
            ("a\\", None),
        ];
        for (command, expected) in cases {
            let expected = expected.map(|words| words.iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!(words(command.as_bytes()), expected, "{command}");
        }
    }
}
