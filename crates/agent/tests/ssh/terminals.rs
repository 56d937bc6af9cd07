//! Terminals.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::roots::Root;
use crate::{HOST, Lab, text, until};

/// A person at a terminal, with `ssh` in it.
pub(crate) struct Person {
    master: File,
    seen: Arc<Mutex<String>>,
    pub(crate) client: Child,
}

impl Person {
    pub(crate) fn sits_at(ssh: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        resize(&master, 91, 33);
        let slave = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(&slave).unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(ssh.get_program()).args(ssh.get_args()).env("TERM", "xterm-256color");
        let client = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let master = File::from(master);
        let (mut reader, seen) = (master.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let into = seen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = reader.read(&mut buffer) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        Self { master, seen, client }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn sees(&self, what: &str) {
        let seen = || self.seen.lock().unwrap().clone();
        until(&format!("{what:?} on the screen"), || seen().contains(what).then_some(()));
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _gone = self.client.kill();
        let _gone = self.client.wait();
    }
}

fn resize(master: &OwnedFd, columns: u16, rows: u16) {
    tcsetwinsize(master, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[test]
fn a_terminal_is_one() {
    let lab = Lab::new(Root::debian());
    let mut person = Person::sits_at(&lab.ssh(&[HOST]));
    person.types("echo [$0] [$TERM] [$SSH_TTY] [$(tty)] [$(stty size)]\n");
    person.sees("[-bash] [xterm-256color] [/dev/pts/");
    person.sees("] [33 91]");
    let master = person.master.try_clone().unwrap();
    resize(&master.into(), 120, 40);
    // The client's own loop hears of it first.
    until("the new size to arrive", || {
        person.types("echo size-$(stty size)-\n");
        person.seen.lock().unwrap().contains("size-40 120-").then_some(())
    });
    person.types("sleep 1000\n");
    person.sees("sleep 1000");
    person.types("\x03");
    person.types("echo after-$((40 + 2))\n");
    person.sees("after-42");
    person.types("exit 7\n");
    assert_eq!(person.client.wait().unwrap().code(), Some(7));
}

#[test]
fn a_command_with_a_terminal_keeps_its_last_words_and_its_code() {
    let lab = Lab::new(Root::debian());
    for _ in 0..10 {
        let output = lab.ssh(&["-tt", HOST, "test -t 0 && test -t 1 && seq 1000; exit 9"]).output().unwrap();
        assert_eq!(output.status.code(), Some(9));
        assert!(output.stdout.ends_with(b"999\r\n1000\r\n"), "{}", text(&output));
    }
    // Somebody in the background does not keep it open.
    let output = lab.ssh(&["-tt", HOST, "sleep 1000 & echo done"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\r\n");
}

#[test]
fn whoever_leaves_a_terminal_hangs_it_up() {
    let lab = Lab::new(Root::debian());
    let mut person = Person::sits_at(&lab.ssh(&[HOST]));
    person.types("sleep 12345 & echo ready-$((1 + 1))\n");
    person.sees("ready-2");
    drop(person);
    until("everything in it to be gone", || {
        let left = lab.ssh(&[HOST, "ps -eo args | grep -c '[s]leep 12345'"]).output().unwrap();
        (left.stdout == b"0\n").then_some(())
    });
}
